"""CenterFace (Xu et al., "Joint face detection and alignment using face as point", 2019).

A face is a point of a heat map at a quarter of the picture's size; three more maps give its size,
the point's offset and five landmarks.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torchvision.ops import nms

from deepface.detection.canvas import Canvas
from deepface.detection.detector import Detector, threshold_from_env
from deepface.runtime.weights.store import ensure_weight
from deepface.types import FacialAreaRegion

#: Heat map (1 channel), log size (height, width), offset (y, x), landmarks (five times y, x).
_OUTPUTS = ("537", "538", "539", "540")
_STRIDE = 4
_OVERLAP = 0.3

Array = NDArray[Any]


class CenterFaceDetector(Detector):
    """The published ONNX file, run by OpenCV; it is shown RGB, 0 ... 255.

    Environment: ``CENTERFACE_THRESHOLD`` (0.35), read at each call.
    """

    name = "centerface"
    landmarks = 5
    threads = True

    def __init__(self, device: str | None = None) -> None:
        super().__init__(device)
        self._path = str(ensure_weight("centerface.onnx"))

    def _detect_one(self, canvas: Canvas) -> list[FacialAreaRegion]:
        threshold = threshold_from_env("CENTERFACE_THRESHOLD", 0.35)
        height, width = (-(-side // 32) * 32 for side in canvas.shape)
        blob = cv2.dnn.blobFromImage(canvas.pixels(), size=(width, height), swapRB=True)
        # Read anew for each picture: after one of another shape, what OpenCV's network gives is
        # wrong. Reading takes a tenth of the time of running.
        network = cv2.dnn.readNetFromONNX(self._path)
        network.setInput(blob)
        heat, log_size, offset, landmarks = (maps[0] for maps in network.forward(_OUTPUTS))
        boxes, points, scores = decode(heat, log_size, offset, landmarks, threshold)
        zoom = np.array([width / canvas.width, height / canvas.height], np.float32)
        corners = (boxes.reshape(-1, 2, 2) / zoom).tolist()
        points = (points / zoom).tolist()
        return [_region(*face) for face in zip(corners, points, scores.tolist(), strict=True)]


def _region(corners: list[Any], points: list[Any], score: float) -> FacialAreaRegion:
    (x1, y1), (x2, y2) = corners
    right_eye, left_eye, *_ = points
    return FacialAreaRegion(
        *(int(x1), int(y1), int(x2 - x1), int(y2 - y1)),
        left_eye=(int(left_eye[0]), int(left_eye[1])),
        right_eye=(int(right_eye[0]), int(right_eye[1])),
        confidence=min(max(0.0, score), 1.0),
        five_points=tuple((x, y) for x, y in points),
    )


def decode(
    heat: Array, log_size: Array, offset: Array, landmarks: Array, threshold: float
) -> tuple[Array, Array, Array]:
    """Faces from the network's maps, after non-maximum suppression, the surest first.

    Args:
        heat: ``(1, h, w)``, scores.
        log_size: ``(2, h, w)``, logarithms of height and width in units of four pixels.
        offset: ``(2, h, w)``, y and x from the middle of a cell, in cells.
        landmarks: ``(10, h, w)``, five times y and x in fractions of the box.
        threshold: faces score more than this.

    Returns:
        Boxes ``(n, 4)`` as x1, y1, x2, y2, points ``(n, 5, 2)`` as x, y in the order of
        ``FIVE_POINTS``, both float32 in pixels of the network's input, and scores ``(n,)``.
    """
    limits = np.array(heat.shape[1:]) * _STRIDE
    cells = np.argwhere(heat[0] > threshold)  # (n, 2), y and x, as everything until the end
    at = (slice(None), *cells.T)
    size = np.exp(log_size[at].T) * _STRIDE
    start = ((cells + offset[at].T + 0.5) * _STRIDE - size / 2).clip(0, limits)
    end = np.minimum(start + size, limits)
    points = landmarks[at].T.reshape(-1, 5, 2) * size[:, None] + start[:, None]
    boxes = np.concatenate([start[:, ::-1], end[:, ::-1]], axis=1).astype(np.float32)
    scores = heat[0][tuple(cells.T)]
    # The authors' suppression counts a box's last pixel in.
    inclusive = torch.from_numpy(boxes + np.array([0, 0, 1, 1], np.float32))
    kept = nms(inclusive, torch.from_numpy(scores), _OVERLAP).numpy()
    return boxes[kept], points[kept][..., ::-1].astype(np.float32), scores[kept]
