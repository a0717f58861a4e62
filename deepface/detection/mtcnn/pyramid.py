"""The image pyramid of MTCNN, made from the picture alone.

A level is the canvas (the picture and its black border) shrunk by averaging. Only the part is made
that PNet windows with some picture in them see: the border's pixels are zero and add nothing to an
average, so the result is the same as from the padded picture, at a quarter of the work for the
border that the published library uses.

Averages are separable and local. Along one axis they are a short weighted sum of rows for each row
of the result: ``embedding_bag``, which is exactly this, is several times faster than other ways
of resizing with these weights, and runs on every device.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

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


def whole_axis(canvas: int, start: int, size: int, level: int) -> Axis:
    """Stretches of whole pixels, which overlap: PyTorch's "area". Arguments as above."""
    edges = np.arange(level + 1) * canvas
    return _cut(edges[:-1] // level, -(-edges[1:] // level), start, size)


def _cut(low: NDArray[Any], high: NDArray[Any], start: int, size: int) -> Axis:
    """Pixel ``i`` of the level is the mean of the canvas from ``low[i]`` to ``high[i]``."""
    windows = -(-(len(low) - 2) // STRIDE) - 4  # see PNet.forward
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
    if images.device.type != "cpu":
        return images.transpose(1, 2).contiguous()
    batch, height, width, channels = images.shape
    turned = images.new_empty((batch, width, height, channels))
    for image, result in zip(images.numpy(), turned.numpy(), strict=True):
        cv2.transpose(image, dst=result)  # several times faster than a strided copy
    return turned


def averaged(images: Tensor, axis: Axis) -> Tensor:
    """Average rows: ``(B, h, w, 3)`` float32 to ``(B, len(axis.bags), w, 3)``."""
    batch, height, width, channels = images.shape
    each = torch.arange(batch, device=images.device)[:, None]

    def on_device(values: NDArray[Any]) -> Tensor:
        return torch.from_numpy(values).to(images.device)

    rows = functional.embedding_bag(
        (on_device(axis.index) + each * height).flatten(),
        images.view(batch * height, width * channels),
        (on_device(axis.bags) + each * len(axis.index)).flatten(),
        mode="sum",
        per_sample_weights=on_device(axis.weight).repeat(batch),
    )
    return rows.view(batch, len(axis.bags), width, channels)
