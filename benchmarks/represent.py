"""Recognition: the networks alone, and from files to vectors, against the published library.

The networks run on random faces; they take as long with any weights, so stand-ins of the published
layouts serve (``--stand-ins``). Each engine of the published library runs in a process of its own.
With a time limit, the models that are left are skipped when it is over.

``--both-engines`` also runs our networks in PyTorch alone and in ONNX Runtime alone, and writes
which of them is faster into the library's table of engines.
"""

from __future__ import annotations

import argparse
import os
import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.arguments import (
    add_made_weights,
    add_output,
    add_rounds,
    folder,
    names,
    numbers,
    positive,
)
from benchmarks.measure import Spread, alternate, speed_up
from benchmarks.pictures import find_pictures
from benchmarks.process import Worker, WorkerError
from benchmarks.report import Report, Row, table
from benchmarks.stand_ins import write_recognition
from deepface.runtime.execution import engine_table

HELP = "speed of recognition networks, and from files to vectors"
OURS = "ours"
COLUMNS = {
    "model": "model",
    "threads": "threads",
    "batch": "batch",
    "run": "run",
    "ms": "ms/face (quartiles)",
    "cpu_ms": "CPU ms/face",
    "ours_faster": "ours (fp32) × faster",
    "cosine": "least cosine to ours",
    "memory_mb": "peak MB",
    "faces": "faces",
}
MODELS = (
    *("VGG-Face", "Facenet", "Facenet512", "OpenFace"),
    *("DeepFace", "DeepID", "ArcFace", "GhostFaceNet"),
)
ENGINES = ("onnx", "pytorch", "tensorflow")
OUR_PYTORCH, OUR_ONNX = "ours, PyTorch", "ours, ONNX Runtime"
OUR_ENGINES = {OUR_PYTORCH: "pytorch", OUR_ONNX: None}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("--model", type=names, default=list(MODELS), help="NAME[,NAME...]")
    parser.add_argument(
        "--batch", type=numbers, default=[1, 8, 32, 128], help="default: 1,8,32,128"
    )
    parser.add_argument(
        "--images", type=folder, metavar="DIR", help="also from these files to vectors"
    )
    parser.add_argument("--limit", type=positive, default=64, metavar="N", help="files")
    parser.add_argument("--detector", default="mtcnn", help="for --images (default: mtcnn)")
    parser.add_argument("--device", help="ours only")
    add_made_weights(parser)
    parser.add_argument("--published", metavar="PYTHON", help="Python of its environment")
    parser.add_argument(
        "--engines", type=names, default=list(ENGINES), help="of the published library"
    )
    parser.add_argument("--precision", type=names, default=[], help="also bf16, fp16 (ours)")
    parser.add_argument("--minutes", type=positive, help="begin no model after that")
    parser.add_argument("--threads", type=numbers, help="N[,N...] (default: as torch does)")
    parser.add_argument("--both-engines", action="store_true", help="ours; write the table")
    add_rounds(parser)
    add_output(parser)


def run(args: argparse.Namespace) -> int:
    """Measure, print, save."""
    report = Report("represent", settings={"detector": args.detector, "rounds": args.repeat})
    start = time.monotonic()
    for model in args.model:
        if args.minutes and time.monotonic() - start > 60 * args.minutes:
            report.note(f"{model} skipped: {args.minutes} minutes are over")
            continue
        with TemporaryDirectory(prefix="benchmarks-") as home:
            if args.stand_ins:
                weights = Path(home, ".deepface", "weights")
                weights.mkdir(parents=True)
                onnx = bool(args.published) and "onnx" in args.engines
                write_recognition(args.stand_ins, model, weights, onnx)
                os.environ["DEEPFACE_HOME"] = home
                report.note(f"{model}: stand-in weights")
            rows = []
            for threads in args.threads or [None]:
                rows += _measure(report, args, model, threads)
        report.rows += rows
        if args.both_engines:
            _write_engine(model, rows)
        if report.rows:
            report.save(args.out, args.tag)
            print(table(rows, COLUMNS), end="\n\n", flush=True)
    return report.finish(args)


def _write_engine(model: str, rows: list[Row]) -> None:
    """The faster engine's name into the library's table.

    ONNX Runtime has to be faster on the whole and nowhere slower by more than a thirtieth: there is
    one engine for all sizes of batches, which would else differ in their last bits.
    """
    gains = [row["engine_gain"] for row in rows if row.get("engine_gain")]
    if not gains:
        return
    faster = min(gains) >= 0.97 and float(np.exp(np.log(gains).mean())) >= 1.03
    table = {**engine_table.ENGINES, model: "onnxruntime" if faster else "pytorch"}
    path = Path(str(engine_table.__file__))
    head, _, _ = path.read_text(encoding="utf-8").partition("ENGINES")
    rows_of_table = "".join(f'    "{name}": "{table[name]}",\n' for name in sorted(table))
    engine_table.ENGINES = table
    path.write_text(f"{head}ENGINES = {{\n{rows_of_table}}}\n", encoding="utf-8")


def _measure(
    report: Report, args: argparse.Namespace, model: str, threads: int | None
) -> list[Row]:
    """A model at every batch size, and from files to vectors; all processes stay for all of it."""
    jobs: list[tuple[int | str, Row]] = [
        (size, {"function": "forward", "detector": model, "paths": [], "batch": size})
        for size in args.batch
    ]
    if args.images:
        paths = [str(path) for path in find_pictures(args.images, args.limit)]
        files = {"function": "represent", "detector": args.detector, "paths": paths, "batch": 32}
        jobs.append((f"{len(paths)} files", files))
    rows: list[Row] = []
    with ExitStack() as stack:
        ours = partial(Worker, None, args.device, threads=threads)
        workers = {OURS: stack.enter_context(ours())}
        for name, engine in OUR_ENGINES.items() if args.both_engines else ():
            workers[name] = stack.enter_context(ours(engine=engine))
        for precision in args.precision:
            workers[_ours(precision)] = stack.enter_context(ours())
        for engine in args.engines if args.published else []:
            workers[f"published, {engine}"] = stack.enter_context(
                Worker(args.published, None, engine, threads)
            )
        for label, job in jobs:
            _prepare(report, args, model, workers, job)
            if not workers:
                break
            cell = {"model": model, "threads": threads, "batch": label}
            rows += [cell | row for row in _run(args, workers, job)]
    return rows


def _ours(precision: str) -> str:
    return f"{OURS}, {precision}"


def _prepare(
    report: Report, args: argparse.Namespace, model: str, workers: dict[str, Worker], job: Row
) -> None:
    """Load and warm up; who cannot is left out from now on."""
    precisions = {_ours(precision): precision for precision in args.precision}
    for name, worker in workers.items():
        arguments = {} if job["function"] == "forward" else {"model_name": model}
        if name in precisions:
            arguments["precision"] = precisions[name]
        # The published library finds faces picture by picture in a list, too.
        loops = job["function"] == "represent" and name.startswith("published")
        asked = job | {"batch": None if loops else job["batch"]}
        if name == OUR_ONNX:  # the network as it is exported, not a published file
            asked["exported"] = model
        worker.send("prepare", **asked, arguments=arguments, warmup=1)
    for name in list(workers):
        try:
            workers[name].answer()
        except WorkerError as error:
            report.note(f"{model}, {name}: no figures ({error})")
            del workers[name]


def _run(args: argparse.Namespace, workers: dict[str, Worker], job: Row) -> list[Row]:
    answers = alternate(
        {name: partial(worker.ask, "run") for name, worker in workers.items()}, args.repeat
    )
    peaks = {name: worker.ask("peak") for name, worker in workers.items()}
    alone = job["function"] == "forward"
    vectors = {
        name: np.array(worker.ask("vectors")["vectors"])
        for name, worker in workers.items()
        if alone
    }
    rows = []
    for name, given in answers.items():
        count = given[0]["faces"] if alone else len(job["paths"])
        row: Row = {"run": name}
        row |= Spread.of([1000 * answer["seconds"] / count for answer in given]).columns("ms", 2)
        cpu = [1000 * answer["cpu_seconds"] / count for answer in given]
        row |= Spread.of(cpu).columns("cpu_ms", 2)
        if name != OURS and OURS in answers:
            theirs, ours = ([answer["seconds"] for answer in answers[key]] for key in (name, OURS))
            row |= speed_up(theirs, ours).columns("ours_faster")
            if name == OUR_ONNX and OUR_PYTORCH in answers:
                pytorch = [answer["seconds"] for answer in answers[OUR_PYTORCH]]
                row["engine_gain"] = speed_up(pytorch, theirs).median
            if alone:
                row["cosine"] = f"{_least_cosine(vectors[name], vectors[OURS]):.6f}"
        row |= {key: None if mb is None else round(mb) for key, mb in peaks[name].items()}
        rows.append(row | {"faces": given[-1]["faces"]})
    return rows


def _least_cosine(found: NDArray[Any], wanted: NDArray[Any]) -> float:
    lengths = np.linalg.norm(found, axis=1) * np.linalg.norm(wanted, axis=1)
    return float(((found * wanted).sum(axis=1) / lengths).min())
