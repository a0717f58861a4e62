"""What the black border costs: recall and time of detection with it and without it.

The published library pads every picture by half its size on every side before detection when
``align`` is on, so a detector that scales its input to a fixed size sees every face at half size.

Recall is the share of annotated faces, of those whose shorter side has at least 10 pixels, that a
detection covers with an intersection over union of at least 0.5; a detection covers one face at
most. All pictures count together, not picture by picture.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.arguments import add_output, add_rounds, folder, names
from benchmarks.measure import Spread, alternate, seconds, speed_up
from benchmarks.report import Report, Row

HELP = "recall and time of detection with the published black border and without it"
BORDERS = {"with": 0.5, "without": 0.0}
MIN_SIDE = 10
MIN_IOU = 0.5
COLUMNS = {
    "detector": "detector",
    "pictures": "pictures",
    "faces": "faces ≥ 10 px",
    "recall_with": "recall with border",
    "recall_without": "without",
    "wrong_with": "no face: with border",
    "wrong_without": "without",
    "ms_with": "ms/image with border",
    "ms_without": "without",
    "speed_up": "× faster without",
}

Box = Sequence[float]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("--detector", type=names, required=True, help="NAME[,NAME...]")
    parser.add_argument(
        "--images",
        type=folder,
        required=True,
        metavar="DIR",
        help="pictures and ground_truth.json: {file: {stored_size: [w, h], boxes_xywh: [...]}}",
    )
    parser.add_argument("--device")
    add_rounds(parser, default=3)
    add_output(parser)


def run(args: argparse.Namespace) -> int:
    """Measure, print, save."""
    report = Report("border", settings={"min_side": MIN_SIDE, "min_iou": MIN_IOU})
    truth = json.loads((args.images / "ground_truth.json").read_text())
    for detector in args.detector:
        try:
            report.rows += _measure(detector, args.images, truth, args.repeat, args.device)
        except (ValueError, ImportError) as error:
            report.note(f"{detector} skipped: {error}")
            continue
        report.save(args.out, args.tag)
    return report.finish(args, COLUMNS)


def _measure(
    detector: str, images: Path, truth: dict[str, Any], rounds: int, device: str | None
) -> list[Row]:
    from deepface import DeepFace

    paths = [images / name for name in truth]
    find = {
        name: partial(
            DeepFace.extract_faces,
            paths,
            detector_backend=detector,
            enforce_detection=False,
            border=border,
            device=device,
        )
        for name, border in BORDERS.items()
    }
    found = {name: [boxes(faces) for faces in call()] for name, call in find.items()}
    times = alternate({name: partial(seconds, call) for name, call in find.items()}, rounds)
    timing: Row = {}
    for name in BORDERS:
        per_image = [1000 * s / len(paths) for s in times[name]]
        timing |= Spread.of(per_image).columns(f"ms_{name}")
    timing |= speed_up(times["with"], times["without"]).columns("speed_up")
    rows: list[Row] = []
    for label, chosen in picture_sets(truth).items():
        row: Row = {"detector": detector, "pictures": label}
        for name in BORDERS:
            pairs = [(truth[file]["boxes_xywh"], found[name][i]) for i, file in chosen]
            row |= scores(pairs, name)
        rows.append(row | (timing if not rows else {}))
    return rows


def boxes(faces: Any) -> list[Box]:
    """The boxes of what ``extract_faces`` gave for one picture."""
    return [
        [face["facial_area"][key] for key in "xywh"] for face in faces if face["confidence"] > 0
    ]


def picture_sets(truth: dict[str, Any]) -> dict[str, list[tuple[int, str]]]:
    """All pictures, and those of the commonest size when there are others.

    In ``shared/images/wider`` 100 of 104 pictures are stretched to 416×416; the other four are
    larger, hold half of all faces and would decide the sum.
    """
    everything = list(enumerate(truth))
    sizes = [tuple(truth[name]["stored_size"]) for name in truth]
    common = max(set(sizes), key=sizes.count)
    some = [(i, name) for i, name in everything if sizes[i] == common]
    label = f"{len(some)} of {common[0]}×{common[1]}"
    if len(some) == len(everything):
        return {label: everything}
    return {label: some, f"all {len(everything)}": everything}


def scores(pairs: Sequence[tuple[Sequence[Box], Sequence[Box]]], name: str) -> Row:
    """Recall, and detections that are no annotated face, of ``(annotated, found)`` per picture."""
    faces = hits = wrong = 0
    for annotated, found in pairs:
        covered = match(annotated, found)
        large = [i for i, box in enumerate(annotated) if min(box[2], box[3]) >= MIN_SIDE]
        faces += len(large)
        hits += sum(i in covered for i in large)
        wrong += len(found) - len(covered)
    return {
        "faces": faces,
        f"recall_{name}": round(hits / faces, 3) if faces else None,
        f"wrong_{name}": wrong,
    }


def match(annotated: Sequence[Box], found: Sequence[Box]) -> set[int]:
    """Which annotated boxes are covered."""
    return {i for i, _ in pairs(annotated, found)}


def pairs(annotated: Sequence[Box], found: Sequence[Box]) -> list[tuple[int, int]]:
    """Positions of boxes that cover each other; those that overlap most are matched first."""
    overlaps = [(iou(a, b), i, j) for i, a in enumerate(annotated) for j, b in enumerate(found)]
    matched: list[tuple[int, int]] = []
    for overlap, i, j in sorted(overlaps, reverse=True):
        if overlap >= MIN_IOU and all(i != a and j != b for a, b in matched):
            matched.append((i, j))
    return matched


def iou(first: Box, second: Box) -> float:
    """Intersection over union of two boxes ``(x, y, w, h)``."""
    width = min(first[0] + first[2], second[0] + second[2]) - max(first[0], second[0])
    height = min(first[1] + first[3], second[1] + second[3]) - max(first[1], second[1])
    if width <= 0 or height <= 0:
        return 0.0
    common = width * height
    return common / (first[2] * first[3] + second[2] * second[3] - common)
