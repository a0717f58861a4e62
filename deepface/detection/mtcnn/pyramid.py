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

from collections.abc import Iterable, Iterator
from functools import cache
from types import ModuleType

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from deepface.detection.mtcnn.axes import AveragedRows, Axis, exact_axis, whole_axis
from deepface.runtime.execution.kernels import tried
from deepface.runtime.execution.transfer import sent

#: What PNet sees of a pixel is ``SCALE * pixel - MEAN``; the scale, a power of two, is exact.
SCALE, MEAN = 1 / 128, 127.5 / 128


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
