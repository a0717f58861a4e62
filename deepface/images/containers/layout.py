"""What a walk through a picture file gives."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import NamedTuple, TypeVar

_T = TypeVar("_T")


class Layout(NamedTuple):
    """A picture's size as it is stored, and what decoding it takes."""

    width: int
    height: int
    #: Bytes of memory for each pixel, the result included.
    per_pixel: float
    #: Bytes besides: of tiles, tables.
    more: int = 0
    #: Whether OpenCV decodes the file as it should; Pillow does otherwise.
    by_opencv: bool = True

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self.width, self.height

    @property
    def memory(self) -> int:
        """Bytes that decoding takes, about. Decoders keep a few pointers for each row."""
        return int(self.width * self.height * self.per_pixel) + 32 * self.height + self.more


class DamagedFile(Exception):
    """Why a file cannot be decoded; its text goes on from "the file"."""


def largest(sizes: Iterable[tuple[int, int]]) -> tuple[int, int]:
    """Of the sizes that a file gives, the one of the most pixels; ``DamagedFile`` without any."""
    found = max(sizes, key=math.prod, default=None)
    if found is None:
        raise DamagedFile("tells no size")
    return found


def bounded(parts: Iterable[_T], limit: int) -> Iterator[_T]:
    """At most so many parts; ``DamagedFile`` for more: walking a crafted file must end soon."""
    for number, part in enumerate(parts):
        if number == limit:
            raise DamagedFile(f"has more than {limit} parts")
        yield part
