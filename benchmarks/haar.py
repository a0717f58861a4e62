"""The ``opencv`` detector: its cascades on a device, against OpenCV one by one and on all cores."""

from __future__ import annotations

import argparse
import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial

import cv2
import numpy as np

from benchmarks.arguments import add_output, add_pictures, add_rounds, numbers, positive, size
from benchmarks.measure import Spread, alternate, seconds, speed_up
from benchmarks.pictures import fill, pictures, read
from benchmarks.report import Report, Row, table
from benchmarks.worker import peak_device_memory_mb
from deepface.detection.haar.cascade import cascade_path
from deepface.types import Image

HELP = "the opencv detector's cascades in PyTorch against OpenCV one by one and on all cores"
COLUMNS = {
    "run": "run",
    "batch": "batch",
    "pictures": "pictures",
    "images_per_second": "images/s (quartiles)",
    "to_one_by_one": "× one by one",
    "to_all_cores": "× all cores",
    "faces": "faces",
    "eyes": "with eyes",
}
ONE_BY_ONE = "OpenCV one by one"
ALL_CORES = "OpenCV, all cores"
OURS_CPU = "ours, OpenCV"
OURS = "ours, PyTorch"
#: Pictures that are run one by one, and in small batches, at least.
_FEW, _SOME = 4, 16
#: How many times faster than OpenCV on all cores a GPU should be.
_GOAL = 5

#: A way to search, and pictures at a time.
Key = tuple[str, int]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    add_pictures(parser)
    parser.add_argument("--size", type=size, default=(1280, 720), help="default: 1280x720")
    parser.add_argument(
        "--batch", type=numbers, default=[1, 4, 8, 16, 32, 64], help="default: 1,4,8,16,32,64"
    )
    parser.add_argument("--border", type=float, default=0.5, help="default: 0.5, as published")
    parser.add_argument("--device")
    add_rounds(parser, default=3)
    parser.add_argument(
        "--seconds",
        type=positive,
        default=25,
        metavar="S",
        help="no further round begins that would end later (default: 25)",
    )
    add_output(parser)


def run(args: argparse.Namespace) -> int:
    """Measure, print, save."""
    from deepface.runtime.execution.device import resolve_device

    device = str(resolve_device(args.device))
    report = Report(
        "haar",
        settings={
            "size": "{}x{}".format(*args.size),
            "border": args.border,
            "device": device,
            "cores": os.cpu_count(),
        },
    )
    count = max(args.batch)
    with pictures(args.images, args.limit or count) as paths:
        images = [fill(read(path), *args.size) for path in paths]
    if len(images) < count:
        raise SystemExit(f"a batch of {count} needs as many pictures, but there are {len(images)}")
    report.settings["pictures"] = len(images)
    runs = _runs(images, args.border, args.batch, device)
    found, times = _measure(runs, args.repeat, args.seconds)
    report.rows = _rows(runs, found, times)
    report.settings["rounds"] = min(map(len, times.values()))
    report.settings["device_memory_mb"] = peak_device_memory_mb()
    print(table(report.rows, COLUMNS), end="\n\n", flush=True)
    report.note(_goal(report.rows, count))
    report.note(_choice(times, args.batch))
    return report.finish(args)


def _runs(
    images: list[Image], border: float, batches: Sequence[int], device: str
) -> dict[Key, tuple[int, Callable[[], list[bool]]]]:
    """For each way: the number of its pictures, and what searches them."""
    few = images[:_FEW]
    runs: dict[Key, tuple[int, Callable[[], list[bool]]]] = {
        (ONE_BY_ONE, 1): (len(few), partial(_one_by_one, few, border)),
        (ALL_CORES, len(images)): (len(images), partial(_all_cores, images, border)),
    }
    ways = {OURS_CPU: ("opencv", "cpu"), OURS: ("torch", device)}
    for batch in batches:
        some = images[: math.ceil(_SOME / batch) * batch]
        for name, way in ways.items():
            runs[name, batch] = len(some), partial(_ours, *way, some, border, batch)
    return runs


def _measure(
    runs: dict[Key, tuple[int, Callable[[], list[bool]]]],
    rounds: int,
    limit: float,
) -> tuple[dict[Key, list[bool]], dict[Key, list[float]]]:
    """What each way found when it was warmed up, and its seconds per picture in each round."""
    end = time.perf_counter() + limit
    found = {}
    for key, (_, warm_up) in runs.items():
        found[key] = warm_up()
    labels = {f"{name} {batch}": (name, batch) for name, batch in found}
    times: dict[Key, list[float]] = {key: [] for key in found}
    for number in range(rounds):
        start = time.perf_counter()
        turn = number % len(labels)
        order = [*labels][turn:] + [*labels][:turn]
        results = alternate({label: partial(seconds, runs[labels[label]][1]) for label in order}, 1)
        for label, (elapsed,) in results.items():
            times[labels[label]].append(elapsed / runs[labels[label]][0])
        now = time.perf_counter()
        if now + (now - start) > end:
            break
    return found, times


def _rows(
    runs: dict[Key, tuple[int, Callable[[], list[bool]]]],
    found: dict[Key, list[bool]],
    times: dict[Key, list[float]],
) -> list[Row]:
    one, all_cores = list(runs)[:2]
    rows = []
    for key, elapsed in times.items():
        row: Row = {"run": key[0], "batch": key[1], "pictures": runs[key][0]}
        row |= Spread.of([1 / t for t in elapsed]).columns("images_per_second", 3)
        for other, column in ((one, "to_one_by_one"), (all_cores, "to_all_cores")):
            if other != key:
                row |= speed_up(times[other], elapsed).columns(column)
        rows.append(row | {"faces": len(found[key]), "eyes": sum(found[key])})
    return rows


def _goal(rows: Sequence[Row], batch: int) -> str:
    """How many times faster the largest batch is than OpenCV on all cores."""
    ours = [
        f"{row['run']} {row['to_all_cores']} ×"
        for row in rows
        if row["batch"] == batch and row["run"] == OURS
    ]
    return f"batch {batch} to OpenCV on all cores: {', '.join(ours)} (goal on a GPU: {_GOAL} ×)"


def _choice(times: dict[Key, list[float]], batches: Sequence[int]) -> str:
    """From which batch on the detector chooses the device, which it measures like this."""
    faster = [batch for batch in batches if min(times[OURS, batch]) < min(times[OURS_CPU, batch])]
    if not faster:
        return f"left to choose, the detector takes {OURS_CPU} at every batch"
    return f"left to choose, the detector takes {OURS} at batch {', '.join(map(str, faster))}"


def _one_by_one(images: Sequence[Image], border: float) -> list[bool]:
    find = _Published()
    return [face for image in images for face in find(image, border)]


def _all_cores(images: Sequence[Image], border: float) -> list[bool]:
    cores = os.cpu_count() or 1
    with _opencv_threads(1), ThreadPoolExecutor(cores) as pool:
        shares = pool.map(lambda i: _one_by_one(images[i::cores], border), range(cores))
        return [face for share in shares for face in share]


class _Published:
    """What the published library does with a picture: OpenCV's calls for faces and their eyes."""

    def __init__(self) -> None:
        faces, eyes = (
            str(cascade_path(f"haarcascade_{name}.xml")) for name in ("frontalface_default", "eye")
        )
        self._faces, self._eyes = cv2.CascadeClassifier(faces), cv2.CascadeClassifier(eyes)

    def __call__(self, image: Image, border: float) -> list[bool]:
        """For each face whether it has two eyes."""
        y, x = int(border * image.shape[0]), int(border * image.shape[1])
        padded = cv2.copyMakeBorder(image, y, y, x, x, cv2.BORDER_CONSTANT, value=(0, 0, 0))
        boxes, _, _ = self._faces.detectMultiScale3(padded, 1.1, 10, outputRejectLevels=True)
        found = []
        for x, y, w, h in np.asarray(boxes, np.int64).reshape(-1, 4).tolist():
            gray = cv2.cvtColor(padded[y : y + h, x : x + w], cv2.COLOR_BGR2GRAY)
            found.append(len(self._eyes.detectMultiScale(gray, 1.1, 10)) >= 2)
        return found


def _ours(
    implementation: str, device: str, images: Sequence[Image], border: float, batch: int
) -> list[bool]:
    from deepface.detection.canvas import Canvas
    from deepface.detection.registry import DETECTORS

    detector = DETECTORS.build("opencv", device)
    canvases = [Canvas.with_border(image, border) for image in images]
    with _chosen(implementation):
        found = [
            faces
            for start in range(0, len(canvases), batch)
            for faces in detector.detect_canvases(canvases[start : start + batch])
        ]
    return [face.left_eye is not None for faces in found for face in faces]


@contextmanager
def _opencv_threads(count: int) -> Iterator[None]:
    before = cv2.getNumThreads()
    cv2.setNumThreads(count)
    try:
        yield
    finally:
        cv2.setNumThreads(before)


@contextmanager
def _chosen(implementation: str) -> Iterator[None]:
    before = os.environ.get("DEEPFACE_HAAR")
    os.environ["DEEPFACE_HAAR"] = implementation
    try:
        yield
    finally:
        del os.environ["DEEPFACE_HAAR"]
        if before is not None:
            os.environ["DEEPFACE_HAAR"] = before
