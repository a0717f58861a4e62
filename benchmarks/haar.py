"""The ``opencv`` detector: its cascades on a device, against OpenCV one by one and on all cores."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial

import cv2
import numpy as np

from benchmarks.arguments import add_output, add_pictures, add_rounds, numbers, size
from benchmarks.measure import Spread, alternate, seconds, speed_up
from benchmarks.pictures import fill, pictures, read
from benchmarks.report import Report, Row, table
from benchmarks.worker import peak_device_memory_mb
from deepface.detection.cascade import cascade_path
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
KERNELS = "ours, Triton"
#: Pictures that are run one by one.
_FEW = 8


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
    add_output(parser)


def run(args: argparse.Namespace) -> int:
    """Measure, print, save."""
    from deepface.runtime.device import resolve_device

    device = str(resolve_device(args.device))
    report = Report(
        "haar",
        settings={
            "size": "{}x{}".format(*args.size),
            "border": args.border,
            "device": device,
            "cores": os.cpu_count(),
            "rounds": args.repeat,
        },
    )
    count = max(args.batch)
    with pictures(args.images, args.limit or count) as paths:
        images = [fill(read(path), *args.size) for path in paths]
    if len(images) < count:
        raise SystemExit(f"a batch of {count} needs as many pictures, but there are {len(images)}")
    report.settings["pictures"] = len(images)
    report.rows = _measure(images, args.border, args.batch, device, args.repeat)
    report.settings["device_memory_mb"] = peak_device_memory_mb()
    print(table(report.rows, COLUMNS), end="\n\n", flush=True)
    print(f"written: {report.save(args.out, args.tag)}")
    return 0


def _measure(
    images: list[Image], border: float, batches: Sequence[int], device: str, rounds: int
) -> list[Row]:
    one, all_cores = (ONE_BY_ONE, 1), (ALL_CORES, len(images))
    few = images[:_FEW]
    runs: dict[tuple[str, int], Callable[[], list[bool]]] = {
        one: partial(_one_by_one, few, border),
        all_cores: partial(_all_cores, images, border),
        (OURS_CPU, len(images)): partial(_ours, "opencv", images, border, "cpu", len(images)),
    }
    for batch in batches:
        runs[OURS, batch] = partial(_ours, "torch", images, border, device, batch)
        if device.startswith("cuda"):
            runs[KERNELS, batch] = partial(_ours, "triton", images, border, device, batch)
    counts = {key: len(few) if key == one else len(images) for key in runs}
    found = {key: warm_up() for key, warm_up in runs.items()}
    labels = {f"{name} {batch}": (name, batch) for name, batch in runs}
    results = alternate({label: partial(seconds, runs[labels[label]]) for label in labels}, rounds)
    times = {
        labels[label]: [t / counts[labels[label]] for t in elapsed]
        for label, elapsed in results.items()
    }
    rows = []
    for key, elapsed in times.items():
        row: Row = {"run": key[0], "batch": key[1], "pictures": counts[key]}
        row |= Spread.of([1 / t for t in elapsed]).columns("images_per_second", 3)
        for other, column in ((one, "to_one_by_one"), (all_cores, "to_all_cores")):
            if other != key:
                row |= speed_up(times[other], elapsed).columns(column)
        rows.append(row | {"faces": len(found[key]), "eyes": sum(found[key])})
    return rows


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
    implementation: str, images: Sequence[Image], border: float, device: str, batch: int
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
