"""OpenCV's Haar cascades for faces and eyes (Viola and Jones, 2001): the default detector."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import cv2
import numpy as np

from deepface.detection.alignment import cut
from deepface.detection.canvas import Canvas
from deepface.detection.cascade import Cascade, Spread, group
from deepface.detection.detector import Detector
from deepface.types import FacialAreaRegion, Image, Point

#: Left and right eye; both are ``None`` when fewer than two were found.
Eyes = tuple[Point, Point] | tuple[None, None]


class OpenCvDetector(Detector):
    """Faces by ``haarcascade_frontalface_default.xml``, their eyes by ``haarcascade_eye.xml``.

    The images of a list are spread over as many threads as OpenCV uses (``cv2.getNumThreads()``);
    of a few images, the sizes of each one's pyramid are.

    The surest face comes first; of equally sure ones the larger, then the upper, then the left.
    ``confidence`` is ``(100 - weight) / 100`` as published, so that a sure face has a lower value.
    """

    name = "opencv"
    landmarks = 2

    def __init__(self, device: str | None = None) -> None:
        super().__init__(device)
        self._cascade = Cascade("haarcascade_frontalface_default.xml")
        _eye_cascade()

    def _detect_batch(self, canvases: Sequence[Canvas]) -> list[list[FacialAreaRegion]]:
        threads = cv2.getNumThreads()
        with ThreadPoolExecutor(threads) as pool:
            if len(canvases) < threads:
                return [self._find(canvas, pool.map) for canvas in canvases]
            # The largest first: no thread is left alone with a large one at the end.
            order = sorted(range(len(canvases)), key=lambda i: -canvases[i].image.size)
            found = pool.map(self._find, [canvases[i] for i in order])
            faces = dict(zip(order, found, strict=True))
        return [faces[i] for i in range(len(canvases))]

    def _find(self, canvas: Canvas, spread: Spread = map) -> list[FacialAreaRegion]:
        found = group(self._cascade.search(canvas, spread), canvas.shape)
        boxes = found.boxes.tolist()
        crops = [cut(canvas.image, x - canvas.left, y - canvas.top, w, h) for x, y, w, h in boxes]
        faces = zip(boxes, found.weights.tolist(), spread(_eyes_of, crops), strict=True)
        return [
            FacialAreaRegion(
                *(x, y, w, h),
                left_eye=left and (x + left[0], y + left[1]),
                right_eye=right and (x + right[0], y + right[1]),
                confidence=(100 - weight) / 100,
            )
            for (x, y, w, h), weight, (left, right) in faces
        ]


def find_eyes(crops: Sequence[Image]) -> list[Eyes]:
    """The eyes in pictures of one face each, by OpenCV's eye cascade.

    Args:
        crops: BGR ``uint8`` arrays ``(h, w, 3)`` of any sizes, also empty ones.

    Returns:
        For each crop the left and the right eye in its pixels, or twice ``None``.
    """
    if len(crops) < 2:
        return [_eyes_of(crop) for crop in crops]
    with ThreadPoolExecutor(cv2.getNumThreads()) as pool:
        return list(pool.map(_eyes_of, crops))


@cache
def _eye_cascade() -> Cascade:
    return Cascade("haarcascade_eye.xml")


def _eyes_of(crop: Image) -> Eyes:
    if crop.size == 0:
        return None, None
    gray = cv2.cvtColor(np.ascontiguousarray(crop), cv2.COLOR_BGR2GRAY)
    with _eye_cascade().classifier() as classifier:
        boxes = np.asarray(classifier.detectMultiScale(gray, 1.1, 10)).reshape(-1, 4).tolist()
    if len(boxes) < 2:
        return None, None
    # OpenCV's order depends on its threads: equally large ones are taken from the top left.
    largest = sorted(boxes, key=lambda box: (-box[2] * box[3], box[1], box[0]))[:2]
    right, left = (
        (int(x + w / 2), int(y + h / 2)) for x, y, w, h in sorted(largest, key=lambda box: box[0])
    )
    return left, right
