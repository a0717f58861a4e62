"""YuNet (Wu et al., "YuNet: a tiny millisecond-level face detector", 2023), run by OpenCV."""

from __future__ import annotations

import cv2

from deepface.detection.canvas import Canvas
from deepface.detection.detector import Detector, threshold_from_env
from deepface.runtime.concurrency.object_pool import ObjectPool
from deepface.runtime.weights.store import ensure_weight
from deepface.types import FacialAreaRegion

#: Larger pictures are shrunk until their longer side has so many pixels.
_MAX_SIDE = 640
#: Of a side of up to so many pixels the last map has one row, on which OpenCV (4.14) gives numbers
#: that differ from call to call. What is added is black, as OpenCV adds it up to whole strides.
_TOO_LOW = 32


class YuNetDetector(Detector):
    """OpenCV's ``FaceDetectorYN`` with the published file; it is shown BGR.

    Environment: ``yunet_score_threshold`` (0.9), read at each call.
    """

    name = "yunet"
    landmarks = 5
    threads = True

    def __init__(self, device: str | None = None) -> None:
        super().__init__(device)
        path = str(ensure_weight("face_detection_yunet_2023mar.onnx"))
        self._networks = ObjectPool(lambda: cv2.FaceDetectorYN.create(path, "", (0, 0)))

    def _detect_one(self, canvas: Canvas) -> list[FacialAreaRegion]:
        threshold = threshold_from_env("yunet_score_threshold", 0.9)
        scale = min(1.0, _MAX_SIDE / max(canvas.shape))
        size = (int(canvas.width * scale), int(canvas.height * scale))
        image = cv2.resize(canvas.pixels(), size)
        if min(size) <= _TOO_LOW:
            right, bottom = (max(0, 2 * _TOO_LOW - side) for side in size)
            image = cv2.copyMakeBorder(image, 0, bottom, 0, right, cv2.BORDER_CONSTANT)
            size = (size[0] + right, size[1] + bottom)
        with self._networks.borrow() as network:
            network.setInputSize(size)
            network.setScoreThreshold(threshold)
            _, found = network.detect(image)
        return [] if found is None else [_region(row.tolist(), scale) for row in found]


def _region(row: list[float], scale: float) -> FacialAreaRegion:
    """A row of 15: box, the five points in the order of ``FIVE_POINTS``, score."""
    # Truncated twice, as published: to pixels of the shrunken picture, then of the canvas.
    x, y, w, h, right_x, right_y, left_x, left_y = (int(int(value) / scale) for value in row[:8])
    return FacialAreaRegion(
        *(max(x, 0), max(y, 0), w, h),
        left_eye=(left_x, left_y),
        right_eye=(right_x, right_y),
        confidence=row[14],
        five_points=tuple((row[i] / scale, row[i + 1] / scale) for i in range(4, 14, 2)),
    )
