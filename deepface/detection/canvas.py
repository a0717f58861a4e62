"""A picture with a black border that need not exist in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from deepface.types import Image, Pixels, on_host

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
    _shape: tuple[int, int] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        height, width = self.image.shape[:2]
        object.__setattr__(self, "_shape", (height + 2 * self.top, width + 2 * self.left))

    @classmethod
    def with_border(cls, image: Pixels, border: float) -> Canvas:
        """Pad by ``border`` times height and width on every side, whole pixels, rounded down."""
        height, width = image.shape[:2]
        return cls(image, top=int(border * height), left=int(border * width))

    @property
    def height(self) -> int:
        """Height including the border, in pixels."""
        return self._shape[0]

    @property
    def width(self) -> int:
        """Width including the border, in pixels."""
        return self._shape[1]

    @property
    def shape(self) -> tuple[int, int]:
        """``(height, width)`` including the border."""
        return self._shape

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
        pixels = np.zeros((*self._shape, 3), np.uint8)
        height, width = image.shape[:2]
        pixels[self.top : self.top + height, self.left : self.left + width] = image
        return pixels


def brought(
    canvases: Sequence[Canvas], arrays: Sequence[NDArray[Any]], device: torch.device
) -> tuple[Sequence[Canvas], list[Tensor]]:
    """Canvases and arrays on a device; on CUDA pictures of the CPU go up with them, in one copy."""
    from deepface.runtime.execution.transfer import sent

    if device.type != "cuda" or canvases[0].on_device:
        return canvases, sent(arrays, device)
    pictures = [on_host(canvas.image) for canvas in canvases]
    moved = sent([*pictures, *arrays], device)
    there = zip(moved, canvases, strict=False)
    return [Canvas(image, c.top, c.left) for image, c in there], moved[len(canvases) :]


def stacked(canvases: Sequence[Canvas]) -> NDArray[Any] | Tensor:
    """The images of canvases of one size, without their borders: ``(N, H, W, 3)``."""
    if not canvases[0].on_device:
        return np.stack([canvas.image for canvas in canvases])
    import torch

    from deepface.runtime.execution.transfer import as_tensor

    return torch.stack([as_tensor(canvas.image) for canvas in canvases])


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
