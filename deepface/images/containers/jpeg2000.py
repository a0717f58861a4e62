"""JPEG 2000 files: in boxes (JP2) or the bare code stream."""

from __future__ import annotations

import re
import struct

from deepface.images.containers.layout import DamagedFile, Layout, bounded

_STREAM = b"\xff\x4f\xff\x51"
SIGNATURES = (b"\0\0\0\x0cjP  \r\n\x87\n", _STREAM)
#: Memory that OpenJPEG takes for a tile, whatever its size, times the number of components.
_TILE = 4_096
_MOST_STREAMS = 100


def layout(data: bytes) -> Layout:
    """Of several sizes that a file gives, the largest."""
    streams = bounded(re.finditer(re.escape(_STREAM), data), _MOST_STREAMS)
    found = [_of_stream(data, at.start()) for at in streams]
    if not found:
        raise DamagedFile("holds no code stream")
    return max(found, key=lambda layout: layout.memory)


def _of_stream(data: bytes, at: int) -> Layout:
    (right, bottom, left, top, tile_width, tile_height, tile_left, tile_top, components) = (
        struct.unpack_from(">8IH", data, at + 8)
    )
    if not (tile_width and tile_height and right > left and bottom > top):
        raise DamagedFile("is damaged: it has no size, or tiles of none")
    across = -(-max(0, right - tile_left) // tile_width)
    down = -(-max(0, bottom - tile_top) // tile_height)
    # Values of 32 bits for each component.
    more = across * down * components * _TILE
    return Layout(right - left, bottom - top, 4 * components + 6, more)
