"""A picture in a black border, seen by a convolutional network.

With the published border three quarters of a detector's input are black. Of a layer's map, only the
cells that see the picture depend on it; all others are those of an input that is black throughout.
Such a map has strips of its own along the edges, as wide as the layers see, and is constant between
them: a small black input gives all of its values. So layers run on the cells that see the picture
and on a small black map, and the whole map is put together from the two where it is needed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from deepface.runtime.execution.streams import kept

#: Leaving cells out pays as long as this share of them, or less, is computed.
_WORTH = 0.8


@dataclass(frozen=True)
class _Axis:
    """The rows, or the columns, of a map.

    Attributes:
        size: how many there are.
        start: the first that sees the picture,
        stop: and the one after the last.
        edge: how many of them, at either end, see that end.
        black: how many the black map has: ``2 * edge + 1``, or ``size`` where that is less.
    """

    size: int
    start: int
    stop: int
    edge: int = 0
    black: int = 1

    def after(self, reach: int, stride: int) -> _Axis:
        """The axis of the map that layers of this reach and stride give."""
        size = -(-self.size // stride)
        start = max(0, (self.start - reach) // stride)
        stop = min(size, (self.stop - 1 + reach) // stride + 1)
        # Strides meet the far end with a remainder.
        edge = -(-(self.edge + reach) // stride) + (stride > 1)
        return _Axis(size, start, stop, edge, min(size, 2 * edge + 1))

    def window(self, after: _Axis, reach: int, stride: int) -> slice:
        """What the layers must be shown so that they give ``after.start`` to ``after.stop``."""
        first = max(0, (after.start * stride - reach) // stride * stride)
        last = max(self.stop, (after.stop - 1) * stride + reach + 1)
        return slice(first, min(self.size, last))

    def black_before(self, after: _Axis, stride: int) -> int:
        """Size of the black map that they must be shown so that they give ``after.black``."""
        # With the remainder of the whole map: strides meet its far end alike.
        return min(self.size, (after.black - 1) * stride + (self.size - 1) % stride + 1)


@kept(1024)
def _of_black(black: int, size: int, start: int, stop: int, device: torch.device) -> Tensor:
    """Which cells of a map of ``black`` cells equal those of a black map of ``size``."""
    cell = torch.arange(start, stop, device=device)
    return torch.minimum(cell, (cell - (size - black)).clamp(min=black // 2))


@dataclass(frozen=True)
class Placement:
    """Where a picture lies in a network's input that is black otherwise.

    Attributes:
        shape: height and width of the input.
        rows: of the input, those of the picture.
        columns: likewise.
    """

    shape: tuple[int, int]
    rows: slice
    columns: slice

    @classmethod
    def none(cls, shape: tuple[int, int]) -> Placement:
        """The picture is the whole input."""
        return cls(shape, slice(0, shape[0]), slice(0, shape[1]))

    def around(self, pictures: Tensor) -> FramedMap:
        """The inputs that have ``pictures`` ``(N, C, rows, columns)`` in them."""
        axes = [
            _Axis(size, part.start, part.stop)
            for size, part in zip(self.shape, (self.rows, self.columns), strict=True)
        ]
        return FramedMap(pictures, pictures.new_zeros(1, pictures.shape[1], 1, 1), axes[0], axes[1])


@dataclass(frozen=True)
class FramedMap:
    """A map of inputs with a frame.

    Attributes:
        seeing: the cells that see the picture, ``(N, C, h, w)``.
        black: the small black map, ``(1, C, h, w)``.
        rows: of the whole map.
        columns: likewise.
    """

    seeing: Tensor
    black: Tensor
    rows: _Axis
    columns: _Axis

    def through(
        self,
        layers: Callable[..., Tensor],
        reach: int = 0,
        stride: int = 1,
        others: tuple[FramedMap, ...] = (),
    ) -> FramedMap:
        """The map that layers make of this one.

        Args:
            layers: ``(N, C, h, w)`` to ``(N, D, h / stride, w / stride)``, rounded up. They may
                write over what they are given.
            reach: how many cells of this map away from its own a cell of the result sees, or more.
            stride: of the layers together.
            others: maps with cells like this one's that the layers take, too.
        """
        rows, columns = (axis.after(reach, stride) for axis in (self.rows, self.columns))
        windows = (
            self.rows.window(rows, reach, stride),
            self.columns.window(columns, reach, stride),
        )
        black = (self.rows.black_before(rows, stride), self.columns.black_before(columns, stride))
        height, width = (window.stop - window.start for window in windows)
        maps = (self, *others)
        if height * width + black[0] * black[1] > _WORTH * self.rows.size * self.columns.size:
            result = layers(*(part.whole() for part in maps))
            return Placement.none((rows.size, columns.size)).around(result)
        result = layers(*(part._cells(*windows) for part in maps))
        top, left = (window.start // stride for window in windows)
        result = result[:, :, rows.start - top : rows.stop - top]
        return FramedMap(
            result[:, :, :, columns.start - left : columns.stop - left],
            layers(
                *(part._of_black(black, slice(0, black[0]), slice(0, black[1])) for part in maps)
            ),
            rows,
            columns,
        )

    def whole(self) -> Tensor:
        """All of its cells."""
        return self._cells(slice(0, self.rows.size), slice(0, self.columns.size))

    def _cells(self, rows: slice, columns: slice) -> Tensor:
        """Some of its cells; all that see the picture are among them."""
        height, width = rows.stop - rows.start, columns.stop - columns.start
        if self.seeing.shape[2:] == (height, width):
            return self.seeing.contiguous(memory_format=torch.channels_last)
        shape = (self.rows.size, self.columns.size)
        count, channels = self.seeing.shape[:2]
        # Channels last throughout: whole pieces of memory are copied.
        cells = self.seeing.new_empty(count, height, width, channels).permute(0, 3, 1, 2)
        for row, column in (
            (slice(rows.start, self.rows.start), columns),
            (slice(self.rows.stop, rows.stop), columns),
            (slice(self.rows.start, self.rows.stop), slice(columns.start, self.columns.start)),
            (slice(self.rows.start, self.rows.stop), slice(self.columns.stop, columns.stop)),
        ):
            strip = cells[:, :, row.start - rows.start : row.stop - rows.start]
            strip = strip[:, :, :, column.start - columns.start : column.stop - columns.start]
            strip.copy_(self._of_black(shape, row, column))
        top, left = self.rows.start - rows.start, self.columns.start - columns.start
        height, width = self.seeing.shape[2:]
        cells[:, :, top : top + height, left : left + width] = self.seeing
        return cells

    def _of_black(self, shape: tuple[int, int], rows: slice, columns: slice) -> Tensor:
        """Some cells of a black map of this shape."""
        row, column = (
            _of_black(axis.black, size, part.start, part.stop, self.black.device)
            for axis, size, part in zip(
                (self.rows, self.columns), shape, (rows, columns), strict=True
            )
        )
        return self.black.permute(0, 2, 3, 1)[:, row[:, None], column].permute(0, 3, 1, 2)


class FramedLayers(nn.Module):
    """Layers that take and give a :class:`FramedMap`.

    Args:
        layers: they run one after the other.
        reach: see :meth:`FramedMap.through`.
        stride: likewise.
    """

    def __init__(self, *layers: nn.Module, reach: int, stride: int = 1) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)
        self.reach, self.stride = reach, stride

    def forward(self, x: FramedMap) -> FramedMap:
        """The layers' map of ``x``."""
        return x.through(self.layers, self.reach, self.stride)
