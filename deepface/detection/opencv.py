"""OpenCV's Haar cascades for faces and eyes (Viola and Jones, 2001): the default detector.

There are two implementations, whose results are equal to the last bit: OpenCV's own, by threads of
the CPU (``cascade.py``), and one that takes a whole batch through the cascade on a CUDA device
(``haar.py``). ``DEEPFACE_HAAR`` says which where it matters: ``opencv``; ``torch``, on any device;
``triton``, the second with kernels for CUDA of its own.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from deepface.detection.alignment import cut
from deepface.detection.canvas import Canvas
from deepface.detection.cascade import Candidates, Cascade, Spread, group
from deepface.detection.detector import Detector
from deepface.errors import UnimplementedError
from deepface.runtime.device import may_have_cuda, resolve_device
from deepface.types import FacialAreaRegion, Image, Point

if TYPE_CHECKING:
    import torch

    from deepface.detection.haar_atlas import Pictures, View

#: Left and right eye; both are ``None`` when fewer than two were found.
Eyes = tuple[Point, Point] | tuple[None, None]

_FACES, _EYES = "haarcascade_frontalface_default.xml", "haarcascade_eye.xml"
#: From so many pictures on, a CUDA device searches them. A cautious guess that no GPU has confirmed
#: yet: ``python -m benchmarks haar`` measures it.
_DEVICE_FROM = 16
#: Grey pixels that are on the device at a time: bounds its memory.
_DEVICE_PIXELS = 1 << 28


class OpenCvDetector(Detector):
    """Faces by ``haarcascade_frontalface_default.xml``, their eyes by ``haarcascade_eye.xml``.

    The images of a list are spread over as many threads as OpenCV uses (``cv2.getNumThreads()``);
    of a few images, the sizes of each one's pyramid are.

    On a CUDA device the pictures of a longer list go through the cascades together.

    The surest face comes first; of equally sure ones the larger, then the upper, then the left.
    ``confidence`` is ``(100 - weight) / 100`` as published, so that a sure face has a lower value.
    """

    name = "opencv"
    landmarks = 2

    def __init__(self, device: str | None = None) -> None:
        super().__init__(device)
        self._cascade = Cascade(_FACES)
        _eye_cascade()

    def _detect_batch(self, canvases: Sequence[Canvas]) -> list[list[FacialAreaRegion]]:
        device = _search_device(self.device_name, len(canvases))
        if device is not None:
            return _detect_on_device(canvases, device)
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
        crops = [
            cut(canvas.image, x - canvas.left, y - canvas.top, w, h)
            for x, y, w, h in found.boxes.tolist()
        ]
        return _faces(found, list(spread(_eyes_of, crops)))


def _faces(found: Candidates, eyes: Sequence[Eyes]) -> list[FacialAreaRegion]:
    """The faces of one canvas, with the eyes that were found in each box."""
    return [
        FacialAreaRegion(
            *(x, y, w, h),
            left_eye=left and (x + left[0], y + left[1]),
            right_eye=right and (x + right[0], y + right[1]),
            confidence=(100 - weight) / 100,
        )
        for (x, y, w, h), weight, (left, right) in zip(
            found.boxes.tolist(), found.weights.tolist(), eyes, strict=True
        )
    ]


def _search_device(name: str | None, count: int) -> torch.device | None:
    """Where ``count`` pictures are searched as one batch; ``None``: by OpenCV.

    Raises:
        UnimplementedError: ``DEEPFACE_HAAR`` is set to something else than it can be.
    """
    choice = os.environ.get("DEEPFACE_HAAR") or "auto"
    if choice not in ("auto", "opencv", "torch", "triton"):
        raise UnimplementedError(
            f"environment variable DEEPFACE_HAAR={choice!r}: use 'opencv', 'torch' or 'triton', or "
            "leave it out to let the device and the number of pictures decide"
        )
    if choice == "opencv" or (choice == "auto" and (count < _DEVICE_FROM or not may_have_cuda())):
        return None
    device = resolve_device(name)
    if choice == "triton" and device.type != "cuda":
        raise UnimplementedError(f"DEEPFACE_HAAR=triton needs a CUDA device, not {device.type!r}")
    return device if choice == "torch" or device.type == "cuda" else None


def _searched(
    file: str, device: torch.device, pictures: Pictures, views: Sequence[View]
) -> list[Candidates]:
    from deepface.detection.haar import haar_search

    fused = os.environ.get("DEEPFACE_HAAR") == "triton"
    return haar_search(file, device, fused).find(pictures, views)


def _detect_on_device(
    canvases: Sequence[Canvas], device: torch.device
) -> list[list[FacialAreaRegion]]:
    from deepface.detection.haar_atlas import Pictures, View

    results: list[list[FacialAreaRegion]] = []
    for part in _runs([canvas.image.shape for canvas in canvases]):
        some = canvases[part]
        pictures = Pictures([canvas.image for canvas in some], device)
        views = [View(i, -c.left, -c.top, c.width, c.height) for i, c in enumerate(some)]
        found = _searched(_FACES, device, pictures, views)
        crops = [
            View(i, x - canvas.left, y - canvas.top, w, h)
            for i, (canvas, faces) in enumerate(zip(some, found, strict=True))
            for x, y, w, h in faces.boxes.tolist()
        ]
        pairs = iter([_two(eyes.boxes) for eyes in _searched(_EYES, device, pictures, crops)])
        results += [_faces(faces, [next(pairs) for _ in faces.weights]) for faces in found]
    return results


def find_eyes(crops: Sequence[Image], device: str | None = None) -> list[Eyes]:
    """The eyes in pictures of one face each, by OpenCV's eye cascade.

    Args:
        crops: BGR ``uint8`` arrays ``(h, w, 3)`` of any sizes, also empty ones.
        device: of the detector; a CUDA device searches many crops together.

    Returns:
        For each crop the left and the right eye in its pixels, or twice ``None``.
    """
    search_device = _search_device(device, len(crops))
    if search_device is not None:
        return _find_eyes_on_device(crops, search_device)
    if len(crops) < 2:
        return [_eyes_of(crop) for crop in crops]
    with ThreadPoolExecutor(cv2.getNumThreads()) as pool:
        return list(pool.map(_eyes_of, crops))


def _runs(shapes: Sequence[tuple[int, ...]]) -> Iterator[slice]:
    """Consecutive pictures ``(height, width, ...)`` that are on the device together."""
    start = held = 0
    for position, (height, width, *_) in enumerate(shapes):
        if held and held + height * width > _DEVICE_PIXELS:
            yield slice(start, position)
            start, held = position, 0
        held += height * width
    yield slice(start, len(shapes))


def _find_eyes_on_device(crops: Sequence[Image], device: torch.device) -> list[Eyes]:
    from deepface.detection.haar_atlas import Pictures, View

    eyes: list[Eyes] = []
    for part in _runs([crop.shape for crop in crops]):
        some = crops[part]
        views = [View(i, 0, 0, crop.shape[1], crop.shape[0]) for i, crop in enumerate(some)]
        found = _searched(_EYES, device, Pictures(some, device), views)
        eyes += [_two(boxes.boxes) for boxes in found]
    return eyes


@cache
def _eye_cascade() -> Cascade:
    return Cascade(_EYES)


def _eyes_of(crop: Image) -> Eyes:
    if crop.size == 0:
        return None, None
    gray = cv2.cvtColor(np.ascontiguousarray(crop), cv2.COLOR_BGR2GRAY)
    with _eye_cascade().classifier() as classifier:
        return _two(np.asarray(classifier.detectMultiScale(gray, 1.1, 10)))


def _two(found: NDArray[Any]) -> Eyes:
    """Left and right eye from the boxes ``(n, 4)`` that the cascade found in one face."""
    boxes = found.reshape(-1, 4).tolist()
    if len(boxes) < 2:
        return None, None
    # OpenCV's order depends on its threads: equally large ones are taken from the top left.
    largest = sorted(boxes, key=lambda box: (-box[2] * box[3], box[1], box[0]))[:2]
    right, left = (
        (int(x + w / 2), int(y + h / 2)) for x, y, w, h in sorted(largest, key=lambda box: box[0])
    )
    return left, right
