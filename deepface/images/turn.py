"""A part of a turned picture, without the rest of it."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
#: OpenCV's coordinates of a turned pixel are whole numbers of 1024ths, then of 32nds.
_ONE, _HALF_A_PLACE = 1 << 10, 1 << 4


def inverse(matrix: NDArray[np.float64]) -> list[float]:
    """From the result of a turn ``(2, 3)`` to the picture, step by step as OpenCV inverts."""
    (a, b, x), (c, d, y) = matrix.tolist()
    scale = a * d - b * c
    scale = 1 / scale if scale else 0.0
    a, b, c, d = d * scale, b * -scale, c * -scale, a * scale
    return [a, b, -a * x - b * y, c, d, -c * x - d * y]


def turned_part(
    img: Array, matrix: NDArray[np.float64], x1: int, y1: int, x2: int, y2: int
) -> Array:
    """Columns ``x1`` to ``x2``, rows ``y1`` to ``y2`` of ``cv2.warpAffine(img, matrix, its size)``.

    With ``cv2.INTER_CUBIC``, bit for bit: ``warpAffine`` makes the same tables of coordinates for
    ``cv2.remap``, but for all of the picture.

    Args:
        img: ``(H, W)`` or ``(H, W, C)``, of a dtype and size that OpenCV takes. The part has its
            dtype; it has no axis of channels where there is one channel.
        matrix: ``(2, 3)``.
        x1: of the part, which is not empty and lies inside, and turned back not beyond 16 bits;
            likewise the others.
    """
    columns, rows = np.arange(x1, x2), np.arange(y1, y2)
    a, b, c, d, e, f = inverse(matrix)
    places = []
    for of_x, of_y, shift in ((a, b, c), (d, e, f)):
        along = np.rint(of_x * columns * _ONE).astype(np.int32)
        down = np.rint((of_y * rows + shift) * _ONE).astype(np.int32) + _HALF_A_PLACE
        places.append((down[:, None] + along) >> 5)  # 32nds of a pixel
    x, y = places
    pixels = np.empty((*x.shape, 2), np.int16)
    for axis, place in enumerate(places):
        np.right_shift(place, 5, out=pixels[..., axis], casting="unsafe")
    fractions = ((y & 31) << 5 | (x & 31)).astype(np.uint16)
    return cv2.remap(img, pixels, fractions, cv2.INTER_CUBIC)
