"""Recognition: the networks alone, and from files to vectors, against the published library.

The networks run on random faces; they take as long with any weights, so stand-ins of the published
layout serve (``--stand-ins``). Each engine of the published library runs in a process of its own.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.arguments import add_output, add_rounds, folder, names, numbers, positive
from benchmarks.measure import Spread, alternate, speed_up
from benchmarks.pictures import find_pictures
from benchmarks.process import Worker, WorkerError
from benchmarks.report import Report, Row, table

HELP = "speed of recognition networks, and from files to vectors"
OURS = "ours"
COLUMNS = {
    "model": "model",
    "batch": "batch",
    "run": "run",
    "ms": "ms/face (quartiles)",
    "cpu_ms": "CPU ms/face",
    "ours_faster": "ours × faster",
    "memory_mb": "peak MB",
    "faces": "faces",
}
#: Name of the weight files' stem, where it is not the model's own rule.
_FILES = {
    "VGG-Face": "vgg_face_weights",
    "Facenet": "facenet_weights",
    "Facenet512": "facenet512_weights",
    "OpenFace": "openface_weights",
    "DeepID": "deepid_weights",
    "ArcFace": "arcface_weights",
    "GhostFaceNet": "ghostfacenet_v1",
}
_KERAS_FILES = {"DeepID": "deepid_keras_weights"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("--model", type=names, default=list(_FILES), help="NAME[,NAME...]")
    parser.add_argument("--batch", type=numbers, default=[1, 8, 32], help="default: 1,8,32")
    parser.add_argument(
        "--images", type=folder, metavar="DIR", help="also from these files to vectors"
    )
    parser.add_argument("--limit", type=positive, default=64, metavar="N", help="files")
    parser.add_argument("--detector", default="mtcnn", help="for --images (default: mtcnn)")
    parser.add_argument("--device", help="ours only")
    parser.add_argument(
        "--stand-ins",
        type=Path,
        metavar="FILE",
        help="reference_weights.py, which writes weight files of the published layouts",
    )
    parser.add_argument("--published", metavar="PYTHON", help="Python of its environment")
    parser.add_argument(
        "--engines", type=names, default=["pytorch", "tensorflow"], help="of the published library"
    )
    add_rounds(parser)
    add_output(parser)


def run(args: argparse.Namespace) -> int:
    """Measure, print, save."""
    report = Report("represent", settings={"detector": args.detector, "rounds": args.repeat})
    for model in args.model:
        with TemporaryDirectory(prefix="benchmarks-") as home:
            if args.stand_ins:
                _write_stand_ins(args.stand_ins, model, Path(home))
                report.note(f"{model}: stand-in weights")
            for size in args.batch:
                _add(report, args, model, "forward", size, [], size)
            if args.images:
                paths = [str(path) for path in find_pictures(args.images, args.limit)]
                _add(report, args, model, "represent", 32, paths, len(paths))
        if report.rows:
            path = report.save(args.out, args.tag)
    if not report.rows:
        return 1
    print(f"{table(report.rows, COLUMNS)}\n\nwritten: {path}")
    return 0


def _write_stand_ins(module_file: Path, model: str, home: Path) -> None:
    """Both layouts into a weights folder of its own, which the workers inherit."""
    spec = importlib.util.spec_from_file_location("reference_weights", module_file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    weights = home / ".deepface" / "weights"
    weights.mkdir(parents=True)
    stem = _FILES[model]
    module.write_pth(model, weights / f"{stem}.pth")
    module.write_h5(model, weights / f"{_KERAS_FILES.get(model, stem)}.h5")
    os.environ["DEEPFACE_HOME"] = str(home)


def _add(
    report: Report,
    args: argparse.Namespace,
    model: str,
    function: str,
    batch: int,
    paths: list[str],
    count: int,
) -> None:
    label: Any = batch if function == "forward" else f"{len(paths)} files"
    for row in _measure(report, args, model, function, batch, paths, count):
        report.rows.append({"model": model, "batch": label} | row)


def _measure(
    report: Report,
    args: argparse.Namespace,
    model: str,
    function: str,
    batch: int,
    paths: list[str],
    count: int,
) -> list[Row]:
    engines = args.engines if args.published else []
    with ExitStack() as stack:
        workers = {OURS: stack.enter_context(Worker(None, args.device))}
        for engine in engines:
            workers[f"published, {engine}"] = stack.enter_context(
                Worker(args.published, None, engine)
            )
        for name, worker in workers.items():
            alone = function == "forward"
            worker.send(
                "prepare",
                function=function,
                detector=model if alone else args.detector,
                paths=paths,
                # The published library finds faces picture by picture in a list, too.
                batch=batch if alone or name == OURS else None,
                arguments={} if alone else {"model_name": model},
                warmup=1,
            )
        for name in list(workers):
            try:
                workers[name].answer()
            except WorkerError as error:
                report.note(f"{model}, {name}: no figures ({error})")
                del workers[name]
        if not workers:
            return []
        answers = alternate(
            {name: partial(worker.ask, "run") for name, worker in workers.items()}, args.repeat
        )
        peaks = {name: worker.ask("peak") for name, worker in workers.items()}
    rows = []
    for name, given in answers.items():
        row: Row = {"run": name}
        row |= Spread.of([1000 * answer["seconds"] / count for answer in given]).columns("ms", 2)
        cpu = [1000 * answer["cpu_seconds"] / count for answer in given]
        row |= Spread.of(cpu).columns("cpu_ms", 2)
        if name != OURS and OURS in answers:
            theirs, ours = ([answer["seconds"] for answer in answers[key]] for key in (name, OURS))
            row |= speed_up(theirs, ours).columns("ours_faster")
        row |= {key: None if mb is None else round(mb) for key, mb in peaks[name].items()}
        rows.append(row | {"faces": given[-1]["faces"]})
    return rows
