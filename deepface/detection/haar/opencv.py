"""The detector ``opencv``, and the search for eyes.

The fastest implementation searches. ``DEEPFACE_HAAR`` says which where it matters: ``opencv``,
``numba``, or ``torch`` on any device.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from deepface.detection.canvas import Canvas, cut
from deepface.detection.cards.opencv import CARD, EYES, FACES
from deepface.detection.detector import Detector
from deepface.detection.haar.cascade import Cascade, Spread
from deepface.detection.haar.choice import search
from deepface.detection.haar.grouping import Hits, group, scan_order
from deepface.runtime.concurrency.each import in_threads
from deepface.types import FacialAreaRegion, Pixels, Point, on_host

if TYPE_CHECKING:
    import torch

    from deepface.detection.haar.atlas import Pictures, View

#: Left and right eye; both are ``None`` when fewer than two were found.
Eyes = tuple[Point, Point] | tuple[None, None]


class OpenCvDetector(Detector):
    """Faces by ``haarcascade_frontalface_default.xml``, their eyes by ``haarcascade_eye.xml``.

    The images of a list are spread over as many threads as OpenCV uses (``cv2.getNumThreads()``);
    of a few images, the sizes of each one's pyramid are.

    On a CUDA device the pictures of a list go through the cascades together, where that is faster.

    The surest face comes first; of equally sure ones the larger, then the upper, then the left.
    ``confidence`` is ``(100 - weight) / 100`` as published, so that a sure face has a lower value.
    """

    card = CARD
    takes_tensors = True
    prefers_arrays = True

    def __init__(self, device: str | None = None) -> None:
        super().__init__(device)
        self._cascade = Cascade(FACES.name)
        _eye_cascade()

    def _detect_batch(self, canvases: Sequence[Canvas]) -> list[list[FacialAreaRegion]]:
        return search(
            "faces",
            [canvas.image for canvas in canvases],
            self.device_name,
            lambda: self._detect_by_opencv(canvases),
            lambda there: _detect_on_device(canvases, there),
        )

    def _detect_by_opencv(self, canvases: Sequence[Canvas]) -> list[list[FacialAreaRegion]]:
        threads = cv2.getNumThreads()
        with ThreadPoolExecutor(threads) as pool:
            if len(canvases) < threads:
                return [self._find(canvas, pool.map) for canvas in canvases]
            # The largest first: no thread is left alone with a large one at the end.
            order = sorted(
                range(len(canvases)), key=lambda i: -canvases[i].height * canvases[i].width
            )
            found = pool.map(self._find, [canvases[i] for i in order])
            faces = dict(zip(order, found, strict=True))
        return [faces[i] for i in range(len(canvases))]

    def _find(self, canvas: Canvas, spread: Spread = map) -> list[FacialAreaRegion]:
        image = on_host(canvas.image)
        held = Canvas(image, canvas.top, canvas.left)
        found = group(self._cascade.search(held, spread), canvas.shape)
        crops = [
            cut(image, x - canvas.left, y - canvas.top, w, h) for x, y, w, h in found.boxes.tolist()
        ]
        return _faces(found, list(spread(_eyes_of, crops)))


def _faces(found: Hits, eyes: Sequence[Eyes]) -> list[FacialAreaRegion]:
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


def _detect_on_device(
    canvases: Sequence[Canvas], device: torch.device
) -> list[list[FacialAreaRegion]]:
    from deepface.detection.haar.atlas import Pictures, View
    from deepface.detection.haar.search import haar_search

    search_faces = haar_search(FACES.name, device)
    results: list[list[FacialAreaRegion]] = []
    for part in runs([canvas.image.shape for canvas in canvases]):
        batch = canvases[part]
        pictures = Pictures([canvas.image for canvas in batch], device)
        views = [View(i, -c.left, -c.top, c.width, c.height) for i, c in enumerate(batch)]
        found = search_faces.find(pictures, views)
        crops = [
            View(i, x - canvas.left, y - canvas.top, w, h)
            for i, (canvas, faces) in enumerate(zip(batch, found, strict=True))
            for x, y, w, h in faces.boxes.tolist()
        ]
        pairs = iter(_eyes_on_device(pictures, crops, device))
        results += [_faces(faces, [next(pairs) for _ in faces.weights]) for faces in found]
    return results


def find_eyes(crops: Sequence[Pixels], device: str | None = None) -> list[Eyes]:
    """The eyes in pictures of one face each, by OpenCV's eye cascade.

    Args:
        crops: BGR ``uint8`` arrays or tensors ``(h, w, 3)`` of any sizes, also empty ones.
        device: of the detector; a CUDA device searches the crops together where that is faster.

    Returns:
        For each crop the left and the right eye in its pixels, or twice ``None``.
    """
    return search(
        "eyes",
        crops,
        device,
        lambda: _find_eyes_by_opencv(crops),
        lambda there: _find_eyes_on_device(crops, there),
    )


def _find_eyes_by_opencv(crops: Sequence[Pixels]) -> list[Eyes]:
    tensors = [crop for crop in crops if not isinstance(crop, np.ndarray)]
    if tensors:
        from deepface.runtime.execution.transfer import downloaded

        held = iter(downloaded(tensors))
        crops = [crop if isinstance(crop, np.ndarray) else next(held) for crop in crops]
    return in_threads(_eyes_of, crops, threads=cv2.getNumThreads())


def runs(shapes: Sequence[tuple[int, ...]], pixels: int = 1 << 28) -> Iterator[slice]:
    """Consecutive pictures ``(height, width, ...)`` on the device together: bounds its memory."""
    start = held = 0
    for position, (height, width, *_) in enumerate(shapes):
        if held and held + height * width > pixels:
            yield slice(start, position)
            start, held = position, 0
        held += height * width
    yield slice(start, len(shapes))


def _find_eyes_on_device(crops: Sequence[Pixels], device: torch.device) -> list[Eyes]:
    from deepface.detection.haar.atlas import Pictures, View

    eyes: list[Eyes] = []
    for part in runs([crop.shape for crop in crops]):
        batch = crops[part]
        views = [View(i, 0, 0, crop.shape[1], crop.shape[0]) for i, crop in enumerate(batch)]
        eyes += _eyes_on_device(Pictures(batch, device), views, device)
    return eyes


def _eyes_on_device(pictures: Pictures, views: Sequence[View], device: torch.device) -> list[Eyes]:
    from deepface.detection.haar.search import haar_search

    found = haar_search(EYES.name, device).find(pictures, views, in_scan_order=True)
    return [_pair(_by_size(eyes.boxes)) for eyes in found]


@cache
def _eye_cascade() -> Cascade:
    return Cascade(EYES.name)


def _eyes_of(crop: Pixels) -> Eyes:
    crop = on_host(crop)
    if crop.size == 0:
        return None, None
    if _eye_cascade().compiled is None:
        gray = cv2.cvtColor(crop, cv2.COLOR_BGR2GRAY)
        with _eye_cascade().classifiers.borrow() as classifier:
            found = _by_size(np.asarray(classifier.detectMultiScale(gray, 1.1, 10)))
        if len(found) < 3 or _area(found[1]) != _area(found[2]):
            return _pair(found)
        # OpenCV's order depends on its threads, and with it which of the two is taken.
    windows = _eye_cascade().search(Canvas(crop)).boxes
    weights = scan_order(windows).astype(np.float64)
    return _pair(_by_size(group(Hits(windows, weights), crop.shape[:2]).boxes))


def _by_size(boxes: NDArray[Any]) -> list[list[int]]:
    """The largest first; of equally large ones, that which comes first."""
    return sorted(boxes.reshape(-1, 4).tolist(), key=_area, reverse=True)


def _area(box: list[int]) -> int:
    return box[2] * box[3]


def _pair(boxes: list[list[int]]) -> Eyes:
    """Left and right eye from the boxes that the cascade found in one face, by size."""
    if len(boxes) < 2:
        return None, None
    right, left = ((int(x + w / 2), int(y + h / 2)) for x, y, w, h in sorted(boxes[:2]))
    return left, right
