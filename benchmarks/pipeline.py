"""Files in, vectors out: the stream against the published library's loop over ``represent``.

The share of wall time that the detector and the recognition network take shows whether decoding,
cropping and letterboxing hide behind them.
"""

from __future__ import annotations

import argparse
from contextlib import ExitStack
from functools import partial
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.arguments import (
    add_made_weights,
    add_output,
    add_pictures,
    add_rounds,
    names,
    positive,
    size,
)
from benchmarks.measure import Spread, alternate
from benchmarks.pictures import pictures, write_filled
from benchmarks.process import Worker, WorkerError
from benchmarks.report import Report, Row, table
from benchmarks.stand_in_home import recognition_stand_in
from benchmarks.stand_ins import stand_ins

HELP = "from files to vectors by the stream, against the published library's loop"
COLUMNS = {
    "detector": "detector",
    "model": "model",
    "run": "run",
    "pictures": "pictures",
    "images_per_second": "images/s (quartiles)",
    "network_share": "in networks",
    "cpu_ms": "CPU ms/image",
    "memory_mb": "peak MB",
    "to_published": "× published",
    "faces": "faces",
}
OURS = "stream"
ON_DEVICE = "stream, decoded on the device"
PUBLISHED = "published loop"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("--detector", type=names, default=["mtcnn", "opencv"], help="NAME[,NAME]")
    parser.add_argument("--model", type=names, default=["Facenet"], help="NAME[,NAME]")
    add_pictures(parser)
    parser.add_argument("--size", type=size, help="all pictures filled to it, e.g. 1280x720")
    parser.add_argument("--batch", type=positive, help="pictures per step (default: automatic)")
    parser.add_argument(
        "--clock",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="take the networks' time, too: the device is waited for around each step then, and "
        "nothing overlaps",
    )
    parser.add_argument(
        "--decode",
        type=names,
        default=["cpu"],
        metavar="cpu,device",
        help="where ours decodes JPEG files (default: cpu)",
    )
    parser.add_argument("--device", help="ours only")
    add_made_weights(parser)
    parser.add_argument("--published", metavar="PYTHON", help="Python of its environment")
    parser.add_argument(
        "--published-limit",
        type=positive,
        metavar="N",
        help="the published library gets the first N pictures only; ratios are per image",
    )
    add_rounds(parser, default=1)
    add_output(parser)


def run(args: argparse.Namespace) -> int:
    """Measure, print, save."""
    report = Report("pipeline", settings={"device": args.device, "rounds": args.repeat})
    with ExitStack() as stack:
        paths = stack.enter_context(pictures(args.images, args.limit))
        if args.size:
            folder = stack.enter_context(TemporaryDirectory(prefix="benchmarks-"))
            paths = write_filled(paths, Path(folder), *args.size)
        for name in stack.enter_context(stand_ins(args.detector)):
            report.note(f"{name}: random weights, which find no face")
        for model, detector in product(args.model, args.detector):
            with recognition_stand_in(args.stand_ins, model) as made:
                if made and not any(model in note for note in report.notes):
                    report.note(f"{model}: stand-in weights")
                rows = _measure(args, detector, model, [str(path) for path in paths], report)
            if not rows:
                continue
            report.rows += rows
            report.save(args.out, args.tag)
            print(table(rows, COLUMNS), end="\n\n", flush=True)
    return report.finish(args)


def _measure(
    args: argparse.Namespace, detector: str, model: str, paths: list[str], report: Report
) -> list[Row]:
    ours = {OURS if place == "cpu" else ON_DEVICE: place for place in args.decode}
    counts = dict.fromkeys(ours, len(paths))
    with ExitStack() as stack:
        workers = {name: stack.enter_context(Worker(None, args.device)) for name in ours}
        if args.published:
            workers[PUBLISHED] = stack.enter_context(Worker(args.published))
            counts[PUBLISHED] = min(len(paths), args.published_limit or len(paths))
        for name, worker in workers.items():
            arguments = {"model_name": model}
            if name in ours:
                arguments["decode"] = ours[name]
            worker.send(
                "prepare",
                function="stream" if name in ours else "represent",
                detector=detector,
                paths=paths[: counts[name]],
                batch=args.batch if name in ours else None,
                arguments=arguments,
                warmup=32 if name in ours else 2,
                clock=args.clock,
            )
        for name in list(workers):
            try:
                workers[name].answer()
            except WorkerError as error:
                report.note(f"{detector}, {name}: no figures ({error})")
                del workers[name]
        if not workers:
            return []
        answers = alternate(
            {name: partial(worker.ask, "run") for name, worker in workers.items()}, args.repeat
        )
        peaks = {name: worker.ask("peak") for name, worker in workers.items()}
    shared = {"detector": detector, "model": model}
    return [shared | _row(name, counts, answers, peaks[name]) for name in workers]


def _row(
    name: str, counts: dict[str, int], answers: dict[str, list[dict[str, Any]]], peak: Row
) -> Row:
    rates = {
        key: [counts[key] / answer["seconds"] for answer in found] for key, found in answers.items()
    }
    row: Row = {"run": name, "pictures": counts[name]}
    row |= Spread.of(rates[name]).columns("images_per_second", 3)
    cpu = [1000 * answer["cpu_seconds"] / counts[name] for answer in answers[name]]
    row |= Spread.of(cpu).columns("cpu_ms", 1)
    if name != PUBLISHED:
        taken = [answer for answer in answers[name] if answer["network_seconds"] is not None]
        if taken:
            shares = [answer["network_seconds"] / answer["seconds"] for answer in taken]
            row |= Spread.of(shares).columns("network_share", 3)
        if PUBLISHED in rates:
            ratios = [a / b for a, b in zip(rates[name], rates[PUBLISHED], strict=True)]
            row |= Spread.of(ratios).columns("to_published")
    row |= {key: None if mb is None else round(mb) for key, mb in peak.items()}
    return row | {"faces": answers[name][-1]["faces"]}
