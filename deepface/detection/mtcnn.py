"""MTCNN, as the packages ``mtcnn`` 1.0.0 and ``facenet-pytorch`` 2.6.0 run it, in true batches.

Both walk the same three networks over an image pyramid, and differ in nearly everything around
them: how levels and crops are resized, when boxes are corrected, which overlaps are suppressed.

Each picture has its own pyramid; levels of equal shape are stacked. The second and the third
network see the candidates of all pictures together.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from deepface.detection.boxes import area, clipped, nms, regress, squared, suppress
from deepface.detection.canvas import Canvas
from deepface.detection.detector import Detector
from deepface.detection.mtcnn_crops import AreaCrops, BilinearCrops, Crops
from deepface.detection.mtcnn_networks import STRIDE, WINDOW, ONet, PNet, RNet, read_weights
from deepface.detection.mtcnn_pyramid import (
    Stretches,
    averaged,
    cut,
    exact_stretches,
    transposed,
    whole_stretches,
)
from deepface.runtime.batching import chunks, group_indices
from deepface.runtime.network import Network
from deepface.types import FacialAreaRegion

_MIN_FACE = 20
_FACTOR = 0.709
#: More levels than any picture has.
_LEVELS = 64


@dataclass
class _Found:
    """``n`` boxes, of all pictures of a batch."""

    image: Tensor  #: (n,) position of the picture in the batch
    boxes: Tensor  #: (n, 4) float64, pixels of the canvas
    logits: Tensor  #: (n,) how likely a face
    offsets: Tensor  #: (n, 4) corrections by the last network, in box sizes

    def __getitem__(self, rows: Tensor) -> _Found:
        return _Found(self.image[rows], self.boxes[rows], self.logits[rows], self.offsets[rows])


_FIELDS = ("image", "boxes", "logits", "offsets")


class _Cascade(Detector):
    """What the two have in common: the walk through the networks."""

    landmarks = 5
    #: Least probability that PNet, RNet and ONet must give.
    thresholds: ClassVar[tuple[float, float, float]]
    #: How levels are averaged.
    stretches: ClassVar[Stretches]
    #: How candidates are resized.
    crops: ClassVar[type[Crops]]

    def __init__(self, device: str | None = None) -> None:
        super().__init__(device)
        pnet = PNet().load(read_weights("pnet"))
        self._pnet, self._correct = Network(pnet, device), pnet.box
        self._rnet = Network(RNet().load(read_weights("rnet")), device, chunk_size=512)
        self._onet = Network(ONet().load(read_weights("onet")), device, chunk_size=256)
        self._logits = [math.log(p / (1 - p)) for p in self.thresholds]
        cpu = self._pnet.device.type == "cpu"
        # Pixels of pictures, and of a level, that are worked on together: on a CPU as much as
        # its caches like, on a GPU as much as fills it.
        self._picture_pixels, self._level_pixels = (2**21, 2**18) if cpu else (2**26, 2**25)
        # Boxes are float64, as in the package; Apple's GPUs do not have it.
        self._real = torch.float32 if self._pnet.device.type == "mps" else torch.float64

    @torch.inference_mode()
    def _detect_batch(self, canvases: Sequence[Canvas]) -> list[list[FacialAreaRegion]]:
        pictures = [
            self._pnet.upload(torch.from_numpy(np.ascontiguousarray(canvas.image)))
            for canvas in canvases
        ]
        found = self._propose(pictures, canvases)
        faces: list[list[FacialAreaRegion]] = [[] for _ in canvases]
        if not len(found.image):
            return faces
        crops = self.crops(pictures, canvases)
        found = self._refine(self._judge(self._rnet, 24, self._logits[1], crops, found))
        found = self._judge(self._onet, 48, self._logits[2], crops, found)
        size = found.boxes[:, 2:] - found.boxes[:, :2] + 1
        points = found.offsets[:, 4:].view(-1, 2, 5) * size[..., None] + found.boxes[:, :2, None] - 1
        found.offsets = found.offsets[:, :4]
        boxes, points, image, confidence = self._finish(found, points.flatten(1), canvases)
        for position, box, point, score in zip(
            image.tolist(), boxes.tolist(), points.tolist(), confidence.tolist(), strict=True
        ):
            # The networks' order is that of the picture, which is the person's turned round.
            right_eye, left_eye, nose, mouth_right, mouth_left = zip(
                point[:5], point[5:], strict=True
            )
            faces[position].append(
                FacialAreaRegion(
                    *box,
                    left_eye=left_eye,
                    right_eye=right_eye,
                    confidence=score,
                    nose=nose,
                    mouth_right=mouth_right,
                    mouth_left=mouth_left,
                )
            )
        return faces

    def _propose(self, pictures: Sequence[Tensor], canvases: Sequence[Canvas]) -> _Found:
        """PNet's candidates in all pictures."""
        found, groups = [], []
        shapes = [(canvas.image.shape, canvas.top, canvas.left) for canvas in canvases]
        for positions in group_indices(shapes).values():
            height, width = canvases[positions[0]].image.shape[:2]
            for part in chunks(positions, max(1, self._picture_pixels // max(1, height * width))):
                stack = torch.stack([pictures[position] for position in part])
                image = torch.tensor(part, device=stack.device)
                for number, windows in self._scan(stack, canvases[part[0]]):
                    windows.image = image[windows.image]
                    found.append(windows)
                    groups.append(windows.image * _LEVELS + number)
        if not found:
            none = torch.zeros((0, 4), dtype=self._real)
            return _Found(none[:, 0].long(), none, none[:, 0], none)
        joined = _Found(*(torch.cat([getattr(f, name) for f in found]) for name in _FIELDS))
        return self._merge(joined, torch.cat(groups))

    def _scan(self, stack: Tensor, canvas: Canvas) -> Iterator[tuple[int, _Found]]:
        """Candidates of each level of pictures of one shape, ``(B, h, w, 3)`` uint8."""
        height, width = stack.shape[1:3]
        columns = transposed(stack).float()  # rows of this are columns of the pictures
        for number, scale in enumerate(self._scales(canvas.height, canvas.width)):
            x = cut(
                canvas.width, canvas.left, width, self._side(canvas.width, scale), self.stretches
            )
            y = cut(
                canvas.height, canvas.top, height, self._side(canvas.height, scale), self.stretches
            )
            if x is None or y is None:
                break
            level = averaged(transposed(averaged(columns, x)), y)
            for hit, logits, offsets in self._windows(level):
                first = hit[:, [2, 1]] * STRIDE + torch.tensor([x.first, y.first]).to(hit.device)
                boxes = self._window(first, offsets.to(self._real), scale)
                yield number, _Found(hit[:, 0], boxes, logits, offsets.to(self._real))

    def _windows(self, level: Tensor) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """PNet over levels ``(B, h, w, 3)``, a strip at a time: position, logit, offsets."""
        batch, height, width, _ = level.shape
        rows = max(1, self._level_pixels // (batch * width * STRIDE))
        overlap = WINDOW - STRIDE
        for first in range(0, (height - overlap + 1) // STRIDE, rows):
            strip = level[:, STRIDE * first : STRIDE * (first + rows) + overlap]
            logits, features = self._pnet(strip.permute(0, 3, 1, 2), prepare=_scaled)
            hit = (logits > self._logits[0]).nonzero()
            at = hit.unbind(1)
            yield hit + torch.tensor([0, first, 0]).to(hit.device), logits[at], self._correct(features[at])

    def _judge(
        self, network: Network, size: int, least: float, crops: Crops, found: _Found
    ) -> _Found:
        """What ``network`` thinks of the candidates; those that it takes for faces."""
        rows = torch.cat([found.image[:, None].to(found.boxes), found.boxes], 1)
        logits, *offsets = network(rows, prepare=lambda r: crops.cut(r[:, 0].long(), r[:, 1:], size))
        found = _Found(found.image, found.boxes, logits, torch.cat(offsets, 1).to(found.boxes))
        return found[logits > least]

    @abstractmethod
    def _scales(self, height: int, width: int) -> list[float]:
        """Scale of each level for a canvas of this size, largest first."""

    @abstractmethod
    def _side(self, length: int, scale: float) -> int:
        """Height or width of the level."""

    @abstractmethod
    def _window(self, first: Tensor, offsets: Tensor, scale: float) -> Tensor:
        """Boxes of windows whose first pixels in the level are ``first``, ``(n, 2)``: x, y."""

    @abstractmethod
    def _merge(self, found: _Found, level: Tensor) -> _Found:
        """Fewer and square boxes from PNet's; ``level`` differs for each level and picture."""

    @abstractmethod
    def _refine(self, found: _Found) -> _Found:
        """Corrected, fewer and square boxes from RNet's."""

    @abstractmethod
    def _finish(
        self, found: _Found, points: Tensor, canvases: Sequence[Canvas]
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Faces from ONet's boxes.

        Returns:
            Boxes ``x, y, w, h`` and landmarks in whole pixels, pictures, confidences.
        """


class MtcnnDetector(_Cascade):
    """MTCNN as in ``mtcnn`` 1.0.0 for a single picture."""

    name = "mtcnn"
    thresholds = (0.6, 0.7, 0.8)
    stretches = staticmethod(exact_stretches)
    crops = BilinearCrops

    def _scales(self, height: int, width: int) -> list[float]:
        shorter = min(height, width)
        if shorter < WINDOW:
            return []
        count = round(math.log(WINDOW / shorter) / math.log(_FACTOR) - 1)
        return [WINDOW / _MIN_FACE * _FACTOR**number for number in range(count)]

    def _side(self, length: int, scale: float) -> int:
        return int(length * scale)

    def _window(self, first: Tensor, offsets: Tensor, scale: float) -> Tensor:
        corner = (first + 1).to(offsets)
        return regress(torch.cat([corner, corner + WINDOW - 1], 1), offsets) / scale

    def _merge(self, found: _Found, level: Tensor) -> _Found:
        found = found[suppress(found.boxes, found.logits, level, 0.5, greedy=False)]
        return self._fewer(found)

    def _refine(self, found: _Found) -> _Found:
        found.boxes = regress(found.boxes, found.offsets, 1)
        return self._fewer(found)

    def _fewer(self, found: _Found) -> _Found:
        found = found[suppress(found.boxes, found.logits, found.image, 0.7, greedy=False)]
        found.boxes = squared(found.boxes)
        return found

    def _finish(
        self, found: _Found, points: Tensor, canvases: Sequence[Canvas]
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        boxes = regress(found.boxes, found.offsets, 1)
        stays = suppress(boxes, found.logits, found.image, 0.7, greedy=False, of_smaller=True)
        image, boxes = found.image[stays], boxes[stays]
        size = boxes.new_tensor([canvas.shape for canvas in canvases])[image]
        boxes = clipped(boxes, size[:, 0] - 1, size[:, 1] - 1)
        boxes[:, 2:] -= boxes[:, :2]
        confidence = found.logits[stays].sigmoid()
        return boxes.round().long(), points[stays].round().long(), image, confidence


class FastMtcnnDetector(_Cascade):
    """MTCNN as in ``facenet-pytorch`` 2.6.0, which is not needed for it."""

    name = "fastmtcnn"
    thresholds = (0.6, 0.7, 0.7)
    stretches = staticmethod(whole_stretches)
    crops = AreaCrops

    def _scales(self, height: int, width: int) -> list[float]:
        scale = WINDOW / _MIN_FACE
        shorter = min(height, width) * scale
        scales = []
        while shorter >= WINDOW:
            scales.append(scale)
            scale, shorter = scale * _FACTOR, shorter * _FACTOR
        return scales

    def _side(self, length: int, scale: float) -> int:
        return int(length * scale + 1)

    def _window(self, first: Tensor, offsets: Tensor, scale: float) -> Tensor:
        # In float32, because rounding down would tell the difference.
        corners = torch.cat([first + 1, first + WINDOW], 1).float()
        return (corners / scale).floor().to(offsets)

    def _merge(self, found: _Found, level: Tensor) -> _Found:
        found = found[nms(found.boxes, found.logits.to(found.boxes), level, 0.5)]
        found = found[nms(found.boxes, found.logits.to(found.boxes), found.image, 0.7)]
        found.boxes = squared(regress(found.boxes, found.offsets))
        return found

    def _refine(self, found: _Found) -> _Found:
        found = found[nms(found.boxes, found.logits.to(found.boxes), found.image, 0.7)]
        found.boxes = squared(regress(found.boxes, found.offsets, 1))
        return found

    def _finish(
        self, found: _Found, points: Tensor, canvases: Sequence[Canvas]
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        boxes = regress(found.boxes, found.offsets, 1)
        stays = suppress(boxes, found.logits, found.image, 0.7, of_smaller=True, extra=1)
        stays = stays[torch.argsort(area(boxes[stays]), descending=True, stable=True)]
        boxes = boxes[stays]
        boxes[:, 2:] -= boxes[:, :2]
        confidence = found.logits[stays].sigmoid()
        return boxes.long(), points[stays].long(), found.image[stays], confidence


def _scaled(pixels: Tensor) -> Tensor:
    return (pixels - 127.5) / 128
