"""JPEG files decoded on the device against the CPU: how fast, and what changes in the results."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from benchmarks.arguments import (
    add_made_weights,
    add_output,
    add_pictures,
    add_rounds,
    positive,
    size,
)
from benchmarks.measure import Spread, alternate, seconds, speed_up
from benchmarks.pictures import pictures, write_filled
from benchmarks.report import Report, Row
from benchmarks.stand_in_home import recognition_stand_in
from benchmarks.stand_ins import stand_ins

HELP = 'decode="device" against decode="cpu": speed, pixels, boxes, vectors'
COLUMNS = {
    "what": "what",
    "run": "decoded by",
    "pictures": "pictures",
    "images_per_second": "images/s (quartiles)",
    "to_cpu": "× CPU",
    "pixel_mean": "mean difference of pixels",
    "pixel_max": "largest",
    "faces": "faces",
    "unmatched": "without a partner",
    "box": "largest shift of a box, px",
    "cosine": "smallest cosine of vectors",
}
ON_CPU, ON_DEVICE = "CPU", "device"
#: Overlap of two boxes of one face.
_SAME = 0.5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("--detector", default="yolov11n")
    parser.add_argument("--model", default="Facenet")
    add_pictures(parser)
    parser.add_argument("--size", type=size, default=(1280, 720), help="default: 1280x720")
    parser.add_argument("--batch", type=positive, default=64, help="default: 64")
    parser.add_argument("--device")
    add_made_weights(parser)
    add_rounds(parser, default=3)
    add_output(parser)


def run(args: argparse.Namespace) -> int:
    """Measure, print, save."""
    from deepface.runtime.execution.device import resolve_device

    device = resolve_device(args.device)
    settings = {"device": str(device), "size": "{}x{}".format(*args.size), "batch": args.batch}
    report = Report("decode", settings=settings | {"rounds": args.repeat})
    with ExitStack() as stack:
        originals = stack.enter_context(pictures(args.images, args.limit))
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="benchmarks-")))
        paths = [str(path) for path in write_filled(originals, folder, *args.size)]
        for name in stack.enter_context(stand_ins([args.detector])):
            report.note(f"{name}: random weights, which find no face")
        if stack.enter_context(recognition_stand_in(args.stand_ins, args.model)):
            report.note(f"{args.model}: stand-in weights")
        report.rows += _decoding(paths, device, args.batch, args.repeat)
        report.rows += _streams(args, paths)
    return report.finish(args, COLUMNS)


def _decoding(paths: Sequence[str], device: Any, batch: int, rounds: int) -> list[Row]:
    """Files to pixels, and by how much pixels differ."""

    def decode(run: str) -> None:
        for _ in _pixels(paths, device if run == ON_DEVICE else None, batch):
            pass

    runs = {run: partial(seconds, partial(decode, run)) for run in (ON_CPU, ON_DEVICE)}
    decode(ON_DEVICE)
    rows = _rows("decoding", alternate(runs, rounds), len(paths))
    differences = [
        np.abs(one.astype(np.int16) - other.cpu().numpy())
        for one, other in zip(
            _pixels(paths, None, batch), _pixels(paths, device, batch), strict=True
        )
    ]
    rows[1]["pixel_mean"] = round(float(np.mean([d.mean() for d in differences])), 4)
    rows[1]["pixel_max"] = int(max(d.max() for d in differences))
    return rows


def _pixels(paths: Sequence[str], device: Any, batch: int) -> Iterator[Any]:
    from deepface.images.batch import open_batch
    from deepface.images.device_image import decoded

    for chunk in open_batch(list(paths)).attempts(batch, leave_jpeg=device is not None):
        for image in decoded(chunk, device, single=False):
            yield image.pixels  # type: ignore[union-attr] # files that were just written


def _streams(args: argparse.Namespace, paths: list[str]) -> list[Row]:
    """Files to vectors, and what of the results differs."""
    from deepface.pipeline import FacePipeline

    def stream(decode: Any) -> list[Any]:
        pipeline = FacePipeline(
            args.detector,
            args.model,
            enforce_detection="empty",
            decode=decode,
            device=args.device,
            batch_size=args.batch,
        )
        return [item.faces for item in pipeline.stream(paths)]

    runs = {ON_CPU: partial(stream, "cpu"), ON_DEVICE: partial(stream, "device")}
    results = {name: call() for name, call in runs.items()}  # the networks are built here
    times = alternate({name: partial(seconds, call) for name, call in runs.items()}, args.repeat)
    rows = _rows(f"{args.detector} + {args.model}", times, len(paths))
    for row in rows:
        row["faces"] = sum(map(len, results[row["run"]]))
    rows[1] |= differences(results[ON_CPU], results[ON_DEVICE])
    return rows


def _rows(what: str, times: dict[str, list[float]], count: int) -> list[Row]:
    rows = []
    for run, elapsed in times.items():
        row: Row = {"what": what, "run": run, "pictures": count}
        row |= Spread.of([count / t for t in elapsed]).columns("images_per_second", 1)
        if run != ON_CPU:
            row |= speed_up(times[ON_CPU], elapsed).columns("to_cpu")
        rows.append(row)
    return rows


def differences(expected: Sequence[Any], found: Sequence[Any]) -> Row:
    """Faces of ``represent`` by picture: how many have no partner, how far the others moved."""
    unmatched, box, cosine = 0, 0, 1.0
    for ours, others in zip(found, expected, strict=True):
        rest = list(others)
        for face in ours:
            partner = max(rest, key=lambda other: _overlap(face, other), default=None)
            if partner is None or _overlap(face, partner) < _SAME:
                unmatched += 1
                continue
            rest.remove(partner)
            shifts = (abs(a - b) for a, b in zip(_box(face), _box(partner), strict=True))
            box = max(box, *shifts)
            a, b = np.array(face["embedding"]), np.array(partner["embedding"])
            cosine = min(cosine, float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b))))
        unmatched += len(rest)
    return {"unmatched": unmatched, "box": box, "cosine": round(cosine, 6)}


def _box(face: Any) -> tuple[int, ...]:
    return tuple(face["facial_area"][side] for side in "xywh")


def _overlap(one: Any, other: Any) -> float:
    """Intersection over union of two faces' boxes."""
    (ax, ay, aw, ah), (bx, by, bw, bh) = _box(one), _box(other)
    width = max(0, min(ax + aw, bx + bw) - max(ax, bx))
    height = max(0, min(ay + ah, by + bh) - max(ay, by))
    both = width * height
    return both / max(1, aw * ah + bw * bh - both)
