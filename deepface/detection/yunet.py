"""YuNet (Wu et al., "YuNet: a tiny millisecond-level face detector", 2023).

Machine Intelligence Research 20; network and weights by
https://github.com/ShiqiYu/libfacedetection.train, as in OpenCV's model zoo, MIT.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import cv2

from deepface.detection.canvas import Canvas
from deepface.detection.cards.yunet import CARD, FILE
from deepface.detection.detector import Detector, threshold_from_env
from deepface.detection.yunet_input import shown, shrunk
from deepface.runtime.concurrency.each import in_threads
from deepface.runtime.concurrency.object_pool import ObjectPool
from deepface.runtime.execution.device import precision_name, runs_on_cpu
from deepface.runtime.weights.damage import reading
from deepface.runtime.weights.store import ensure_weight
from deepface.runtime.weights.trial import check_by_trial
from deepface.types import FacialAreaRegion

if TYPE_CHECKING:
    from deepface.detection.yunet_network import YuNet

_TRIAL = """
    picture = numpy.zeros((64, 64, 3), numpy.uint8)
    cv2.FaceDetectorYN.create(path, "", (64, 64)).detect(picture)
""".strip()


class YuNetDetector(Detector):
    """YuNet: 75,000 weights, quick on a CPU; it is shown BGR.

    On a CPU it is OpenCV's ``FaceDetectorYN``, a picture per thread: as fast as PyTorch there from
    pictures of 250 pixels on, faster on smaller ones, and nobody waits for torch's import.
    Elsewhere, and in half precision, the same network runs in PyTorch, with the same boxes.

    Environment: ``yunet_score_threshold`` (0.9), read at each call.
    """

    card = CARD
    takes_tensors = True
    options = ("precision",)
    prefers_arrays = True  # the canvas is resized first

    def __init__(self, device: str | None = None, precision: str | None = None) -> None:
        super().__init__(device)
        path = ensure_weight(FILE)
        self.network: YuNet | None = None
        if runs_on_cpu(device) and precision_name(precision) in ("fp32", "tf32"):
            check_by_trial(path, FILE, "import cv2, numpy", _TRIAL)
            with reading(path, "YuNet network"):
                self._opencv = ObjectPool(lambda: cv2.FaceDetectorYN.create(str(path), "", (0, 0)))
        else:
            from deepface.detection.yunet_network import YuNet

            self.network = YuNet(path, device, precision)

    def _detect_batch(self, canvases: Sequence[Canvas]) -> list[list[FacialAreaRegion]]:
        threshold = threshold_from_env("yunet_score_threshold", 0.9)
        if self.network is not None:
            found = self.network.detect(canvases, threshold)
        else:
            find = partial(self._by_opencv, threshold=threshold)
            found = in_threads(find, canvases, threads=cv2.getNumThreads())
        return [
            [_region(row, shrunk(canvas)[0]) for row in rows]
            for canvas, rows in zip(canvases, found, strict=True)
        ]

    def _by_opencv(self, canvas: Canvas, threshold: float) -> list[list[float]]:
        _, (height, width) = shrunk(canvas)
        image = cv2.resize(canvas.pixels(), (width, height))
        bottom, right = (new - old for new, old in zip(shown(canvas), (height, width), strict=True))
        if bottom or right:
            image = cv2.copyMakeBorder(image, 0, bottom, 0, right, cv2.BORDER_CONSTANT)
        with self._opencv.borrow() as network:
            network.setInputSize((width + right, height + bottom))
            network.setScoreThreshold(threshold)
            _, found = network.detect(image)
        return [] if found is None else [[*row[14:], *row[:14]] for row in found.tolist()]


def _region(row: list[float], scale: float) -> FacialAreaRegion:
    """A row of 15: score, box, the five points in the order of ``FIVE_POINTS``."""
    score, *numbers = row
    # Truncated twice, as published: to pixels of the shrunken picture, then of the canvas.
    x, y, w, h, right_x, right_y, left_x, left_y = (int(int(v) / scale) for v in numbers[:8])
    return FacialAreaRegion(
        *(max(x, 0), max(y, 0), w, h),
        left_eye=(left_x, left_y),
        right_eye=(right_x, right_y),
        confidence=score,
        five_points=tuple((numbers[i] / scale, numbers[i + 1] / scale) for i in range(4, 14, 2)),
    )
