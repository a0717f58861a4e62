"""MTCNN, as the packages ``mtcnn`` 1.0.0 and ``facenet-pytorch`` 2.6.0 run it, in true batches.

Both walk the same three networks over an image pyramid, and differ in nearly everything around
them: how levels and crops are resized, when boxes are corrected, which overlaps are suppressed.

Each picture has its own pyramid; the first network scores a level of several pictures together.
The second and the third see the candidates of all pictures.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from deepface.detection.boxes import area, clipped, nms, regress, squared, survivors
from deepface.detection.canvas import Canvas, brought
from deepface.detection.cards.mtcnn import FAST_MTCNN, MTCNN
from deepface.detection.detector import Detector, face
from deepface.detection.mtcnn.axes import Axis, exact_axis, whole_axis
from deepface.detection.mtcnn.crops import AreaCrops, AreaCropsApart, BilinearCrops, Crops
from deepface.detection.mtcnn.networks import WINDOW, ONet, PNet, RNet
from deepface.detection.mtcnn.proposals import Level, PNetScan
from deepface.detection.ragged import bins
from deepface.runtime.execution.network import Network
from deepface.runtime.execution.transfer import sent
from deepface.types import FacialAreaRegion

_MIN_FACE = 20
_FACTOR = 0.709
#: More levels than any picture has.
_LEVELS = 64


@dataclass
class Candidates:
    """``n`` boxes, of all pictures of a batch."""

    image: Tensor  #: (n,) position of the picture in the batch
    boxes: Tensor  #: (n, 4) pixels of the canvas
    logits: Tensor  #: (n,) how likely a face
    offsets: Tensor  #: (n, 4) corrections in box sizes; (n, 14) from ONet, with the landmarks

    def __getitem__(self, rows: Tensor) -> Candidates:
        return Candidates(self.image[rows], self.boxes[rows], self.logits[rows], self.offsets[rows])

    def brought(self, passes: Tensor) -> Candidates:
        """Those that pass, on the host, by one copy."""
        wide = torch.float32 if self.boxes.device.type == "mps" else torch.float64
        columns = [passes[:, None], self.image[:, None], self.logits[:, None]]
        table = torch.cat([c.to(wide) for c in (*columns, self.boxes, self.offsets)], 1).cpu()
        table, real = table[table[:, 0] > 0], self.boxes.dtype
        boxes, offsets = table[:, 3:7].to(real), table[:, 7:].to(real)
        return Candidates(table[:, 1].long(), boxes, table[:, 2].float(), offsets)


class _Cascade(Detector, ABC):
    """What the two have in common: the walk through the networks."""

    landmarks = 5
    takes_tensors = True
    by_core = True
    options = ("precision",)
    #: Least probability that PNet, RNet and ONet must give.
    thresholds: ClassVar[tuple[float, float, float]]
    #: How candidates are cut out and resized.
    crops: ClassVar[type[Crops]]
    #: Of boxes, as in the package: crops are of whole pixels, so rounding tells.
    real: ClassVar[torch.dtype]
    #: How a level is averaged, see :mod:`deepface.detection.mtcnn.axes`.
    axis: ClassVar[staticmethod[[int, int, int, int], Axis]]
    #: To whole pixels.
    whole: ClassVar[staticmethod[[float], int]]
    #: Whether boxes end at the canvas's edges.
    clips: ClassVar[bool]

    def __init__(self, device: str | None = None, precision: str | None = None) -> None:
        super().__init__(device)
        pnet, rnet, onet = (net.loaded() for net in (PNet, RNet, ONet))
        self._pnet = Network(pnet, device, precision, chunk_size=2**16, channels_last=True)
        cpu = self._pnet.device.type == "cpu"
        # A CPU's maps take some 15 MB: memory of larger ones is given back, and zeroed, each time.
        self._rnet = Network(rnet, device, precision, chunk_size=256 if cpu else 2**14)
        self._onet = Network(onet, device, precision, chunk_size=64 if cpu else 2**12)
        self._least = [math.log(p / (1 - p)) for p in self.thresholds]
        # Pixels of pictures, and of a level, that are worked on together: on a CPU what bounds
        # its memory, on a GPU what fills it.
        self._picture_pixels, self.level_pixels = (2**21, 2**18) if cpu else (2**26, 2**25)
        # The pixels of pictures that are worked on while levels are launched, see
        # deepface.detection.ragged.bins; on a CPU only pictures of one size go together.
        self.launches = 0 if cpu else 2**24
        # Apple's GPUs have no float64.
        self._real = torch.float32 if self._pnet.device.type == "mps" else self.real

    @torch.inference_mode()
    def _detect_batch(self, canvases: Sequence[Canvas]) -> list[list[FacialAreaRegion]]:
        scans = self._scans(canvases)
        groups = [[self.crops.facts(canvases)], *(scan.arrays for scan in scans)]
        pictures, ((facts,), *known) = brought(canvases, groups, self._pnet.device)
        found = self._propose(pictures, scans, known)
        if not len(found.image):
            return [[] for _ in canvases]
        crops = self.crops.of(pictures, facts)
        found = self._refine(*self._judge(self._rnet, 24, self._least[1], crops, found))
        # Few are left: what is done with them costs less here than to wait for it there.
        found = Candidates.brought(*self._judge(self._onet, 48, self._least[2], crops, found))
        return self._faces(canvases, found)

    def _faces(self, canvases: Sequence[Canvas], found: Candidates) -> list[list[FacialAreaRegion]]:
        """The faces of each canvas from what ONet takes for some."""
        size = found.boxes[:, 2:] - found.boxes[:, :2] + 1
        shares = found.offsets[:, 4:].view(-1, 2, 5)
        points = found.boxes[:, :2, None] + shares * size[:, :, None] - 1
        found.boxes = regress(found.boxes, found.offsets[:, :4], 1)
        order = self.rank(found)
        boxes = found.boxes
        if self.clips:
            limits = torch.tensor([canvas.shape for canvas in canvases])[found.image] - 1
            boxes = clipped(boxes, limits[:, 0], limits[:, 1])
        columns = [
            found.image[:, None],
            found.logits.sigmoid()[:, None],
            torch.cat([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], 1),
            points.transpose(1, 2).flatten(1),
        ]
        faces: list[list[FacialAreaRegion]] = [[] for _ in canvases]
        for row in torch.cat([column.double() for column in columns], 1)[order].tolist():
            position, score, *numbers = row
            x, y, w, h = map(self.whole, numbers[:4])
            five = list(zip(numbers[4::2], numbers[5::2], strict=True))
            faces[int(position)].append(face((x, y, w, h), score, five, self.whole))
        return faces

    def _scans(self, canvases: Sequence[Canvas]) -> list[PNetScan]:
        shapes = [(canvas.image.shape[0], canvas.image.shape[1]) for canvas in canvases]
        return [
            PNetScan(bin_, levels, self.level_pixels)
            for bin_ in bins(shapes, self.launches, self._picture_pixels)
            if (levels := self._levels(bin_.chosen(canvases)))
        ]

    def _levels(self, canvases: Sequence[Canvas]) -> list[Level]:
        """The scales of one picture are those of another, or the beginning of them."""
        scales = [self._scales(min(canvas.shape)) for canvas in canvases]
        levels, longest = [], max(scales, key=len)
        for number, scale in enumerate(longest):
            axes = [
                self._axes(canvas, scale) if number < len(mine) else (None, None)
                for canvas, mine in zip(canvases, scales, strict=True)
            ]
            levels.append(Level(scale, [x for x, _ in axes], [y for _, y in axes]))
        return levels

    def _axes(self, canvas: Canvas, scale: float) -> tuple[Axis, Axis]:
        """How the columns and the rows of a picture are averaged at a scale."""
        height, width = canvas.image.shape[:2]
        return (
            self.axis(canvas.width, canvas.left, width, self._side(canvas.width, scale)),
            self.axis(canvas.height, canvas.top, height, self._side(canvas.height, scale)),
        )

    def _propose(
        self,
        pictures: Sequence[Tensor],
        scans: Sequence[PNetScan],
        known: Sequence[Sequence[Tensor]],
    ) -> Candidates:
        """PNet's candidates in all pictures, as squares."""
        none = torch.zeros((0, 4), dtype=self._real, device=self._pnet.device)
        found = [Candidates(none[:, 0].long(), none, none[:, 0].float(), none)]
        groups = [found[0].image]
        for scan, arrays in zip(scans, known, strict=True):
            seen = scan.windows(self._pnet, pictures, arrays, self._least[0])
            offsets = seen.offsets.to(self._real)
            boxes = self._box(seen.first, offsets, seen.scale)
            found.append(Candidates(seen.image, boxes, seen.logits, offsets))
            groups.append(seen.image * _LEVELS + seen.level)
        fields = zip(*((f.image, f.boxes, f.logits, f.offsets) for f in found), strict=True)
        return self._merge(Candidates(*map(torch.cat, fields)), torch.cat(groups))

    def _judge(
        self,
        network: Network,
        size: int,
        least: float,
        crops: Crops | AreaCropsApart,
        found: Candidates,
    ) -> tuple[Candidates, Tensor]:
        """What ``network`` thinks of the candidates, and which of them it takes for faces."""
        rows = torch.cat([found.image[:, None].to(found.boxes), found.boxes], 1)
        logits, *offsets = network(
            rows, prepare=lambda part: crops.cut(part[:, 0].long(), part[:, 1:], size)
        )
        found = Candidates(found.image, found.boxes, logits, torch.cat(offsets, 1).to(found.boxes))
        return found, logits > least

    @abstractmethod
    def _scales(self, shorter: int) -> list[float]:
        """Scale of each level for a canvas whose shorter side is this long, largest first."""

    @abstractmethod
    def _side(self, length: int, scale: float) -> int:
        """Height or width of a level."""

    @abstractmethod
    def _box(self, first: Tensor, offsets: Tensor, scale: Tensor) -> Tensor:
        """Boxes on the canvas for windows that begin at ``first`` ``(n, 2)`` (x, y) in a level.

        ``scale`` is ``(n, 1)``, float64.
        """

    @abstractmethod
    def _merge(self, found: Candidates, level: Tensor) -> Candidates:
        """Fewer and square boxes from PNet's; ``level`` differs for each level and picture."""

    @abstractmethod
    def _refine(self, found: Candidates, passes: Tensor) -> Candidates:
        """Corrected, fewer and square boxes from those of RNet's that pass."""

    @abstractmethod
    def rank(self, found: Candidates) -> Tensor:
        """Which of ONet's boxes are faces, in the order in which they are to be given."""


class MtcnnDetector(_Cascade):
    """MTCNN as in ``mtcnn`` 1.0.0 for a single picture."""

    card = MTCNN
    thresholds = (0.6, 0.7, 0.8)
    crops = BilinearCrops
    real = torch.float64
    axis = staticmethod(exact_axis)
    whole = staticmethod(round)
    clips = True

    def _scales(self, shorter: int) -> list[float]:
        if shorter < WINDOW:
            return []
        count = round(math.log(WINDOW / shorter) / math.log(_FACTOR) - 1)
        return [WINDOW / _MIN_FACE * _FACTOR**number for number in range(count)]

    def _side(self, length: int, scale: float) -> int:
        return int(length * scale)

    def _box(self, first: Tensor, offsets: Tensor, scale: Tensor) -> Tensor:
        corner = (first + 1).to(offsets)
        return regress(torch.cat([corner, corner + WINDOW - 1], 1), offsets) / scale.to(offsets)

    def _merge(self, found: Candidates, level: Tensor) -> Candidates:
        order, stays = self._suppressed(found, level, 0.5)
        return self._fewer(found[order], stays)

    def _refine(self, found: Candidates, passes: Tensor) -> Candidates:
        found.boxes = regress(found.boxes, found.offsets, 1)
        return self._fewer(found, passes)

    def _fewer(self, found: Candidates, passes: Tensor) -> Candidates:
        order, stays = self._suppressed(found, found.image, 0.7, passes)
        found = found[order[stays]]
        found.boxes = squared(found.boxes)
        return found

    def rank(self, found: Candidates) -> Tensor:
        order, stays = self._suppressed(found, found.image, 0.7, of_smaller=True)
        return order[stays]

    def _suppressed(
        self,
        found: Candidates,
        groups: Tensor,
        threshold: float,
        passes: Tensor | None = None,
        of_smaller: bool = False,
    ) -> tuple[Tensor, Tensor]:
        """Positions of the boxes that pass, by group and falling probability; which of them stay.

        Float32 probabilities near 1 are often equal; which of several boxes on a large face then
        stays is up to numpy's sort, which is not stable. Hence the package's own sort, by group.
        """
        columns = [found.logits.sigmoid(), groups.float()]  # exact: few groups
        if passes is not None:  # so the host need not wait for how many they are
            columns.append(passes.float())
        scores, keys, *counts = torch.stack(columns).cpu().double().numpy()
        rows = np.argsort(keys, kind="stable")
        if counts:
            rows = rows[counts[0][rows] > 0]
        bounds = np.flatnonzero(np.diff(keys[rows])) + 1
        ranked = [part[np.argsort(scores[part])[::-1]] for part in np.split(rows, bounds)]
        (order,) = sent([np.concatenate(ranked)], groups.device)
        # In the package a box that is itself suppressed still suppresses others. Greedy
        # suppression, torchvision's, gives another box for every fifth face.
        boxes = found.boxes[order]
        return order, survivors(
            boxes, groups[order], threshold, greedy=False, of_smaller=of_smaller
        )


class FastMtcnnDetector(_Cascade):
    """MTCNN as in ``facenet-pytorch`` 2.6.0, which is not needed for it."""

    card = FAST_MTCNN
    thresholds = (0.6, 0.7, 0.7)
    crops = AreaCrops
    real = torch.float32
    axis = staticmethod(whole_axis)
    whole = staticmethod(int)
    clips = False

    def _scales(self, shorter: int) -> list[float]:
        scale = WINDOW / _MIN_FACE
        side, scales = shorter * scale, []
        while side >= WINDOW:
            scales.append(scale)
            scale, side = scale * _FACTOR, side * _FACTOR
        return scales

    def _side(self, length: int, scale: float) -> int:
        return int(length * scale + 1)

    def _box(self, first: Tensor, offsets: Tensor, scale: Tensor) -> Tensor:
        # In float32 as in the package, because rounding down would tell the difference.
        corners = torch.cat([first + 1, first + WINDOW], 1).float()
        return (corners / scale.float()).floor().to(offsets)

    def _merge(self, found: Candidates, level: Tensor) -> Candidates:
        found = found[nms(found.boxes, found.logits, level, 0.5)]
        found = found[nms(found.boxes, found.logits, found.image, 0.7)]
        found.boxes = squared(regress(found.boxes, found.offsets))
        return found

    def _refine(self, found: Candidates, passes: Tensor) -> Candidates:
        found = found[passes.nonzero()[:, 0]]
        found = found[nms(found.boxes, found.logits, found.image, 0.7)]
        found.boxes = squared(regress(found.boxes, found.offsets, 1))
        return found

    def rank(self, found: Candidates) -> Tensor:
        order = torch.argsort(found.logits, descending=True, stable=True)
        order = order[torch.argsort(found.image[order], stable=True)]
        boxes, image = found.boxes[order], found.image[order]
        order = order[survivors(boxes, image, 0.7, of_smaller=True, extra=1)]
        return order[torch.argsort(area(found.boxes[order]), descending=True, stable=True)]
