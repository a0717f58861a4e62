"""A picture with a black border that need not exist in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from deepface.runtime.execution.batching import regrouped
from deepface.types import Image, Pixels, Rectangle, on_host

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@dataclass(frozen=True)
class Canvas:
    """``image`` in the middle of a black frame, which is what a detector is shown.

    The published library pads every picture by half its size before detection when ``align`` is
    on. Detectors that can, work on ``image`` and the border's widths and skip the black; the
    others ask for ``pixels()``. The image may be a tensor on a device, contiguous.
    """

    image: Pixels
    top: int = 0
    left: int = 0

    @classmethod
    def with_border(cls, image: Pixels, border: float) -> Canvas:
        """Pad by ``border`` times height and width on every side, whole pixels, rounded down."""
        height, width = image.shape[:2]
        return cls(image, top=int(border * height), left=int(border * width))

    @property
    def shape(self) -> tuple[int, int]:
        """``(height, width)`` including the border, in pixels."""
        height, width = self.image.shape[:2]
        return height + 2 * self.top, width + 2 * self.left

    @property
    def height(self) -> int:
        """Height including the border, in pixels."""
        return self.shape[0]

    @property
    def width(self) -> int:
        """Width including the border, in pixels."""
        return self.shape[1]

    @property
    def rectangle(self) -> Rectangle:
        """The canvas in pixels of the image."""
        return Rectangle(-self.top, -self.left, *self.shape)

    @property
    def inside(self) -> tuple[slice, slice]:
        """The rows and columns that the image takes."""
        height, width = self.image.shape[:2]
        return slice(self.top, self.top + height), slice(self.left, self.left + width)

    @property
    def on_device(self) -> bool:
        """Whether the image is a tensor."""
        return not isinstance(self.image, np.ndarray)

    def on_host(self) -> Canvas:
        """The same with its image on the CPU."""
        return Canvas(on_host(self.image), self.top, self.left)

    def pixels(self) -> Image:
        """The padded picture ``(height, width, 3)``; the image itself where there is no border.

        Made anew at each call and not kept: it is several times the size of the image.
        """
        image: Image = on_host(self.image)
        if not (self.top or self.left):
            return np.ascontiguousarray(image)
        # Fresh zeros cost nothing until they are touched, and who shrinks the picture skips most.
        pixels = np.zeros((*self.shape, 3), np.uint8)
        pixels[self.inside] = image
        return pixels


def brought(
    canvases: Sequence[Canvas], groups: Sequence[Sequence[NDArray[Any]]], device: torch.device
) -> tuple[list[Tensor], list[list[Tensor]]]:
    """Images of canvases, and groups of arrays, on a device; what is on the CPU in one copy."""
    from deepface.runtime.execution.transfer import as_tensor, sent

    arrays = list(chain(*groups))
    if canvases[0].on_device:
        images = [as_tensor(canvas.image).to(device) for canvas in canvases]
        return images, regrouped(sent(arrays, device), groups)
    pictures = [np.ascontiguousarray(canvas.image) for canvas in canvases]
    moved = sent([*pictures, *arrays], device)
    return moved[: len(pictures)], regrouped(moved[len(pictures) :], groups)


def cut(img: Any, x: int, y: int, w: int, h: int) -> Any:
    """The rectangle ``(x, y, w, h)`` of an array or tensor ``(H, W, ...)``, black outside it."""
    height, width = img.shape[:2]
    w, h = max(0, w), max(0, h)
    left, top, right, bottom = max(0, x), max(0, y), min(width, x + w), min(height, y + h)
    if (left, top, right, bottom) == (x, y, x + w, y + h):
        return img[y : y + h, x : x + w]
    shape = (h, w, *img.shape[2:])
    out = np.zeros(shape, img.dtype) if isinstance(img, np.ndarray) else img.new_zeros(shape)
    if right > left and bottom > top:
        out[top - y : bottom - y, left - x : right - x] = img[top:bottom, left:right]
    return out
