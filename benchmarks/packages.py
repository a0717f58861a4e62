"""Detectors alone, against the packages that people use by themselves."""

from __future__ import annotations

import argparse
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.arguments import add_output, add_pictures, add_rounds, names, size
from benchmarks.measure import Spread, alternate, speed_up
from benchmarks.pictures import pictures, write_filled
from benchmarks.process import Worker, WorkerError
from benchmarks.report import Report, Row, table
from deepface.detection.cards.retinaface import MOBILENET
from deepface.detection.cards.yolo import CARDS
from deepface.runtime.weights.store import ensure_weight

HELP = "speed of detectors alone, against ultralytics, facenet-pytorch, mtcnn, batch-face and dlib"
COLUMNS = {
    "detector": "detector",
    "package": "package",
    "sizes": "sizes",
    "run": "run",
    "images_per_second": "images/s (quartiles)",
    "to_package": "× package",
    "faces": "faces",
    "package_faces": "package's faces",
}
_OTHERS = {
    "fastmtcnn": "facenet-pytorch",
    "mtcnn": "mtcnn",
    "retinaface-mobilenet0.25": "batch-face",
    "dlib": "dlib",
}
#: Packages that take one picture at a time, whatever their sizes.
_LOOPED = ("mtcnn", "dlib")
#: Packages that are given our file of weights.
_WEIGHTS = {card.name: card.files[0][0] for card in (MOBILENET, *CARDS)}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument(
        "--detector",
        type=names,
        default=["yolov8n", "yolov11n", *_OTHERS],
        help=f"NAME[,NAME...]: a YOLO, {', '.join(_OTHERS)} (default: yolov8n, yolov11n and these)",
    )
    add_pictures(parser)
    parser.add_argument("--size", type=size, default=(640, 480), help="of the equal pictures")
    parser.add_argument(
        "--packages", metavar="PYTHON", required=True, help="Python of their environment"
    )
    add_rounds(parser, default=3)
    add_output(parser)


def run(args: argparse.Namespace) -> int:
    """Measure, print, save."""
    report = Report("packages", settings={"rounds": args.repeat})
    with ExitStack() as stack:
        mixed = stack.enter_context(pictures(args.images, args.limit))
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="benchmarks-")))
        equal = write_filled(mixed, folder, *args.size)
        for detector in args.detector:
            for sizes, paths in (("mixed", mixed), ("{}x{}".format(*args.size), equal)):
                try:
                    row = _measure(args, detector, paths, equal=paths is equal)
                except WorkerError as error:
                    report.note(f"{detector} skipped: {error}")
                    continue
                report.rows.append({"detector": detector, "sizes": sizes} | row)
                report.save(args.out, args.tag)
                print(table(report.rows[-1:], COLUMNS), end="\n\n", flush=True)
    return report.finish(args)


def _measure(args: argparse.Namespace, detector: str, paths: list[Path], equal: bool) -> Row:
    """Our list against the package's batch where it has one, against its loop where not."""
    package = _OTHERS.get(detector, "ultralytics")
    weights = _WEIGHTS.get(detector)
    arguments = {"weights": str(ensure_weight(weights))} if weights else {}
    batch = len(paths) if equal and package not in _LOOPED else None
    listed = {"batch": len(paths), "arguments": {}}
    packaged = {"batch": batch, "arguments": arguments}
    shared = {"paths": [str(path) for path in paths], "warmup": len(paths)}
    with Worker() as ours, Worker(args.packages) as theirs:
        ours.send("prepare", function="detect_faces", detector=detector, **listed, **shared)
        theirs.send("prepare", function="package", detector=package, **packaged, **shared)
        ours.answer()
        theirs.answer()
        workers = {"ours": ours, "theirs": theirs}
        answers = alternate({k: partial(v.ask, "run") for k, v in workers.items()}, args.repeat)
    seconds = {name: [answer["seconds"] for answer in found] for name, found in answers.items()}
    row: Row = {"package": package, "run": "its loop" if batch is None else "its batch"}
    row |= Spread.of([len(paths) / s for s in seconds["ours"]]).columns("images_per_second", 2)
    row |= speed_up(seconds["theirs"], seconds["ours"]).columns("to_package")
    found = {name: answers[name][-1]["faces"] for name in workers}
    return row | {"faces": found["ours"], "package_faces": found["theirs"]}
