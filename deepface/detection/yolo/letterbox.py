"""Fit a picture of any size into the smallest rectangle that a YOLO network takes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from deepface.detection.canvas import Canvas
from deepface.types import Image, Rectangle

_STRIDE = 32
#: What surrounds the picture.
GREY = 114


@dataclass(frozen=True)
class Letterbox:
    """The fit of pictures of one ``height`` and ``width``: as large as a square of ``size`` allows,
    then grey up to the next multiple of 32.

    The rounding is that of ultralytics' ``LetterBox(size, auto=True, stride=32)`` on the way in and
    that of its ``scale_boxes`` on the way back; now and then the two differ by a pixel.
    """

    height: int
    width: int
    size: int = 640

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", -(-self.size // _STRIDE) * _STRIDE)

    @property
    def inner(self) -> tuple[int, int]:
        """Height and width of the resized picture."""
        ratio = min(self.size / self.height, self.size / self.width)
        return max(round(self.height * ratio), 1), max(round(self.width * ratio), 1)

    @property
    def rectangle(self) -> tuple[int, int]:
        """Height and width of the network's input."""
        height, width = self.inner
        return height + -height % _STRIDE, width + -width % _STRIDE

    @property
    def place(self) -> Rectangle:
        """Where in the network's input the resized picture lies: in the middle."""
        top, left = map(_margin, self.rectangle, self.inner)
        return Rectangle(top, left, *self.inner)

    def draw(self, canvas: Canvas, out: Image) -> None:
        """Put the resized picture into its place in ``out``, the network's input."""
        top, left, height, width = self.place
        pixels = canvas.pixels()
        if canvas.shape != (height, width):
            pixels = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_LINEAR)  # type: ignore[assignment]
        out[top : top + height, left : left + width] = pixels

    def undo(self, points: NDArray[np.float32]) -> NDArray[np.float32]:
        """Points ``(..., 2)``, x and y in the rectangle, as points inside the picture."""
        margin, scale, limit = _way_back(self)
        inside: NDArray[np.float32] = np.clip((points - margin) / scale, 0, limit)
        return inside


@lru_cache(1024)
def _way_back(fit: Letterbox) -> NDArray[np.float32]:
    """Of x and y the margin, the scale and the largest place inside the picture."""
    outer_height, outer_width = fit.rectangle
    ratio = min(outer_height / fit.height, outer_width / fit.width)
    height, width = max(round(fit.height * ratio), 1), max(round(fit.width * ratio), 1)
    margins = _margin(outer_width, width), _margin(outer_height, height)
    scales = width / fit.width, height / fit.height
    return np.array([margins, scales, (fit.width, fit.height)], np.float32)


def _margin(outer: int, inner: int) -> int:
    return round((outer - inner) / 2 - 0.1)
