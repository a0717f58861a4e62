"""The image pyramid of MTCNN, made from the picture alone.

A level is the canvas (the picture and its black border) shrunk by averaging. Only the part is made
that PNet windows with some picture in them see: the border's pixels are zero and add nothing to an
average, so the result is the same as from the padded picture, at a quarter of the work for the
border that the published library uses.

Averages are separable and local. Along one axis they are a short weighted sum of rows for each row
of the result: ``embedding_bag``, which is exactly this, is several times faster than other ways
of resizing with these weights, and runs on every device; on CUDA kernels of our own do it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from deepface.detection.mtcnn.networks import STRIDE, WINDOW
from deepface.runtime.execution.kernels import tried
from deepface.runtime.execution.transfer import sent

#: What PNet sees of a pixel is ``SCALE * pixel - MEAN``; the scale, a power of two, is exact.
SCALE, MEAN = 1 / 128, 127.5 / 128


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


def transposed(images: Tensor) -> Tensor:
    """``(B, h, w, 3)`` to ``(B, w, h, 3)``, contiguous."""
    # On a CPU OpenCV is several times faster with bytes; with floats, PyTorch is by its threads.
    threads = torch.get_num_threads() > 1 and images.dtype != torch.uint8
    if images.device.type != "cpu" or threads:
        return images.transpose(1, 2).contiguous()
    batch, height, width, channels = images.shape
    turned = images.new_empty((batch, width, height, channels))
    for image, result in zip(images.numpy(), turned.numpy(), strict=True):
        cv2.transpose(image, dst=result)
    return turned


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


def averaged(images: Tensor, axis: Axis | AveragedRows) -> Tensor:
    """Average rows: ``(B, h, w, 3)`` float32 to ``(B, rows, w, 3)``.

    Args:
        images: a stack.
        axis: the same for all images; or the rows of each, on the images' device.
    """
    batch, height, width, channels = images.shape
    if isinstance(axis, Axis):
        rows = AveragedRows.of([axis] * batch, height)
        axis = AveragedRows(
            *(torch.from_numpy(part).to(images.device) for part in vars(rows).values())
        )
    found = functional.embedding_bag(
        axis.index,
        images.reshape(batch * height, width * channels),
        axis.bags,
        mode="sum",
        per_sample_weights=axis.weight,
        include_last_offset=True,
    )
    return found.view(batch, -1, width, channels)


def shrunk(pictures: Tensor, axes: Iterable[tuple[AveragedRows, AveragedRows]]) -> Iterator[Tensor]:
    """Levels as PNet sees them, ``(B, h, w, 3)`` float32.

    Args:
        pictures: a stack ``(B, H, W, 3)``, uint8.
        axes: of each level how columns and how rows are averaged, the rows by :data:`SCALE`; on
            the pictures' device.
    """
    kernels = level_kernels(pictures.device)
    if kernels is not None:
        yield from (kernels.level(pictures, *both, MEAN) for both in axes)
        return
    columns = transposed(pictures).float()
    for across, down in axes:
        yield averaged(transposed(averaged(columns, across)), down).sub_(MEAN)


@cache
def level_kernels(device: torch.device) -> ModuleType | None:
    """Kernels of our own for :func:`shrunk`, where they run and are right."""

    def load() -> ModuleType:
        from deepface.detection.mtcnn import kernels

        random = np.random.default_rng(0)
        stack = random.integers(0, 256, (2, 71, 90, 3), dtype=np.uint8)
        axes = [
            AveragedRows.of([axis(side + 20, 10, side, side // part), short], side, scale)
            for axis, part in ((exact_axis, 2), (whole_axis, 3))
            for side, scale, short in ((90, 1.0, None), (71, SCALE, exact_axis(50, 0, 50, 20)))
        ]
        arrays = [part for axis in axes for part in vars(axis).values()]
        pictures, *parts = sent([stack, *arrays], device)
        there = [AveragedRows(*parts[start : start + 3]) for start in range(0, len(parts), 3)]
        for both in zip(there[::2], there[1::2], strict=True):
            columns = averaged(transposed(pictures).float(), both[0])
            expected = averaged(transposed(columns), both[1]).sub_(MEAN)
            found = kernels.level(pictures, *both, MEAN)
            torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)
        return kernels

    return tried(load, device, "MTCNN's pyramid")
