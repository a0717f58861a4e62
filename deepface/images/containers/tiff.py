"""TIFF files, small and big: the first directory."""

from __future__ import annotations

import struct

from deepface.images.containers.layout import DamagedFile, Layout

_WIDTH, _HEIGHT, _BITS, _SAMPLES, _ROWS = 256, 257, 258, 277, 278
_TILE_WIDTH, _TILE_HEIGHT = 322, 323
_WANTED = (_WIDTH, _HEIGHT, _BITS, _SAMPLES, _ROWS, _TILE_WIDTH, _TILE_HEIGHT)
#: Struct codes of the types that numbers can have.
_TYPES = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i", 13: "I", 16: "Q", 17: "q", 18: "Q"}
_MOST_ENTRIES = 1_000


def layout(data: bytes) -> Layout:
    """Of a tag that stands there twice, the larger value counts: readers choose either."""
    order = "<" if data[:2] == b"II" else ">"
    (version,) = struct.unpack_from(order + "H", data, 2)
    is_big = version == 43
    offset, counting, entry = ("Q", "Q", "HHQQ") if is_big else ("I", "H", "HHII")
    room = struct.calcsize(order + offset)  # of a value, or of the offset where it is
    (at,) = struct.unpack_from(order + offset, data, 8 if is_big else 4)
    (count,) = struct.unpack_from(order + counting, data, at)
    if count > _MOST_ENTRIES:
        raise DamagedFile(f"has {count} tags")
    at += struct.calcsize(order + counting)
    found: dict[int, int] = {}
    for _ in range(count):
        tag, kind, length, elsewhere = struct.unpack_from(order + entry, data, at)
        at += struct.calcsize(order + entry)
        if tag in _WANTED and kind in _TYPES and length:
            code = order + _TYPES[kind]
            is_here = length * struct.calcsize(code) <= room
            (value,) = struct.unpack_from(code, data, at - room if is_here else elsewhere)
            found[tag] = max(found.get(tag, 0), abs(value))
    if not (found.get(_WIDTH) and found.get(_HEIGHT)):
        raise DamagedFile("tells no size")
    width, height = found[_WIDTH], found[_HEIGHT]
    bits = max(1, found.get(_BITS, 1))
    if _TILE_WIDTH in found:
        part = found[_TILE_WIDTH] * found.get(_TILE_HEIGHT, 1)
    else:
        part = width * min(height, found.get(_ROWS) or height)
    # Floats go to Pillow, and are converted.
    more = part * found.get(_SAMPLES, 1) * bits // 4
    return Layout(width, height, 24 if bits > 16 else 10, more)
