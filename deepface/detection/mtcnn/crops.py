"""Candidates cut out of their pictures and resized, on the device, those of all pictures at once.

The pictures of a batch, whatever their sizes, lie one after the other in one flat tensor, so that
one gather serves all candidates. Coordinates are those of the canvas; the black border is not
stored.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from deepface.detection.canvas import Canvas


class Crops(ABC):
    """The pictures of a batch, ready to be cut from.

    Attributes:
        canvas: height and width of each canvas, ``(N, 2)``.

    Args:
        pictures: ``(h, w, 3)`` uint8, on the device.
        facts: see :meth:`facts`, likewise.
    """

    #: Rows and columns that a table has beyond those of its picture.
    _more = 0

    def __init__(self, pictures: Sequence[Tensor], facts: Tensor) -> None:
        self._flat = self._tables(pictures)
        self.canvas, self._start, self._size = facts[:, 0:2], facts[:, 2:4], facts[:, 4:6]
        self._stride, self._base = facts[:, 6], facts[:, 7]

    @classmethod
    def of(cls, pictures: Sequence[Tensor], facts: Tensor) -> Crops | AreaCropsApart:
        """What cuts from these pictures the fastest."""
        return cls(pictures, facts)

    @classmethod
    def facts(cls, canvases: Sequence[Canvas]) -> NDArray[np.int64]:
        """Of each picture its canvas, where on it it lies, its size, and its place in the table."""
        rows, base = [], 1
        for canvas in canvases:
            height, width = canvas.image.shape[:2]
            place = (*canvas.shape, canvas.top, canvas.left, height, width)
            rows.append((*place, width + cls._more, base))
            base += (height + cls._more) * (width + cls._more)
        return np.array(rows, np.int64)

    @abstractmethod
    def _tables(self, pictures: Sequence[Tensor]) -> Tensor:
        """What of the pictures is looked up, ``(n, 3)``: first zeros, then the rows of each."""

    @abstractmethod
    def cut(self, image: Tensor, boxes: Tensor, size: int) -> Tensor:
        """Cut and resize.

        Args:
            image: ``(n,)``, positions of the pictures in the batch.
            boxes: ``(n, 4)``, on the canvas.
            size: side of the result.

        Returns:
            ``(n, 3, size, size)`` float32, BGR, ``(value - 127.5) / 128``.
        """

    def _look_up(
        self, image: Tensor, rows: Tensor, columns: Tensor, known: Tensor | None = None
    ) -> Tensor:
        """Entries at all pairs of ``rows`` and ``columns``, zero where not ``known``.

        ``(n, size, 2)`` twice and ``(n, size, 2, size, 2)`` to ``(n, size, 2, size, 2, 3)``.
        """
        start = self._base[image][:, None, None] + rows * self._stride[image][:, None, None]
        index = start[:, :, :, None, None] + columns[:, None, None]
        if known is not None:
            index = torch.where(known, index, 0)
        return self._flat.index_select(0, index.flatten()).view(*index.shape, 3)


class BilinearCrops(Crops):
    """As TensorFlow's ``crop_and_resize``, with boxes in fractions of the canvas.

    Points in the canvas, the outermost ones on the edges of the box, are interpolated between four
    pixels; points outside it are 0 after scaling, a middle grey.
    """

    def _tables(self, pictures: Sequence[Tensor]) -> Tensor:
        return torch.cat([pictures[0].new_zeros((1, 3)), *(p.flatten(0, 1) for p in pictures)])

    def cut(self, image: Tensor, boxes: Tensor, size: int) -> Tensor:
        last = (self.canvas[image] - 1)[:, :, None]
        shrink = last / (last + 1.0)  # a fraction of the canvas counts from 0 to the last pixel
        corner, end = boxes[:, :2].flip(1)[..., None], boxes[:, 2:].flip(1)[..., None]
        low, high = corner * shrink, end * shrink
        steps = torch.arange(size, dtype=boxes.dtype, device=boxes.device) / (size - 1)
        points = low + (high - low) * steps  # (n, 2, size): y, x
        inside = (points >= 0) & (points <= last)
        before = points.floor()
        share = (points - before).float()
        pixels = (before.long() - self._start[image][:, :, None])[..., None]
        pixels = torch.cat([pixels, pixels + 1], -1)  # (n, 2, size, 2)
        known = (pixels >= 0) & (pixels < self._size[image][:, :, None, None])
        corners = self._look_up(
            image,
            pixels[:, 0],
            pixels[:, 1],
            known[:, 0, :, :, None, None] & known[:, 1, None, None],
        ).float()
        mixed = torch.lerp(corners[..., 0, :], corners[..., 1, :], share[:, 1, None, None, :, None])
        mixed = torch.lerp(mixed[:, :, 0], mixed[:, :, 1], share[:, 0, :, None, None])
        visible = inside[:, 0, :, None] & inside[:, 1, None]
        scaled = ((mixed - 127.5) / 128).where(visible[..., None], 0.0)
        return scaled.permute(0, 3, 1, 2)


class AreaCrops(Crops):
    """As PyTorch's adaptive average pooling of the whole pixels in the box.

    Sums over stretches of pixels come from the picture's summed-area table (Crow 1984), exact in
    integers however large the picture: differences of wrapped 32-bit sums are right.
    """

    _more = 1

    @classmethod
    def of(cls, pictures: Sequence[Tensor], facts: Tensor) -> Crops | AreaCropsApart:
        apart = len(pictures) > 1 and pictures[0].device.type == "cpu"
        return AreaCropsApart(pictures, facts) if apart else cls(pictures, facts)

    def _tables(self, pictures: Sequence[Tensor]) -> Tensor:
        shapes = [(picture.shape[0] + 1, picture.shape[1] + 1, 3) for picture in pictures]
        areas = [height * width for height, width, _ in shapes]
        flat = torch.zeros((1 + sum(areas), 3), dtype=torch.int32, device=pictures[0].device)
        places = torch.split(flat[1:], areas)
        for picture, place, shape in zip(pictures, places, shapes, strict=True):
            table = place.view(shape)
            if picture.device.type == "cpu":
                cv2.integral(picture.numpy(), sum=table.numpy())
            else:
                sums = picture.cumsum(0, dtype=torch.int32)
                table[1:, 1:] = sums.cumsum(1, dtype=torch.int32)
        return flat

    def cut(self, image: Tensor, boxes: Tensor, size: int) -> Tensor:
        canvas = self.canvas[image]
        whole = boxes.long()
        corner = (whole[:, :2].flip(1).clamp(min=1) - 1).minimum(canvas - 1)[..., None]
        end = whole[:, 2:].flip(1).minimum(canvas)[..., None]
        length = (end - corner).clamp(min=1)
        steps = torch.arange(size + 1, device=boxes.device) * length  # (n, 2, size + 1)
        edges = torch.stack([steps[..., :-1] // size, (steps[..., 1:] + size - 1) // size], -1)
        count = (edges[..., 1] - edges[..., 0]).float()
        edges = edges + (corner - self._start[image][..., None])[..., None]
        edges = edges.clamp(min=0).minimum(self._size[image][:, :, None, None])
        sums = self._look_up(image, edges[:, 0], edges[:, 1])
        sums = sums[:, :, 1] - sums[:, :, 0]
        mean = (sums[:, :, :, 1] - sums[:, :, :, 0]).float()
        mean /= (count[:, 0, :, None] * count[:, 1, None])[..., None]
        return ((mean - 127.5) / 128).permute(0, 3, 1, 2)


class AreaCropsApart:
    """:class:`AreaCrops` of one picture after the other.

    Its table stays in a CPU's cache; memory for those of a whole batch would have to be zeroed each
    time.
    """

    def __init__(self, pictures: Sequence[Tensor], facts: Tensor) -> None:
        self._pictures, self._facts = pictures, facts.clone()
        self._facts[:, 7] = 1  # each table is the first
        self._last: tuple[int, AreaCrops] | None = None

    def cut(self, image: Tensor, boxes: Tensor, size: int) -> Tensor:
        """See :meth:`Crops.cut`."""
        found = boxes.new_empty((len(boxes), size, size, 3), dtype=torch.float32)
        for number in sorted(set(image.tolist())):
            mine = (image == number).nonzero()[:, 0]
            part = self._of(number).cut(torch.zeros_like(mine), boxes[mine], size)
            found[mine] = part.permute(0, 2, 3, 1)
        return found.permute(0, 3, 1, 2)

    def _of(self, number: int) -> AreaCrops:
        if self._last is None or self._last[0] != number:
            self._last = None  # its memory is the next one's
            facts = self._facts[number : number + 1]
            self._last = number, AreaCrops([self._pictures[number]], facts)
        return self._last[1]
