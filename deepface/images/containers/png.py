"""PNG files, and the icons of Windows and Apple, which hold such."""

from __future__ import annotations

import struct

from deepface.images.containers import jpeg2000
from deepface.images.containers.layout import DamagedFile, Layout, largest

SIGNATURE = b"\x89PNG\r\n\x1a\n"
#: libpng writes a chunk for each 8 kB.
_MOST_CHUNKS = 100_000
_MOST_ICONS = 100
#: What Pillow takes for each pixel of what it decodes in OpenCV's place.
_PILLOW = 12


def layout(data: bytes) -> Layout | None:
    """``None`` for a file without a header."""
    sizes: list[tuple[int, int]] = []
    animated = pixels = False
    at = len(SIGNATURE)
    for _ in range(_MOST_CHUNKS):
        if at + 8 > len(data):
            break
        length, kind = struct.unpack_from(">I4s", data, at)
        if length > len(data) - at - 12:  # OpenCV would allocate that much
            raise DamagedFile(
                f"is cut off or damaged: its part {kind!r} at byte {at} declares {length} bytes, "
                f"{max(0, len(data) - at - 12)} follow"
            )
        if kind == b"IHDR" and length >= 8:
            sizes.append(struct.unpack_from(">II", data, at + 8))
        elif kind == b"IDAT":
            pixels = True
        elif kind == b"acTL":
            animated |= not pixels
        elif kind == b"IEND":
            break
        at += length + 12
    else:
        raise DamagedFile(f"has more than {_MOST_CHUNKS} parts")
    if not sizes:
        return None
    width, height = map(max, zip(*sizes, strict=True))
    # cv2.imdecode (4.14) gives a later frame of an animation than the first.
    return Layout(width, height, _PILLOW if animated else 8, by_opencv=not animated)


def ico(data: bytes) -> Layout:
    """The largest picture of an icon of Windows: a PNG file or a bitmap without its header."""
    (count,) = struct.unpack_from("<H", data, 4)
    if count > _MOST_ICONS:
        raise DamagedFile(f"holds {count} icons")
    sizes = []
    for number in range(count):
        length, at = struct.unpack_from("<II", data, 6 + 16 * number + 8)
        inside = data[at : at + length]
        if inside.startswith(SIGNATURE):
            sizes.append((layout(inside) or Layout(0, 0, 0)).size)
        elif len(inside) >= 12:
            width, height = struct.unpack_from("<ii", inside, 4)
            sizes.append((abs(width), abs(height) // 2))  # above a mask of the same size
    return Layout(*largest(sizes), _PILLOW, by_opencv=False)


def icns(data: bytes) -> Layout:
    """The largest picture of an icon of Apple: PNG files, JPEG 2000 files, or pixels."""
    sizes = [(128, 128)]
    at, parts = 8, 0
    while at + 8 <= len(data):
        (length,) = struct.unpack_from(">I", data, at + 4)
        inside = data[at + 8 : at + length]
        if inside.startswith(SIGNATURE):
            sizes.append((layout(inside) or Layout(0, 0, 0)).size)
        elif inside.startswith(jpeg2000.SIGNATURES):
            sizes.append(jpeg2000.layout(inside).size)
        at += max(8, length)
        parts += 1
        if parts > _MOST_ICONS:
            raise DamagedFile(f"holds more than {_MOST_ICONS} icons")
    return Layout(*largest(sizes), _PILLOW, by_opencv=False)
