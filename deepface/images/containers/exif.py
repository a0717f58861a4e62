"""EXIF data: the one number that matters."""

from __future__ import annotations

import contextlib
import struct

_ORIENTATION = 0x0112
_SHORT = 3
_MOST_ENTRIES = 1_000


def orientation(content: bytes) -> int:
    """The orientation, 1 to 8; 1, upright, where there is none or the data is damaged.

    Read here, because Pillow reads all that is in there, with a warning for each oddity.
    """
    content = content.removeprefix(b"Exif\0\0")
    order = "<" if content.startswith(b"II") else ">"
    with contextlib.suppress(struct.error):
        (at,) = struct.unpack_from(order + "I", content, 4)
        (count,) = struct.unpack_from(order + "H", content, at)
        for number in range(min(count, _MOST_ENTRIES)):
            tag, kind, _, value = struct.unpack_from(order + "HHIH", content, at + 2 + 12 * number)
            if tag == _ORIENTATION:
                return value if kind == _SHORT and 1 <= value <= 8 else 1
    return 1
