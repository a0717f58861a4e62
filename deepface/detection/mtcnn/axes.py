"""What each pixel along a side of a level of MTCNN's pyramid is the average of, as tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepface.detection.mtcnn.networks import STRIDE, WINDOW


@dataclass(frozen=True)
class Axis:
    """Height or width of a level, cut down to what PNet must see.

    ``first`` is the level's pixel at which the cut begins (even, so that PNet's windows stay where
    they are). Row ``i`` of the cut is the sum of ``weight * row[index]`` of the picture over
    the entries from ``bags[i]`` up to the next.
    """

    first: int
    index: NDArray[np.int64]
    weight: NDArray[np.float32]
    bags: NDArray[np.int64]


@lru_cache(maxsize=4096)
def exact_axis(canvas: int, start: int, size: int, level: int) -> Axis:
    """Equal stretches, pixels at their ends counting in part: TensorFlow's and OpenCV's "area".

    Args:
        canvas: length of the canvas.
        start: where on it the picture begins.
        size: length of the picture.
        level: length of the level, at least :data:`WINDOW`.
    """
    edges = np.arange(level + 1) * (canvas / level)
    return _cut(edges[:-1], edges[1:], start, size)


@lru_cache(maxsize=4096)
def whole_axis(canvas: int, start: int, size: int, level: int) -> Axis:
    """Stretches of whole pixels, which overlap: PyTorch's "area". Arguments as above."""
    edges = np.arange(level + 1) * canvas
    return _cut(edges[:-1] // level, -(-edges[1:] // level), start, size)


def windows_of(length: int) -> int:
    """How many windows PNet sees along a level's side, see :meth:`PNet.forward`."""
    return -(-(length - 2) // STRIDE) - 4


def _cut(low: NDArray[Any], high: NDArray[Any], start: int, size: int) -> Axis:
    """Pixel ``i`` of the level is the mean of the canvas from ``low[i]`` to ``high[i]``."""
    windows = windows_of(len(low))
    seen = np.flatnonzero((high > start) & (low < start + size))
    # Window i looks at the pixels from STRIDE * i up to, and without, STRIDE * i + WINDOW.
    first = max(0, -(-(int(seen[0]) - WINDOW + 1) // STRIDE))
    last = min(windows - 1, int(seen[-1]) // STRIDE)
    rows = slice(STRIDE * first, STRIDE * last + WINDOW)
    low, high = low[rows], high[rows]

    begin = np.maximum(np.floor(low), start).astype(np.int64)
    end = np.minimum(np.ceil(high), start + size).astype(np.int64)
    count = np.maximum(end - begin, 0)
    bags = np.cumsum(count) - count
    owner = np.repeat(np.arange(len(count)), count)
    index = np.arange(len(owner)) - bags[owner] + begin[owner]
    share = np.minimum(index + 1, high[owner]) - np.maximum(index, low[owner])
    weight = share / (high - low)[owner]
    return Axis(rows.start, index - start, weight.astype(np.float32), bags)


@dataclass(frozen=True)
class AveragedRows:
    """What rows of a stack of images are averaged of, arrays or tensors on their device.

    Attributes:
        index: of rows of all images, one image after the other.
        weight: of each.
        bags: where what belongs to each row of the result begins, and the end of all; of every
            image as many rows, those beyond its own axis black.
    """

    index: Any
    weight: Any
    bags: Any

    @classmethod
    def of(cls, axes: Sequence[Axis | None], height: int, scale: float = 1.0) -> AveragedRows:
        """For an axis per image, or ``None`` for one that is not wanted.

        Args:
            axes: of each image.
            height: rows of an image in the stack.
            scale: of the averages.
        """
        length = max(len(axis.bags) for axis in axes if axis is not None)
        index, weight, bags, count = [], [], [], 0
        for number, axis in enumerate(axes):
            row = np.full(length, count, np.int64)
            if axis is not None:
                index.append(axis.index + number * height)
                weight.append(axis.weight * np.float32(scale))
                row[: len(axis.bags)] += axis.bags
                count += len(axis.index)
                row[len(axis.bags) :] = count
            bags.append(row)
        bags.append(np.array([count]))
        return cls(*(np.concatenate(part) for part in (index, weight, bags)))
