"""Small pictures for the device: mixed sizes, with no face, one, and several."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import cv2
import numpy as np

from deepface.types import Image
from tests.data import package_pictures, read


@cache
def portrait() -> Image:
    """One face, 150 x 150."""
    return resized(read(package_pictures()[0])[:300, 80:380], 150, 150)


def resized(image: Image, width: int, height: int) -> Image:
    """By areas."""
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)  # type: ignore[return-value]


@cache
def mixed() -> list[Image]:
    """A face, several, none, the first one mirrored, less than a window."""
    several = read(package_pictures()[1])
    return [
        portrait(),
        resized(several, 270, 152),
        np.full((60, 90, 3), 90, np.uint8),
        np.ascontiguousarray(portrait()[:, ::-1]),
        portrait()[40:47, 40:42],
    ]


def many(count: int, sizes: Sequence[tuple[int, int]]) -> list[Image]:
    """Portraits of some widths and heights, in turns."""
    return [resized(portrait(), *sizes[i % len(sizes)]) for i in range(count)]


ONE_SIZE = [(150, 150)]
EIGHT_SIZES = [(150 + 8 * i, 180 - 6 * i) for i in range(8)]
