"""The way around networks in which each cell of a map tells of one face: YuNet, CenterFace."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from deepface.detection.boxes import Suppression
from deepface.detection.canvas import Canvas
from deepface.detection.ragged import Batch, Size, View, bins, steps
from deepface.images.resample import PixelTable, resized
from deepface.runtime.concurrency.each import in_threads
from deepface.runtime.execution.batching import regrouped
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
class Fit(View):
    """How a canvas reaches the network: resized, then black up to the input's size.

    Attributes:
        shape: of the input, whole multiples of the largest stride.
        resized: height and width of the resized canvas.
    """

    resized: Size


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
        together = bins([fit.shape for fit in fits], self.step, self.batch_pixels)
        for group in steps(together, self.kept):
            members = list(chain(*(bin_.members for bin_ in group)))
            batches = [Batch.of(bin_, canvases, fits) for bin_ in group]
            for owner, *row in self._faces(batches, threshold):
                found[members[int(owner)]].append(row)
        return found

    def _faces(self, batches: Sequence[Batch[Fit]], threshold: float) -> list[list[float]]:
        """Of each face the number of its picture in the batches, and its :data:`Row`."""
        rows, image, cells, shapes = self._maps(batches)
        scores = self.scores(rows)
        hit = scores > threshold
        if any(batch.bin.ragged for batch in batches):  # beyond a picture's edges there is anything
            hit &= (cells[:, :2] * cells[:, 2:] < shapes[image]).all(1)

        def known(at: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
            owner, score = image[at], scores[at]
            faces = self.candidates(rows[at], cells[at], shapes[owner])
            table = [owner[:, None], score[:, None], faces.boxes, faces.points]
            return faces.rivals, score, owner, torch.cat(table, 1)

        return self._suppression(hit, known, self.overlap).tolist()  # type: ignore[no-any-return]

    def _maps(self, batches: Sequence[Batch[Fit]]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Rows of all cells ``(n, C)``, number of the picture of each, its cell ``(n, 3)``; and the
        inputs' shapes ``(N, 2)``.
        """
        rows, images, cells, count = [], [], [], 0
        shapes, inputs = self._inputs(batches)
        for batch, (pictures, *beyond) in zip(batches, inputs, strict=True):
            edges = batch.edges(self.inner_strides, beyond)
            maps = self.network(pictures, channels_first, edges=edges)
            rows += [map_.permute(0, 2, 3, 1).flatten(0, 2) for map_ in maps]
            numbers = torch.arange(count, count + len(pictures), device=pictures.device)
            for stride in self.strides:
                grid = _grid(batch.bin.shape, stride, pictures.device)
                images.append(numbers[:, None].expand(-1, len(grid)).flatten())
                cells.append(grid.expand(len(pictures), -1, -1).flatten(0, 1))
            count += len(pictures)
        # By batch, stride, picture, row and column: in this order, of equal scores, who is first.
        return torch.cat(rows), torch.cat(images), torch.cat(cells), shapes

    def _inputs(self, batches: Sequence[Batch[Fit]]) -> tuple[Tensor, list[list[Tensor]]]:
        """On the device: the inputs' shapes; and of each batch the pictures ``(N, h, w, 3)`` uint8
        and, where it is ragged, for each inner stride the cells beyond its pictures.
        """
        groups: list[list[NDArray[Any]]] = [
            [np.array([size for batch in batches for size in batch.sizes])],
            *(batch.beyond(self.inner_strides) for batch in batches),
        ]
        if there := batches[0].canvases[0].on_device:
            pictures = [_resized_there(batch) for batch in batches]
        else:
            groups.append(_drawn(batches))
        (shapes,), *parts = regrouped(sent(list(chain(*groups)), self.network.device), groups)
        if not there:
            pictures = parts.pop()
        return shapes, [[batch, *beyond] for batch, beyond in zip(pictures, parts, strict=True)]


def _resized_there(batch: Batch[Fit]) -> Tensor:
    return resized(
        PixelTable([as_tensor(canvas.image) for canvas in batch.canvases]),
        [canvas.rectangle for canvas in batch.canvases],
        [Rectangle(0, 0, *fit.resized) for fit in batch.views],
        batch.bin.shape,
    )


def _drawn(batches: Sequence[Batch[Fit]]) -> list[NDArray[Any]]:
    arrays = [np.zeros((len(b.canvases), *b.bin.shape, 3), np.uint8) for b in batches]
    in_threads(
        _draw,
        list(chain(*(batch.canvases for batch in batches))),
        list(chain(*(batch.views for batch in batches))),
        list(chain(*arrays)),
    )
    return arrays


def _draw(canvas: Canvas, fit: Fit, out: Image) -> None:
    """Put a canvas, resized, into the upper left of its place, which is black."""
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
