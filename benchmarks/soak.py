"""A long run in one process: does memory stay flat, and is the last result that of the first?

The files are listed again and again. Resident memory is read every few hundred pictures; its slope
is that of a line fitted through what was read after the first ones.
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import itertools
import json
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.arguments import add_made_weights, add_output, add_pictures, positive
from benchmarks.measure import in_fresh_process
from benchmarks.pictures import pictures
from benchmarks.report import Report, Row, table
from benchmarks.stand_in_home import recognition_stand_in

HELP = "resident memory over a long stream, and equality of its first and last pass"
COLUMNS = {
    "detector": "detector",
    "model": "model",
    "images": "images",
    "files": "files",
    "seconds": "s",
    "rss_first_mb": "MB after the first",
    "rss_last_mb": "MB at the end",
    "mb_per_1000": "MB per 1,000 images",
    "passes_equal": "last pass equals first",
    "faces": "faces",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    add_pictures(parser)
    parser.add_argument("--count", type=positive, default=20_000, help="default: 20,000")
    parser.add_argument("--settle", type=positive, default=500, help="not counted (default: 500)")
    parser.add_argument("--every", type=positive, default=500, help="read memory (default: 500)")
    parser.add_argument("--detector", default="yunet")
    parser.add_argument("--model", default="Dlib")
    parser.add_argument("--batch", type=positive, default=32)
    add_made_weights(parser)
    add_output(parser)


def run(args: argparse.Namespace) -> int:
    """Measure, print, save."""
    report = Report("soak", settings={"batch": args.batch, "settle": args.settle})
    with (
        pictures(args.images, args.limit) as found,
        recognition_stand_in(args.stand_ins, args.model) as made,
    ):
        if made:
            report.note(f"{args.model}: stand-in weights")
        row, readings = in_fresh_process(
            soak, list(found), args.count, args.settle, args.every, args.detector, args.model,
            args.batch,
        )  # fmt: skip
    shared = {"detector": args.detector, "model": args.model, "files": len(found)}
    report.rows = [shared | row]
    report.rows += [{"after": after, "rss_mb": rss} for after, rss in readings]
    path = report.save(args.out, args.tag)
    print(table(report.rows[:1], COLUMNS), end="\n\n")
    print(f"written: {path}")
    return 0 if row["passes_equal"] else 1


def soak(
    files: list[Path], count: int, settle: int, every: int, detector: str, model: str, batch: int
) -> tuple[Row, list[tuple[int, float]]]:
    """Stream ``count`` pictures; the figures, and memory after so many pictures."""
    from deepface.pipeline import FacePipeline

    pipeline = FacePipeline(detector, model, enforce_detection="empty", batch_size=batch)
    sources = itertools.islice(itertools.cycle([str(path) for path in files]), count)
    readings: list[tuple[int, float]] = []
    digests: dict[int, str] = {}
    equal, faces, start = True, 0, time.perf_counter()
    for item in pipeline.stream(sources, on_error="yield"):
        faces += len(item.faces)
        digest = _digest(item.faces, item.error)
        equal &= digests.setdefault(item.index % len(files), digest) == digest
        if (item.index + 1) % every == 0:
            gc.collect()
            readings.append((item.index + 1, round(resident_mb(), 1)))
    counted = [(after, rss) for after, rss in readings if after >= settle]
    return {
        "images": count,
        "seconds": round(time.perf_counter() - start, 1),
        "rss_first_mb": counted[0][1] if counted else None,
        "rss_last_mb": counted[-1][1] if counted else None,
        "mb_per_1000": round(1000 * _slope(counted), 3),
        "passes_equal": equal,
        "faces": faces,
    }, readings


def _slope(points: list[tuple[int, float]]) -> float:
    if len(points) < 2:
        return 0.0
    images, rss = np.array(points).T
    return float(np.polyfit(images, rss, 1)[0])


def _digest(faces: list[dict[str, Any]], error: Exception | None) -> str:
    # An error's text names the item's number in the stream: only its kind repeats.
    text = json.dumps(faces) if error is None else type(error).__name__
    return hashlib.sha256(text.encode()).hexdigest()


def resident_mb() -> float:
    """Resident memory of this process, in MB (10^6 bytes)."""
    import psutil

    return float(psutil.Process().memory_info().rss / 1e6)
