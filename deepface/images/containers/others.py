"""Formats that tell their size in a line or two."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Iterator

from deepface.images.containers.layout import Layout, bounded, largest

_MOST_PARTS = 1_000_000
_MOST_SIZES = 1_000
#: Longest header that is text.
_HEADER = 1 << 16
_GIF_FRAME, _GIF_EXTENSION = b",!"
_BETWEEN = rb"(?:\s|#[^\r\n]*[\r\n])"
_PNM = re.compile(rb"P[1-6]%b+(\d{1,20})%b+(\d{1,20})" % (_BETWEEN, _BETWEEN))
_PFM = re.compile(rb"P[Ff]4?\s+(\d{1,20})\s+(\d{1,20})")
_PAM = {name: re.compile(rb"%b\s+(\d{1,20})" % name) for name in (b"WIDTH", b"HEIGHT", b"DEPTH")}
_HDR = re.compile(rb"-Y\s*\+?(\d{1,20})\s*\+X\s*\+?(\d{1,20})")
_EXR_WINDOW, _EXR_TILES = b"dataWindow\0box2i\0", b"tiles\0tiledesc\0"


def bmp(data: bytes) -> Layout:
    """Windows and OS/2 bitmaps."""
    (header,) = struct.unpack_from("<I", data, 14)
    width, height = struct.unpack_from("<HH" if header == 12 else "<ii", data, 18)
    return Layout(abs(width), abs(height), 8)


def gif(data: bytes) -> Layout:
    """The canvas and the first frame, which may reach beyond it."""
    width, height, flags = struct.unpack_from("<HHB", data, 6)
    at = 13 + (3 << (flags & 7) + 1 if flags & 0x80 else 0)
    for frame in bounded(_gif_blocks(data, at), _MOST_PARTS):
        if frame is not None:
            left, top, across, down = struct.unpack_from("<HHHH", data, frame + 1)
            width, height = max(width, left + across), max(height, top + down)
    return Layout(width, height, 12)


def _gif_blocks(data: bytes, at: int) -> Iterator[int | None]:
    """``None`` for each extension and each part of one, then where the first frame begins."""
    while at < len(data) and data[at] == _GIF_EXTENSION:
        yield None
        at += 2
        while at < len(data) and data[at]:
            yield None
            at += data[at] + 1
        at += 1
    if at < len(data) and data[at] == _GIF_FRAME:
        yield at


def webp(data: bytes) -> Layout:
    """The canvas and the frames: every size that there is."""
    sizes = (size for chunk in _webp_chunks(data) for size in _webp_sizes(*chunk))
    return Layout(*largest(sizes), 8.5)


def webp_exif(data: bytes) -> bytes:
    """The EXIF data of a WebP file, if there is some."""
    return next((bytes(content) for kind, content in _webp_chunks(data) if kind == b"EXIF"), b"")


def _webp_chunks(data: bytes) -> Iterator[tuple[bytes, memoryview]]:
    at = 12
    for _ in range(_MOST_PARTS):
        if at + 8 > len(data):
            return
        kind, length = struct.unpack_from("<4sI", data, at)
        yield kind, memoryview(data)[at + 8 : at + 8 + length]
        at += 8 + length + (length & 1)


def _webp_sizes(kind: bytes, begin: memoryview) -> Iterable[tuple[int, int]]:
    at = {b"VP8X": 4, b"ANMF": 6}.get(kind)
    if at is not None and len(begin) >= at + 6:
        width, height = (int.from_bytes(begin[n : n + 3], "little") for n in (at, at + 3))
        yield width + 1, height + 1
    elif kind == b"VP8 " and len(begin) >= 10:
        width, height = struct.unpack_from("<HH", begin, 6)
        yield width & 0x3FFF, height & 0x3FFF
    elif kind == b"VP8L" and len(begin) >= 5:
        bits = int.from_bytes(begin[1:5], "little")
        yield (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1


def pnm(data: bytes) -> Layout:
    """Portable bit, grey and pix maps."""
    return Layout(*_size(_PNM.match(data, 0, _HEADER)), 8)


def pfm(data: bytes) -> Layout:
    """Portable float maps."""
    return Layout(*_size(_PFM.match(data, 0, _HEADER)), 26)


def pam(data: bytes) -> Layout:
    """Portable arbitrary maps; of lines that repeat, the larger counts."""
    head = data[:_HEADER].partition(b"ENDHDR")[0]
    width, height, depth = (
        max((int(found[1]) for found in bounded(line.finditer(head), _MOST_SIZES)), default=1)
        for line in _PAM.values()
    )
    return Layout(width, height, 8 + 4 * depth)


def hdr(data: bytes) -> Layout:
    """Radiance's pictures; of lines that repeat, the largest counts."""
    sizes = [(int(found[2]), int(found[1])) for found in bounded(_HDR.finditer(data), _MOST_SIZES)]
    return Layout(*largest(sizes), 18)


def sun(data: bytes) -> Layout:
    """Sun's raster files."""
    width, height = struct.unpack_from(">II", data, 4)
    return Layout(width, height, 8)


def exr(data: bytes) -> Layout:
    """OpenEXR, of one part or several, in lines or tiles."""
    sizes = [
        (abs(right - left) + 1, abs(bottom - top) + 1)
        for left, top, right, bottom in _attributes(data, _EXR_WINDOW, "<iiii")
    ]
    tiles = [across * down for across, down in _attributes(data, _EXR_TILES, "<II")]
    return Layout(*largest(sizes), 32, 16 * max(tiles, default=0))


def _attributes(data: bytes, name: bytes, code: str) -> list[tuple[int, ...]]:
    return [
        struct.unpack_from(code, data, found.end() + 4)
        for found in bounded(re.finditer(re.escape(name), data), _MOST_SIZES)
    ]


def _size(found: re.Match[bytes] | None) -> tuple[int, int]:
    return largest([(int(found[1]), int(found[2]))] if found else [])
