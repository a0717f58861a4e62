"""RetinaFace with and without its stride-8 level, and what each of its speed-ups is worth.

The table of the known article on this: backbone × (full, without stride 8) × (images per second,
milliseconds per image) on pictures of 1280×720, one by one and in batches. A second table turns
the four switches on one at a time.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from functools import partial
from typing import Any

from benchmarks.arguments import add_output, add_pictures, add_rounds, names, numbers, size
from benchmarks.measure import Spread, alternate, seconds, speed_up
from benchmarks.pictures import fill, pictures, read
from benchmarks.report import Report, Row, table
from benchmarks.stand_ins import stand_ins, weight_files
from deepface.types import Image

HELP = "RetinaFace per backbone: without stride 8, in batches, and the worth of each speed-up"
BACKBONES = {
    "retinaface": "ResNet-50 v2",
    "retinaface-resnet50": "ResNet-50",
    "retinaface-mobilenet0.25": "MobileNet-0.25",
}
#: Far above the limit from which on stride 8 is left out, at any scale of the input.
MIN_FACE_SIZE = 64
OFF = {"cache_anchors": False, "device_preprocessing": False, "device_postprocessing": False}
SWITCHES: dict[str, dict[str, Any]] = {
    "all off": OFF,
    "cached anchors": OFF | {"cache_anchors": True},
    "preprocessing on the device": OFF | {"device_preprocessing": True},
    "decoding and suppression on the device": OFF | {"device_postprocessing": True},
    "without stride 8": OFF | {"min_face_size": MIN_FACE_SIZE},
    "all on": dict.fromkeys(OFF, True) | {"min_face_size": MIN_FACE_SIZE},
}
LEVELS = {"full": None, "without stride 8": MIN_FACE_SIZE}
COLUMNS = {
    "detector": "detector",
    "backbone": "backbone",
    "weights": "weights",
    "batch": "batch",
    "run": "run",
    "images_per_second": "fps (quartiles)",
    "ms": "ms per image",
    "gain_percent": "fps gain %",
    "to_one_by_one": "× one by one",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    add_pictures(parser)
    parser.add_argument("--detector", type=names, default=list(BACKBONES), help="default: all")
    parser.add_argument("--batch", type=numbers, default=[1, 8, 32], help="default: 1,8,32")
    parser.add_argument("--size", type=size, default=(1280, 720), help="default: 1280x720")
    parser.add_argument(
        "--switches",
        type=int,
        default=8,
        metavar="BATCH",
        help="batch of the table of switches (default 8; 0 leaves it out)",
    )
    parser.add_argument("--device")
    add_rounds(parser, default=3)
    add_output(parser)


def run(args: argparse.Namespace) -> int:
    """Measure, print, save."""
    from deepface.runtime.execution.device import resolve_device

    if unknown := set(args.detector) - set(BACKBONES):
        raise SystemExit(f"no RetinaFace: {', '.join(unknown)}; there are {', '.join(BACKBONES)}")
    device = str(resolve_device(args.device))
    report = Report(
        "retinaface",
        settings={
            "size": "{}x{}".format(*args.size),
            "device": device,
            "rounds": args.repeat,
            "min_face_size": MIN_FACE_SIZE,
        },
    )
    with pictures(args.images, args.limit or max(*args.batch, args.switches)) as paths:
        images = [fill(read(path), *args.size) for path in paths]
    with stand_ins(args.detector) as missing:
        for detector in args.detector:
            random = bool(missing & set(weight_files(detector)))
            about = {
                "detector": detector,
                "backbone": BACKBONES[detector],
                "weights": "random" if random else "real",
            }
            try:
                tables = [_levels(detector, device, images, args.batch, args.repeat)]
                if args.switches:
                    chosen = images[: args.switches]
                    tables.append(_switches(detector, device, chosen, args.repeat))
            except (ValueError, ImportError) as error:
                report.note(f"{detector} skipped: {error}")
                continue
            for rows in tables:
                report.rows += [about | row for row in rows]
                print(table([about | row for row in rows], COLUMNS), end="\n\n", flush=True)
            report.save(args.out, args.tag)
    return report.finish(args)


def _levels(
    detector: str, device: str, images: list[Image], batches: Sequence[int], rounds: int
) -> list[Row]:
    """Every batch size, full and without stride 8; one by one on as many as the next batch has."""
    from deepface.detection.registry import DETECTORS

    runs = {}
    sizes: dict[tuple[int, str], int] = {}
    singles = min([batch for batch in batches if batch > 1], default=8)
    for batch in batches:
        chosen = images[: singles if batch == 1 else batch]
        for level, min_face_size in LEVELS.items():
            model = DETECTORS.build(detector, device, min_face_size=min_face_size)
            sizes[batch, level] = len(chosen)
            runs[batch, level] = partial(seconds, partial(_detect, model, chosen, batch))
    found = _per_image(runs, sizes, rounds)
    rows = []
    for (batch, level), times in found.items():
        row: Row = {"batch": batch, "run": level} | _speed(times)
        if level != "full":
            gains = [100 * (f / t - 1) for f, t in zip(found[batch, "full"], times, strict=True)]
            row |= Spread.of(gains).columns("gain_percent", 1)
        if batch > 1 and 1 in batches:
            row |= speed_up(found[1, level], times).columns("to_one_by_one")
        rows.append(row)
    return rows


def _switches(detector: str, device: str, images: list[Image], rounds: int) -> list[Row]:
    """One batch with each switch on alone, with none and with all."""
    from deepface.detection.registry import DETECTORS

    runs = {
        name: partial(
            seconds,
            partial(_detect, DETECTORS.build(detector, device, **options), images, len(images)),
        )
        for name, options in SWITCHES.items()
    }
    found = _per_image(runs, dict.fromkeys(runs, len(images)), rounds)
    rows = []
    for name, times in found.items():
        gains = [100 * (f / t - 1) for f, t in zip(found["all off"], times, strict=True)]
        row: Row = {"batch": len(images), "run": name} | _speed(times)
        rows.append(row | Spread.of(gains).columns("gain_percent", 1))
    return rows


def _per_image(runs: dict[Any, Any], sizes: dict[Any, int], rounds: int) -> dict[Any, list[float]]:
    for warm_up in runs.values():
        warm_up()
    results = alternate(runs, rounds)
    return {key: [elapsed / sizes[key] for elapsed in times] for key, times in results.items()}


def _speed(times: Sequence[float]) -> Row:
    fps = Spread.of([1 / elapsed for elapsed in times]).columns("images_per_second", 3)
    return fps | {"ms": round(1000 * Spread.of(times).median, 2)}


def _detect(model: Any, images: list[Image], batch: int) -> None:
    if batch == 1:
        for image in images:
            model.detect_faces(image)
    else:
        model.detect_faces(images)
