"""JPEG files: markers and segments."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator

from deepface.images.containers.layout import DamagedFile, Layout

#: Frame headers (SOF0 ... SOF15); 0xC4, 0xC8 and 0xCC in that range mean something else.
_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
#: Baseline, extended and progressive, of those.
_HUFFMAN = frozenset([0xC0, 0xC1, 0xC2])
_PROGRESSIVE = frozenset([0xC2, 0xC6, 0xCA, 0xCE])
_SCAN = 0xDA
#: Adobe's segment, whose last byte is 0 where the three components are RGB.
_ADOBE = 0xEE
_EXIF = 0xE1
_END = b"\xff\xd9"
#: Markers that stand alone, without a length: TEM, RST0 ... RST7, SOI.
_ALONE = frozenset([0x01, *range(0xD0, 0xD9)])
#: A marker among the pixels: no escaped 0xFF, no restart.
_NEXT = re.compile(rb"\xff([\x01-\xcf\xd8-\xfe])")
_SCANS = re.compile(rb"\xff\xda")
#: A camera writes some twenty segments. The bound keeps crafted files from being walked for hours.
_MOST_SEGMENTS = 10_000
#: An encoder writes some ten scans. Each is a walk over all pixels, and may be a few bytes long.
_MOST_SCANS = 100


def layout(data: bytes) -> Layout | None:
    """``None`` for a file without the header of a frame."""
    frame = None
    for marker, at in _segments(data):
        if marker in _FRAME:
            frame = at
        elif marker == _SCAN and frame is not None:
            if data[frame + 1] in _PROGRESSIVE or data[at + 4] < data[frame + 9]:
                _count_scans(data, at)
                return _layout(data, frame, in_scans=True)
            return _layout(data, frame, in_scans=False)
    return None if frame is None else _layout(data, frame, in_scans=True)


def _layout(data: bytes, frame: int, in_scans: bool) -> Layout:
    """Pixels that come in several scans are kept as coefficients of 16 bits until the last."""
    height, width, count = struct.unpack_from(">HHB", data, frame + 5)
    if not in_scans:
        return Layout(width, height, 6)
    samplings = [
        (at >> 4 or 1, at & 15 or 1) for at in data[frame + 11 : frame + 10 + 3 * count : 3]
    ]
    largest = max((h for h, _ in samplings), default=1) * max((v for _, v in samplings), default=1)
    return Layout(width, height, 6 + sum(2 * h * v / largest for h, v in samplings))


def _count_scans(data: bytes, at: int) -> None:
    if len(_SCANS.findall(data, at)) <= _MOST_SCANS:  # some of these may be data, but it is fast
        return
    count = 0
    for _ in range(_MOST_SEGMENTS):
        found = _NEXT.search(data, at)
        if found is None or found[1] == _END[1:]:
            return
        at = found.end()
        if found[1][0] not in _ALONE:
            at += int.from_bytes(data[at : at + 2], "big")
        count += found[1][0] == _SCAN
        if count > _MOST_SCANS:
            break
    raise DamagedFile(f"has more than {_MOST_SCANS} scans")


def is_plain_jpeg(data: bytes) -> bool:
    """Whether any decoder can be given a JPEG file: complete, Huffman-coded, 8 bits, grey or YCbCr.

    Others are CMYK, stored as RGB, of 12 bits, lossless, arithmetic-coded, or cut off.
    """
    if not data.rstrip(b"\0").endswith(_END):
        return False
    for marker, at in _segments(data):
        if marker == _ADOBE and data[at + 4 : at + 9] + data[at + 15 : at + 16] == b"Adobe\0":
            return False
        if marker in _FRAME:
            identifiers = data[at + 10 : at + 10 + 3 * data[at + 9] : 3]
            return (
                marker in _HUFFMAN
                and data[at + 4] == 8
                and len(identifiers) in (1, 3)
                and identifiers != b"RGB"
            )
    return False


def exif(data: bytes) -> bytes:
    """The content of the first segment of EXIF in a JPEG file, if there is one."""
    for marker, at in _segments(data):
        if marker == _EXIF and data[at + 4 : at + 10] == b"Exif\0\0":
            return data[at + 10 : at + 2 + (data[at + 2] << 8 | data[at + 3])]
    return b""


def _segments(data: bytes) -> Iterator[tuple[int, int]]:
    """Each marker up to the first scan, and where it begins; ten bytes follow there at least."""
    at, last = 2, len(data) - 10
    for _ in range(_MOST_SEGMENTS):
        at = data.find(b"\xff", at)  # libjpeg skips bytes between segments, too
        if not 0 <= at <= last:
            return
        marker = data[at + 1]
        if marker == 0xFF:  # filling
            at += 1
        elif marker == 0 or marker in _ALONE:
            at += 2
        else:
            yield marker, at
            if marker == _SCAN:
                return
            at += 2 + (data[at + 2] << 8 | data[at + 3])
