"""The way around networks in which each cell of a map tells of one face: YuNet, CenterFace."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from deepface.detection.boxes import Suppression
from deepface.detection.canvas import Canvas
from deepface.detection.ragged import Bin, Edges, RaggedEdges, Size, bins, cells_beyond, steps
from deepface.images.resample import PixelTable, resized
from deepface.runtime.concurrency.each import in_threads
from deepface.runtime.execution.network import Network, channels_first
from deepface.runtime.execution.streams import kept
from deepface.runtime.execution.transfer import as_tensor, sent
from deepface.types import Image, Rectangle

#: Pixels of a batch: on a CPU more only leave the cache; elsewhere.
_BATCH_PIXELS = (2**19, 2**26)
#: Pixels that are computed while a network's layers are launched, which is what a batch costs
#: besides its own; likewise. On a CPU only equal sizes go together.
_STEP = (0, 2**22)
#: Pixels whose maps are kept until their faces are looked for together, likewise.
_KEPT = (1, 2**26)

#: A face in pixels of a network's input: score, four numbers of the box, five times x and y.
Row = list[float]


@dataclass(frozen=True)
class Fit:
    """How a canvas reaches the network: resized, then black up to the input's size.

    Attributes:
        resized: height and width of the resized canvas.
        shape: of the input, whole multiples of the largest stride.
    """

    resized: Size
    shape: Size


@dataclass(frozen=True)
class Candidates:
    """``n`` of them, in pixels of the input.

    Attributes:
        boxes: ``(n, 4)``, as the detector goes on with them.
        points: ``(n, 10)``, five times x and y.
        rivals: ``(n, 4)``, x1, y1, x2, y2, as suppression sees them.
    """

    boxes: Tensor
    points: Tensor
    rivals: Tensor


class AnchorFree(ABC):
    """Base of the two.

    Args:
        module: takes batches ``(N, 3, h, w)``, BGR from 0 to 255, and their
            :class:`deepface.detection.ragged.Edges`; gives a map ``(N, C, h / s, w / s)`` for each
            of ``strides``.
        device: where it runs.
        precision: see :class:`deepface.runtime.execution.network.Network`.
    """

    #: Of the maps that come out.
    strides: tuple[int, ...]
    #: Of the maps inside that convolutions look sideways on.
    inner_strides: tuple[int, ...]
    #: Overlap above which a face is suppressed by a better one.
    overlap = 0.3

    def __init__(self, module: nn.Module, device: str | None, precision: str | None = None) -> None:
        self.network = Network(module, device, precision, chunk_size=2**16, channels_last=True)
        self._suppression = Suppression()
        elsewhere = self.network.device.type != "cpu"
        self.batch_pixels = _BATCH_PIXELS[elsewhere]
        self.step, self.kept = _STEP[elsewhere], _KEPT[elsewhere]

    @abstractmethod
    def fit(self, canvas: Canvas) -> Fit:
        """How a canvas reaches the network."""

    @abstractmethod
    def scores(self, rows: Tensor) -> Tensor:
        """How sure rows ``(n, C)``, one per cell, are of their faces, ``(n,)``."""

    @abstractmethod
    def candidates(self, rows: Tensor, cells: Tensor, shapes: Tensor) -> Candidates:
        """Faces that rows tell of.

        Args:
            rows: ``(n, C)``.
            cells: ``(n, 3)``, row, column and stride of each.
            shapes: ``(n, 2)``, height and width of the input of each.
        """

    @torch.inference_mode()
    def detect(self, canvases: Sequence[Canvas], threshold: float) -> list[list[Row]]:
        """The faces of each canvas whose score is above ``threshold``, the surest first."""
        fits = [self.fit(canvas) for canvas in canvases]
        found: list[list[Row]] = [[] for _ in canvases]
        for group in steps(
            bins([fit.shape for fit in fits], self.step, self.batch_pixels), self.kept
        ):
            members = [member for bin_ in group for member in bin_.members]
            rows, image, cells, shapes = self._maps(canvases, fits, group)
            scores = self.scores(rows)
            hit = scores > threshold
            if any(bin_.ragged for bin_ in group):  # beyond a picture's edges there is anything
                hit &= (cells[:, :2] * cells[:, 2:] < shapes[image]).all(1)
            of = partial(self._known, rows, scores, image, cells, shapes)
            for owner, *row in self._suppression(hit, of, self.overlap).tolist():
                found[members[int(owner)]].append(row)
        return found

    def _known(
        self, rows: Tensor, scores: Tensor, image: Tensor, cells: Tensor, shapes: Tensor, at: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        owner, score = image[at], scores[at]
        faces = self.candidates(rows[at], cells[at], shapes[owner])
        table = [owner[:, None], score[:, None], faces.boxes, faces.points]
        return faces.rivals, score, owner, torch.cat(table, 1)

    def _maps(
        self, canvases: Sequence[Canvas], fits: Sequence[Fit], group: Sequence[Bin]
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Rows of all cells ``(n, C)``, number of the picture of each, its cell ``(n, 3)``; and the
        inputs' shapes ``(N, 2)``.
        """
        rows, images, cells, count = [], [], [], 0
        shapes, *inputs = self._inputs(canvases, fits, group)
        for bin_, (batch, *outside) in zip(group, inputs, strict=True):
            edges = Edges()
            if bin_.ragged:
                sizes = [fits[member].shape for member in bin_.members]
                there = dict(zip(self.inner_strides, outside, strict=True))
                edges = RaggedEdges(sizes, bin_.shape, there)
            maps = self.network(batch, channels_first, edges=edges)
            rows += [map_.permute(0, 2, 3, 1).flatten(1, 2) for map_ in maps]
            for stride in self.strides:
                grid = _grid(bin_.shape, stride, batch.device)
                shape = (len(bin_.members), len(grid))
                numbers = torch.arange(count, count + shape[0], device=batch.device)
                images.append(numbers[:, None].expand(shape))
                cells.append(grid.expand(*shape, 3))
            count += len(bin_.members)
        # By batch, stride, picture, row and column: in this order, of equal scores, who is first.
        return (
            torch.cat([part.flatten(0, 1) for part in rows]),
            torch.cat([part.flatten() for part in images]),
            torch.cat([part.flatten(0, 1) for part in cells]),
            shapes[0],
        )

    def _inputs(
        self, canvases: Sequence[Canvas], fits: Sequence[Fit], group: Sequence[Bin]
    ) -> list[list[Tensor]]:
        """On the device: the inputs' shapes; then of each batch the pictures ``(N, h, w, 3)`` uint8
        and, where it is ragged, for each inner stride the cells beyond its pictures.
        """
        there = canvases[0].on_device
        facts: list[list[NDArray[Any]]] = [
            [np.array([fits[member].shape for bin_ in group for member in bin_.members])]
        ]
        for bin_ in group:
            sizes = [fits[member].shape for member in bin_.members]
            pixels = np.zeros((0 if there else len(bin_.members), *bin_.shape, 3), np.uint8)
            strides = self.inner_strides if bin_.ragged else ()
            facts.append([pixels, *(cells_beyond(sizes, bin_.shape, s) for s in strides)])
        if not there:
            places = [
                (canvases[member], fits[member], place)
                for bin_, (batch, *_) in zip(group, facts[1:], strict=True)
                for member, place in zip(bin_.members, batch, strict=True)
            ]
            in_threads(_draw, places)
        flat = iter(sent([array for part in facts for array in part], self.network.device))
        parts = [[next(flat) for _ in part] for part in facts]
        if there:
            for bin_, part in zip(group, parts[1:], strict=True):
                part[0] = self._resized_there(canvases, fits, bin_)
        return parts

    @staticmethod
    def _resized_there(canvases: Sequence[Canvas], fits: Sequence[Fit], bin_: Bin) -> Tensor:
        mine = [canvases[member] for member in bin_.members]
        return resized(
            PixelTable([as_tensor(canvas.image) for canvas in mine]),
            [Rectangle(-c.top, -c.left, c.height, c.width) for c in mine],
            [Rectangle(0, 0, *fits[member].resized) for member in bin_.members],
            bin_.shape,
        )


def _draw(place: tuple[Canvas, Fit, Image]) -> None:
    """Put a canvas, resized, into the upper left of its place, which is black."""
    canvas, fit, out = place
    height, width = fit.resized
    pixels = canvas.pixels()
    if canvas.shape != fit.resized:
        pixels = cv2.resize(pixels, (width, height))  # type: ignore[assignment]
    out[:height, :width] = pixels


@kept(256)
def _grid(shape: Size, stride: int, device: torch.device) -> Tensor:
    """Row, column and stride of each cell of a map, ``(n, 3)``."""
    rows, columns = (torch.arange(side // stride, device=device) for side in shape)
    y, x = torch.meshgrid(rows, columns, indexing="ij")
    return torch.stack([y, x, torch.full_like(x, stride)], -1).view(-1, 3)
