"""Images per second and peak memory: batches against the loop, and the published library."""

from __future__ import annotations

import argparse
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.arguments import (
    add_output,
    add_pictures,
    add_rounds,
    add_stand_ins,
    names,
    numbers,
    size,
)
from benchmarks.measure import Spread, alternate, speed_up
from benchmarks.pictures import pictures, read, write_filled
from benchmarks.process import Worker, WorkerError
from benchmarks.report import Report, Row, table
from benchmarks.stand_ins import stand_ins, weight_files

HELP = "speed and memory of detection, in batches against one by one and the published library"
COLUMNS = {
    "detector": "detector",
    "weights": "weights",
    "sizes": "sizes",
    "run": "run",
    "images_per_second": "images/s (quartiles)",
    "cpu_ms": "CPU ms/image",
    "memory_mb": "peak MB",
    "device_memory_mb": "GPU MB",
    "to_loop": "× loop",
    "to_published": "× published",
    "faces": "faces",
}
LOOP = "loop"
PUBLISHED = "published"


@dataclass(frozen=True)
class Run:
    """One column of a round: which library, and how many pictures per call."""

    name: str
    batch: int | None
    python: str | None = None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("--detector", type=names, required=True, help="NAME[,NAME...]")
    add_pictures(parser)
    parser.add_argument("--batch", type=numbers, default=[1, 8, 32], help="default: 1,8,32")
    parser.add_argument(
        "--sizes",
        type=names,
        default=["mixed"],
        help="mixed: the pictures as they are; equal: all filled to --size; or both",
    )
    parser.add_argument("--size", type=size, default=(1280, 720), help="default: 1280x720")
    parser.add_argument(
        "--function",
        choices=["extract_faces", "detect_faces"],
        default="extract_faces",
        help="from files to crops (default), or the detector alone on decoded pictures, where the "
        "next three options do not count",
    )
    parser.add_argument("--align", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--border", type=float, help="ours only; the published one has 0.5")
    parser.add_argument("--min-face-size", type=int, help="ours only, for detectors that have it")
    parser.add_argument("--device", help="ours only")
    add_stand_ins(parser)
    parser.add_argument("--published", metavar="PYTHON", help="Python of its environment")
    parser.add_argument("--warmup", type=int, help="pictures run beforehand (default: all)")
    add_rounds(parser)
    add_output(parser)


def run(args: argparse.Namespace) -> int:
    """Measure, print, save."""
    report = Report(
        "detect",
        settings={
            "function": args.function,
            "align": args.align,
            "border": args.border,
            "min_face_size": args.min_face_size,
            "device": args.device,
            "rounds": args.repeat,
        },
    )
    with ExitStack() as stack:
        paths = stack.enter_context(pictures(args.images, args.limit))
        if max(args.batch) > len(paths):
            raise SystemExit(
                f"a batch of {max(args.batch)} needs as many pictures, but there are {len(paths)}: "
                f"with --limit {max(args.batch)} some are taken twice"
            )
        missing = stack.enter_context(stand_ins(args.detector)) if args.stand_ins else set()
        sets = {name: _sized(name, args.size, paths, stack) for name in args.sizes}
        for detector in args.detector:
            random = bool(missing & set(weight_files(detector)))
            try:
                for sizes, chosen in sets.items():
                    shared = {
                        "detector": detector,
                        "weights": "random" if random else "real",
                        "sizes": sizes if sizes == "mixed" else "{}x{}".format(*args.size),
                        "pictures": len(chosen),
                        "megapixels": _megapixels(chosen),
                    }
                    rows = [shared | row for row in _measure(args, detector, chosen, report)]
                    report.rows += rows
                    report.save(args.out, args.tag)
                    print(table(rows, COLUMNS), end="\n\n", flush=True)
            except WorkerError as error:
                report.note(f"{detector} skipped: {error}")
    return report.finish(args)


def _measure(
    args: argparse.Namespace, detector: str, paths: list[Path], report: Report
) -> list[Row]:
    runs = [Run(LOOP, None), *(Run(f"batch {size}", size) for size in args.batch)]
    ours = {"align": args.align}
    for option in ("border", "min_face_size"):
        if getattr(args, option) is not None:
            ours[option] = getattr(args, option)
    if args.published:
        runs.append(Run(PUBLISHED, None, args.published))
    with ExitStack() as stack:
        workers = {
            entry.name: stack.enter_context(Worker(entry.python, args.device)) for entry in runs
        }
        for entry in runs:
            workers[entry.name].send(
                "prepare",
                function=args.function,
                detector=detector,
                paths=[str(path) for path in paths],
                batch=entry.batch,
                arguments=ours if entry.python is None else {"align": args.align},
                warmup=len(paths) if args.warmup is None else args.warmup,
            )
        for entry in runs:
            try:
                workers[entry.name].answer()
            except WorkerError as error:
                if entry.python is None:
                    raise
                report.note(f"{detector}: no figures of the published library: {error}")
                del workers[entry.name]
        answers = alternate(
            {name: partial(worker.ask, "run") for name, worker in workers.items()}, args.repeat
        )
        peaks = {name: worker.ask("peak") for name, worker in workers.items()}
    batches = {entry.name: entry.batch for entry in runs}
    return [_row(name, batches[name], answers, peaks[name], len(paths)) for name in workers]


def _row(
    name: str,
    batch: int | None,
    answers: dict[str, list[dict[str, Any]]],
    peak: dict[str, float | None],
    pictures: int,
) -> Row:
    seconds = {key: [answer["seconds"] for answer in found] for key, found in answers.items()}
    row: Row = {"run": name, "batch": batch}
    row |= Spread.of([pictures / s for s in seconds[name]]).columns("images_per_second", 3)
    cpu = [1000 * answer["cpu_seconds"] / pictures for answer in answers[name]]
    row |= Spread.of(cpu).columns("cpu_ms", 1)
    row |= {key: None if mb is None else round(mb) for key, mb in peak.items()}
    for other, column in ((LOOP, "to_loop"), (PUBLISHED, "to_published")):
        if other in seconds and other != name:
            row |= speed_up(seconds[other], seconds[name]).columns(column)
    return row | {"faces": answers[name][-1]["faces"]}


def _sized(name: str, size: tuple[int, int], paths: list[Path], stack: ExitStack) -> list[Path]:
    if name == "mixed":
        return paths
    if name == "equal":
        folder = stack.enter_context(TemporaryDirectory(prefix="benchmarks-"))
        return write_filled(paths, Path(folder), *size)
    raise SystemExit(f"--sizes is mixed, equal or mixed,equal, not {name}")


def _megapixels(paths: list[Path]) -> str:
    found = sorted(image.shape[0] * image.shape[1] / 1e6 for image in map(read, set(paths)))
    return f"{found[0]:.2g}-{found[-1]:.2g}"
