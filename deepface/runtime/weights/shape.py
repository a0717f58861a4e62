"""Shapes of the tensors in a file, which may claim any."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TypeAlias

Shape: TypeAlias = tuple[int, ...]

_MOST_DIMENSIONS = 8
_MOST_NUMBERS = 1 << 40


def checked_shape(sizes: Iterable[int]) -> Shape:
    """A tensor's sizes; ``ValueError`` where no tensor has them."""
    shape = tuple(sizes)
    is_sound = len(shape) <= _MOST_DIMENSIONS and min(shape, default=0) >= 0
    if not is_sound or math.prod(shape) > _MOST_NUMBERS:
        raise ValueError(f"a tensor of shape {shape!r:.100}")
    return shape
