"""Pictures of different sizes through a convolutional network at once, each as if it were alone.

Grouping by size is exact, but a loop as soon as sizes differ; padding to the largest changes what a
network sees at a picture's edges. Here the pictures of a batch lie top left in one tensor, zero
elsewhere. What layers write outside of a picture is set back to zero where it would be seen: in
the row below and the column to the right of it, before each convolution that looks sideways. So
each cell inside gets the numbers of the single run.

A picture of ``h`` rows has ``ceil(h / stride)`` of them on a map, as convolutions padded by half
their kernels give.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from deepface.detection.canvas import Canvas
from deepface.runtime.execution.batching import group_indices

T = TypeVar("T")
Size = tuple[int, int]  # height, width

#: Sides of a batch of several sizes are multiples of it: cuDNN and oneDNN choose algorithms anew
#: for each shape they have not met.
_MULTIPLE = 64


class Edges:
    """Where the pictures of a batch end. These: where the tensor does."""

    def clear(self, x: Tensor, stride: int, value: float = 0.0) -> Tensor:
        """``x`` ``(N, C, h, w)``, ready for a layer that looks one cell sideways.

        ``value`` is what it must see there: of a pooling minus infinity.
        """
        return x

    def part(self, pictures: slice) -> Edges:
        """Those of some of the pictures."""
        return self


#: Of pictures of one size.
ALONE = Edges()


class RaggedEdges(Edges):
    """Edges of pictures of different sizes.

    Args:
        sizes: of the pictures.
        shape: of the batch.
        cells: for each stride that :meth:`clear` is asked for the numbers of the cells beyond the
            pictures, see :func:`cells_beyond`, on the device.
    """

    def __init__(self, sizes: Sequence[Size], shape: Size, cells: dict[int, Tensor]) -> None:
        self._sizes, self._shape, self._cells = sizes, shape, cells

    def clear(self, x: Tensor, stride: int, value: float = 0.0) -> Tensor:
        """As in the base; ``x``, channels last, is written over."""
        cells = self._cells[stride]
        if len(cells):
            x.permute(0, 2, 3, 1).view(-1, x.shape[1]).index_fill_(0, cells, value)
        return x

    def part(self, pictures: slice) -> Edges:
        sizes = self._sizes[pictures]
        cells = {
            stride: torch.from_numpy(cells_beyond(sizes, self._shape, stride)).to(old.device)
            for stride, old in self._cells.items()
        }
        return RaggedEdges(sizes, self._shape, cells)


def cells_beyond(sizes: Sequence[Size], shape: Size, stride: int) -> NDArray[np.int64]:
    """Numbers of the cells just below and just right of each picture, on a map of the batch.

    Of whole rows and columns of the map: what is farther out does not matter.
    """
    height, width = (-(-side // stride) for side in shape)
    h, w = -(-np.array(sizes, np.int64).T // stride)
    first = np.arange(len(sizes)) * height * width
    low, narrow = h < height, w < width
    below = (first + h * width)[low, None] + np.arange(width)
    right = (first + w)[narrow, None] + np.arange(height) * width
    return np.concatenate([below.ravel(), right.ravel()])


@dataclass(frozen=True)
class Bin:
    """Pictures that are a batch together.

    Attributes:
        members: their positions.
        shape: of the batch.
        ragged: whether any of them is smaller.
    """

    members: list[int]
    shape: Size
    ragged: bool

    @property
    def pixels(self) -> int:
        """Of the whole batch."""
        return len(self.members) * self.shape[0] * self.shape[1]

    def chosen(self, items: Sequence[T]) -> list[T]:
        """Of an item per picture, those of the members."""
        return [items[member] for member in self.members]


@dataclass(frozen=True)
class View:
    """How a canvas reaches a network.

    Attributes:
        shape: height and width of the network's input.
    """

    shape: Size


V = TypeVar("V", bound=View)


@dataclass(frozen=True)
class Batch(Generic[V]):
    """The pictures of a bin; if it is not ragged, their views are equal."""

    bin: Bin
    canvases: Sequence[Canvas]
    views: Sequence[V]

    @classmethod
    def of(cls, bin_: Bin, canvases: Sequence[Canvas], views: Sequence[V]) -> Batch[V]:
        """That of a bin, from all canvases and their views."""
        return cls(bin_, bin_.chosen(canvases), bin_.chosen(views))

    @property
    def sizes(self) -> list[Size]:
        """Of the pictures' inputs."""
        return [view.shape for view in self.views]

    def beyond(self, strides: Sequence[int]) -> list[NDArray[np.int64]]:
        """Where it is ragged, for each stride the cells beyond the pictures; else nothing."""
        if not self.bin.ragged:
            return []
        return [cells_beyond(self.sizes, self.bin.shape, stride) for stride in strides]

    def edges(self, strides: Sequence[int], beyond: Sequence[Tensor]) -> Edges:
        """Where its pictures end; ``beyond`` is that of the strides, on the device."""
        if not self.bin.ragged:
            return ALONE
        return RaggedEdges(self.sizes, self.bin.shape, dict(zip(strides, beyond, strict=True)))


def bins(sizes: Sequence[Size], step: int, pixels: int) -> list[Bin]:
    """Which pictures go together: the cheapest partition of them, sorted, into runs.

    Pictures of one size go together in any case.

    Args:
        sizes: of the pictures.
        step: the pixels that a network computes in the time in which its layers are launched: so
            much a batch costs besides its pixels. With 0, only equal sizes go together.
        pixels: of a batch, unless it has a single picture.
    """
    alike = group_indices(sizes)
    kinds = sorted(alike)
    # best[n]: the cost of the first n kinds, and where their last run begins.
    best: list[tuple[int, int]] = [(0, 0)]
    for end in range(1, len(kinds) + 1):
        choices = []
        for start in range(end - 1, -1, -1):
            count = sum(len(alike[kind]) for kind in kinds[start:end])
            height, width = _shape(kinds[start:end])
            if start < end - 1 and (step == 0 or count * height * width > pixels):
                break
            choices.append((best[start][0] + count * height * width + step, start))
        best.append(min(choices))
    found: list[Bin] = []
    end = len(kinds)
    while end:
        start = best[end][1]
        run = kinds[start:end]
        members = [position for kind in run for position in alike[kind]]
        height, width = _shape(run)
        count = max(1, pixels // max(1, height * width))
        found += [
            Bin(members[first : first + count], (height, width), len(run) > 1)
            for first in range(0, len(members), count)
        ]
        end = start
    return found[::-1]


def _shape(kinds: Sequence[Size]) -> Size:
    if len(kinds) == 1:
        return kinds[0]
    height, width = (-(-max(sides) // _MULTIPLE) * _MULTIPLE for sides in zip(*kinds, strict=True))
    return height, width


def steps(all_bins: Sequence[Bin], pixels: int) -> Iterator[list[Bin]]:
    """Consecutive batches of up to so many pixels together, or one."""
    step: list[Bin] = []
    left = pixels
    for bin_ in all_bins:
        left -= bin_.pixels
        if step and left < 0:
            yield step
            step, left = [], pixels - bin_.pixels
        step.append(bin_)
    if step:
        yield step
