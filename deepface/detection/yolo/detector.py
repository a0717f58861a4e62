"""YOLOv8, YOLO11 and YOLO12 trained on faces (layers: https://docs.ultralytics.com/models; face
weights: https://github.com/derronqi/yolov8-face, https://github.com/akanametov/yolo-face,
https://github.com/YapaLab/yolo-face).

``ultralytics`` gives the layers; the batch is ours. Each picture is fitted into its own smallest
rectangle, as ``YOLO.predict`` does with a single picture. Pictures with the same rectangle run
together, from the first layer to non-maximum suppression.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor

from deepface.detection.canvas import Canvas
from deepface.detection.detector import Detector, threshold_from_env
from deepface.detection.yolo.checkpoint import load_checkpoint
from deepface.detection.yolo.letterbox import GREY, Letterbox
from deepface.detection.yolo.network import Found, YoloNetwork
from deepface.images.resample import PixelTable, resized
from deepface.runtime.execution.batching import map_grouped
from deepface.runtime.execution.device import resolve_device
from deepface.runtime.execution.network import Network
from deepface.runtime.weights.store import ensure_weight
from deepface.types import FIVE_POINTS, FacialAreaRegion, Image, Point


class YoloDetector(Detector):
    """YOLO for faces; landmarks from the checkpoints that have key points (``yolov8n``).

    The confidence threshold is the environment variable ``YOLO_MIN_DETECTION_CONFIDENCE`` (0.25),
    read at each call. Faces come by falling confidence, at most 300 per picture.

    Args:
        device: where the network runs.
        variant: which network, e.g. ``"yolov8n"``; its weights are ``<variant>-face.pt``.

    Raises:
        MissingPackageError: ultralytics is not installed, or too old for the network.
        WeightsError: the weights cannot be had, or are no such network.
    """

    name = "yolo"
    takes_tensors = True
    landmarks = 5  # of the checkpoints that have key points

    def __init__(self, device: str | None = None, variant: str = "yolov8n") -> None:
        super().__init__(device)
        checkpoint = load_checkpoint(ensure_weight(f"{variant}-face.pt"))
        self._size = checkpoint.size
        self._yolo = YoloNetwork(checkpoint.graph)
        self.name = variant
        if self._yolo.points != len(FIVE_POINTS):
            self.landmarks = 0
        where = resolve_device(device)
        # On a CPU more pictures at a time only leave the cache: 64 were half as fast as one by one.
        self._network = Network(self._yolo, where, chunk_size=8 if where.type == "cpu" else 64)

    @torch.inference_mode()
    def _detect_batch(self, canvases: Sequence[Canvas]) -> list[list[FacialAreaRegion]]:
        threshold = threshold_from_env("YOLO_MIN_DETECTION_CONFIDENCE", 0.25)
        return map_grouped(
            canvases,
            key=lambda canvas: Letterbox(*canvas.shape, self._size).rectangle,
            run=lambda group: self._run(group, threshold),
            chunk_size=self._network.chunk_size,
        )

    def _run(self, canvases: list[Canvas], threshold: float) -> list[list[FacialAreaRegion]]:
        """The faces of canvases with one and the same rectangle."""
        fits = [Letterbox(*canvas.shape, self._size) for canvas in canvases]
        shape = fits[0].rectangle
        pictures = _fitted_on_device if canvases[0].on_device else _fitted
        found = self._yolo.decode(
            self._network(pictures(canvases, fits), _as_input), shape, threshold
        )
        return [_faces(found.of(position), fit) for position, fit in enumerate(fits)]


def _fitted(canvases: Sequence[Canvas], fits: Sequence[Letterbox]) -> Image:
    """Canvases in their common rectangle, ``(N, height, width, 3)``."""
    pictures = np.full((len(canvases), *fits[0].rectangle, 3), GREY, np.uint8)
    with ThreadPoolExecutor(min(len(canvases), os.cpu_count() or 1)) as pool:
        list(pool.map(Letterbox.draw, fits, canvases, pictures))
    return pictures


def _fitted_on_device(canvases: Sequence[Canvas], fits: Sequence[Letterbox]) -> Tensor:
    pixels = PixelTable([torch.as_tensor(canvas.image) for canvas in canvases])
    places = [fit.places(canvas) for fit, canvas in zip(fits, canvases, strict=True)]
    sources, targets = zip(*places, strict=True)
    return resized(pixels, sources, targets, fits[0].rectangle, GREY)


def _as_input(pictures: Tensor) -> Tensor:
    """BGR ``uint8`` ``(N, H, W, 3)`` to RGB in [0, 1], ``(N, 3, H, W)``."""
    return pictures.permute(0, 3, 1, 2).flip(1).float().div_(255)


def _faces(found: Found, fit: Letterbox) -> list[FacialAreaRegion]:
    """Faces in pixels of the canvas, rounded as the published library does."""
    corners, points = fit.undo(found.corners), fit.undo(found.points)
    sizes = (corners[:, 1] - corners[:, 0]).tolist()
    centres = ((corners[:, 0] + corners[:, 1]) / 2).tolist()
    faces = []
    for (x, y), (w, h), marks, score in zip(
        centres, sizes, points.tolist(), found.scores.tolist(), strict=True
    ):
        right, left = map(_whole, marks[:2]) if len(marks) >= 2 else (None, None)
        faces.append(
            FacialAreaRegion(
                *(int(x - w / 2), int(y - h / 2), int(w), int(h)),
                left_eye=left,
                right_eye=right,
                confidence=score,
                five_points=tuple(map(tuple, marks)) if len(marks) == len(FIVE_POINTS) else None,
            )
        )
    return faces


def _whole(point: Sequence[float]) -> Point:
    return int(point[0]), int(point[1])
