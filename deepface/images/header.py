"""What the first bytes of an encoded picture tell: its format and, before decoding, its size."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator

from deepface.errors import ImageTooLarge, fault_of
from deepface.images.limits import PIXELS_VARIABLE

_JPEG = b"\xff\xd8\xff"
_PNG = b"\x89PNG\r\n\x1a\n"
#: Frame headers (SOF0 ... SOF15); 0xC4, 0xC8 and 0xCC in that range mean something else.
_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
#: Baseline, extended and progressive, of those.
_HUFFMAN = frozenset([0xC0, 0xC1, 0xC2])
#: Adobe's segment, whose last byte is 0 where the three components are RGB.
_ADOBE = 0xEE
_EXIF = 0xE1
_JPEG_LAST = b"\xff\xd9"
#: Markers that stand alone, without a length: TEM, RST0 ... RST7, SOI.
_ALONE = frozenset([0x01, *range(0xD0, 0xD9)])
#: A camera writes some twenty segments. The bound keeps crafted files from being walked for hours.
_MOST_SEGMENTS = 10_000


def detect_image_format(header: bytes) -> str | None:
    """``"jpeg"`` or ``"png"`` by the first bytes, else ``None``."""
    if header.startswith(_JPEG):
        return "jpeg"
    if header.startswith(_PNG):
        return "png"
    return None


def image_size(data: bytes, name: str) -> tuple[int, int] | None:
    """Width and height as stored, or ``None`` when no header of a known format is found.

    JPEG and PNG are read here, which takes microseconds and needs no Pillow; Pillow opens the
    others (without decoding them).

    Raises:
        ImageTooLarge: Pillow refuses the size that the header gives.
    """
    kind = detect_image_format(data)
    if kind == "jpeg":
        return _jpeg_size(data)
    if kind == "png":
        return _png_size(data)
    return _pillow_size(data, name)


def is_animated_png(data: bytes) -> bool:
    """Whether a PNG has an animation chunk, which comes before the first pixels."""
    return data.startswith(_PNG) and data.find(b"acTL", 0, max(data.find(b"IDAT"), 0)) > 0


def _png_size(data: bytes) -> tuple[int, int] | None:
    if len(data) < 24 or data[12:16] != b"IHDR":
        return None
    return struct.unpack(">II", data[16:24])


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    for marker, at in _jpeg_segments(data):
        if marker in _FRAME and at + 9 <= len(data):
            height, width = struct.unpack(">HH", data[at + 5 : at + 9])
            return width, height
    return None


def is_plain_jpeg(data: bytes) -> bool:
    """Whether any decoder can be given a JPEG file: complete, Huffman-coded, 8 bits, grey or YCbCr.

    Others are CMYK, stored as RGB, of 12 bits, lossless, arithmetic-coded, or cut off.
    """
    if not data.rstrip(b"\0").endswith(_JPEG_LAST):
        return False
    for marker, at in _jpeg_segments(data):
        if (
            marker == _ADOBE
            and data[at + 4 : at + 9] == b"Adobe"
            and data[at + 15 : at + 16] == b"\0"
        ):
            return False
        if marker in _FRAME:
            identifiers = (
                data[at + 10 : at + 10 + 3 * data[at + 9] : 3] if at + 10 < len(data) else b""
            )
            return (
                marker in _HUFFMAN
                and data[at + 4] == 8
                and len(identifiers) in (1, 3)
                and identifiers != b"RGB"
            )
    return False


def has_exif(data: bytes) -> bool:
    """Whether a JPEG file has a segment of EXIF."""
    return any(
        marker == _EXIF and data[at + 4 : at + 8] == b"Exif" for marker, at in _jpeg_segments(data)
    )


def _jpeg_segments(data: bytes) -> Iterator[tuple[int, int]]:
    """Each marker before the first pixels, up to the frame header, and where it begins."""
    at = 2
    for _ in range(_MOST_SEGMENTS):
        at = data.find(b"\xff", at)  # libjpeg skips bytes between segments, too
        if at < 0 or at + 9 > len(data):
            return
        marker = data[at + 1]
        if marker == 0xFF:  # filling
            at += 1
        elif marker == 0 or marker in _ALONE:
            at += 2
        else:
            yield marker, at
            if marker in _FRAME:
                return
            at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")


def _pillow_size(data: bytes, name: str) -> tuple[int, int] | None:
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data)) as image:
            return image.size
    except Image.DecompressionBombError as error:
        raise ImageTooLarge(
            f"{name} is too large: {error} The limits are the environment variable "
            f"{PIXELS_VARIABLE} and Pillow's own, twice PIL.Image.MAX_IMAGE_PIXELS."
        ) from error
    except Exception as error:  # Pillow's readers raise whatever a damaged header leads them to
        if fault_of(error) == "machine":
            raise
        return None
