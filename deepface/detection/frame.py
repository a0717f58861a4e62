"""A picture in a black border, seen by the first layers of a convolutional network.

With the published border three quarters of a detector's input are black. Away from the picture and
from the edges, a layer gives the same numbers everywhere there. So the first layers, which see some
dozen pixels around a cell, need run on the picture with a margin, and once on a small black square:
what they give for the whole input is put together from the two.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

#: It pays up to this share of the input.
_WORTH = 0.8


@dataclass(frozen=True)
class _Axis:
    """The rows, or the columns, of the input and of the layers' map.

    Attributes:
        pixels: those of the input that are computed.
        taken: cells that are taken from their map,
        placed: and where they belong in the whole map.
        sample: pixels of the square.
        cells: for each cell of the whole map, the cell of the square's map that equals it.
    """

    pixels: slice
    taken: slice
    placed: slice
    sample: int
    cells: tuple[int, ...]

    @classmethod
    def of(cls, size: int, start: int, stop: int, reach: int, stride: int) -> _Axis:
        count = -(-size // stride)
        low = max(0, (start - reach) // stride)
        high = min(count, -(-(stop + reach) // stride))
        first = max(0, low - reach // stride)
        pixels = slice(first * stride, min(size, high * stride + reach))
        # The square has the cells that see an edge, with one to spare, and one between them; and
        # the same remainder, so that strides meet its far edge as they meet that of the input.
        edge = reach // stride + 1
        sample, cells = size, tuple(range(count))
        if count > 2 * edge + 1:
            sample = 2 * edge * stride + (size - 1) % stride + 1
            cells = tuple(
                min(cell, max(edge, cell - count + 2 * edge + 1)) for cell in range(count)
            )
        return cls(pixels, slice(low - first, high - first), slice(low, high), sample, cells)


@dataclass(frozen=True)
class Frame:
    """Which part of an input is computed, and how the whole map follows from it.

    Attributes:
        rows: of the input, those that are computed.
        columns: likewise.
    """

    rows: slice
    columns: slice
    _axes: tuple[_Axis, _Axis] | None

    @classmethod
    def around(
        cls,
        shape: tuple[int, int],
        rows: tuple[int, int],
        columns: tuple[int, int],
        reach: int,
        stride: int,
    ) -> Frame:
        """The frame of an input ``(height, width)`` that is black outside of a picture.

        Args:
            shape: of the input.
            rows: first row of the picture, and the one after its last.
            columns: likewise.
            reach: how many pixels away from its own a cell of the map sees, or more; a multiple
                of ``stride``.
            stride: of the map; its size is the input's, divided and rounded up.
        """
        y = _Axis.of(shape[0], *rows, reach, stride)
        x = _Axis.of(shape[1], *columns, reach, stride)
        part = (y.pixels.stop - y.pixels.start) * (x.pixels.stop - x.pixels.start)
        if part + y.sample * x.sample > _WORTH * shape[0] * shape[1]:
            return cls(slice(0, shape[0]), slice(0, shape[1]), None)
        return cls(y.pixels, x.pixels, (y, x))

    def complete(self, layers: Callable[[Tensor], Tensor], part: Tensor) -> Tensor:
        """What ``layers`` give for the whole input.

        Args:
            layers: ``(N, C, h, w)`` to ``(N, D, h / stride, w / stride)``.
            part: ``rows`` and ``columns`` of the input, ``(N, C, h, w)``.
        """
        known = layers(part)
        if self._axes is None:
            return known
        y, x = self._axes
        black = part.new_zeros(1, part.shape[1], y.sample, x.sample)
        border = layers(black.contiguous(memory_format=torch.channels_last))
        row, column = (torch.tensor(axis.cells, device=part.device) for axis in (y, x))
        # Channels last throughout: whole pieces of memory are copied.
        border = border.permute(0, 2, 3, 1)[0, row[:, None], column]
        whole = border.repeat(len(part), 1, 1, 1).permute(0, 3, 1, 2)
        whole[:, :, y.placed, x.placed] = known[:, :, y.taken, x.taken]
        return whole
