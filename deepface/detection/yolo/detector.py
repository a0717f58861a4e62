"""YOLOv8, YOLO11 and YOLO12 trained on faces (layers: https://docs.ultralytics.com/models; face
weights: https://github.com/derronqi/yolov8-face, https://github.com/akanametov/yolo-face,
https://github.com/YapaLab/yolo-face).

``ultralytics`` gives the layers; the batch is ours. Each picture is fitted into its own smallest
rectangle, as ``YOLO.predict`` does with a single picture. Pictures with the same rectangle run
together, from the first layer to non-maximum suppression.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from deepface.detection.canvas import Canvas, brought
from deepface.detection.cards.yolo import CARDS
from deepface.detection.detector import Detector, face, threshold_from_env
from deepface.detection.yolo.checkpoint import load_checkpoint
from deepface.detection.yolo.letterbox import GREY, Letterbox
from deepface.detection.yolo.network import Detections, YoloNetwork
from deepface.images.resample import PixelTable, mixed, resizing
from deepface.runtime.concurrency.each import in_threads
from deepface.runtime.execution.batching import chunks, group_indices
from deepface.runtime.execution.device import resolve_device, resolve_precision
from deepface.runtime.execution.network import Network
from deepface.runtime.weights.store import ensure_weight
from deepface.types import FIVE_POINTS, FacialAreaRegion, Image


class YoloDetector(Detector):
    """YOLO for faces; landmarks from the checkpoints that have key points (``yolov8n``).

    The confidence threshold is the environment variable ``YOLO_MIN_DETECTION_CONFIDENCE`` (0.25),
    read at each call. Faces come by falling confidence, at most 300 per picture.

    Args:
        device: where the network runs.
        variant: which network, e.g. ``"yolov8n"``; its weights are ``<variant>-face.pt``.
        precision: see :class:`deepface.runtime.execution.network.Network`.

    Raises:
        MissingPackageError: ultralytics is not installed, or too old for the network.
        WeightsError: the weights cannot be had, or are no such network.
    """

    name = "yolo"
    takes_tensors = True
    by_core = True
    options = ("precision",)
    landmarks = 5  # of the checkpoints that have key points

    def __init__(
        self,
        device: str | None = None,
        variant: str = "yolov8n",
        precision: str | None = None,
    ) -> None:
        super().__init__(device)
        (file,) = (card.files[0][0] for card in CARDS if card.name == variant)
        checkpoint = load_checkpoint(ensure_weight(file))
        self._size = checkpoint.size
        self._yolo = YoloNetwork(checkpoint.graph)
        self.name = variant
        if self._yolo.points != len(FIVE_POINTS):
            self.landmarks = 0
        where = resolve_device(device)
        exact = resolve_precision(precision) == torch.float32
        self._yolo.fused(packed=where.type == "cpu" and exact)
        # On a CPU more pictures at a time only leave the cache: 64 were half as fast as one by one.
        chunk_size = 8 if where.type == "cpu" else 64
        self.network = Network(self._yolo, where, precision, chunk_size)

    @torch.inference_mode()
    def _detect_batch(self, canvases: Sequence[Canvas]) -> list[list[FacialAreaRegion]]:
        threshold = threshold_from_env("YOLO_MIN_DETECTION_CONFIDENCE", 0.25)
        if not canvases:
            return []
        fits = [Letterbox(*canvas.shape, self._size) for canvas in canvases]
        where = self.network.device
        there = canvases[0].on_device or where.type == "cuda"
        runs = [
            chunk
            for group in group_indices([fit.rectangle for fit in fits]).values()
            for chunk in chunks(group, self.network.chunk_size)
        ]
        batches: Iterator[Image | Tensor] = (
            _fitted_there(canvases, fits, runs, where)
            if there
            else (_fitted([canvases[at] for at in run], [fits[at] for at in run]) for run in runs)
        )
        outputs = [self.network(batch, _as_input) for batch in batches]
        found = self._yolo.decode(outputs, [fits[run[0]].rectangle for run in runs], threshold)
        order = [position for run in runs for position in run]
        faces = {
            at: _faces(one, fits[at])
            for at, one in zip(order, found.by_image(len(order)), strict=True)
        }
        return [faces[position] for position in range(len(canvases))]


def _fitted(canvases: Sequence[Canvas], fits: Sequence[Letterbox]) -> Image:
    """Canvases in their common rectangle, ``(N, height, width, 3)``."""
    pictures = np.full((len(canvases), *fits[0].rectangle, 3), GREY, np.uint8)
    in_threads(Letterbox.draw, fits, canvases, pictures)
    return pictures


def _fitted_there(
    canvases: Sequence[Canvas],
    fits: Sequence[Letterbox],
    runs: Sequence[Sequence[int]],
    device: torch.device,
) -> Iterator[Tensor]:
    shapes = [canvas.image.shape for canvas in canvases]
    groups = []
    for run in runs:
        sources, targets = [canvases[at].rectangle for at in run], [fits[at].place for at in run]
        groups.append(resizing(shapes, sources, targets, fits[run[0]].rectangle, pictures=run))
    images, moved = brought(canvases, groups, device)
    pixels = PixelTable(images)
    for tables in moved:
        yield mixed(pixels, tables, GREY)


def _as_input(pictures: Tensor) -> Tensor:
    """BGR ``uint8`` ``(N, H, W, 3)`` to RGB in [0, 1], ``(N, 3, H, W)``."""
    return pictures.permute(0, 3, 1, 2).flip(1).float().div_(255)


def _faces(found: Detections, fit: Letterbox) -> list[FacialAreaRegion]:
    """Faces in pixels of the canvas, rounded as the published library does."""
    places = fit.undo(np.concatenate([found.corners, found.points], 1))
    corners, points = places[:, :2], places[:, 2:]
    sizes = (corners[:, 1] - corners[:, 0]).tolist()
    centres = ((corners[:, 0] + corners[:, 1]) / 2).tolist()
    return [
        face((int(x - w / 2), int(y - h / 2), int(w), int(h)), score, [(x, y) for x, y in marks])
        for (x, y), (w, h), marks, score in zip(
            centres, sizes, points.tolist(), found.scores.tolist(), strict=True
        )
    ]
