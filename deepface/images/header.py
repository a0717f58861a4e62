"""What an encoded picture tells before it is decoded: format, size, and the memory it takes."""

from __future__ import annotations

import contextlib
import re
import struct
from collections.abc import Callable
from typing import NamedTuple

from deepface.images.containers import avif, jpeg, jpeg2000, others, png, tiff
from deepface.images.containers.layout import DamagedFile, Layout

_JPEG = b"\xff\xd8\xff"
#: Formats by their first bytes: Pillow's name, and the walk through the file.
_FORMATS: list[tuple[Callable[[bytes], object], str, Callable[[bytes], Layout | None]]] = [
    (re.compile(signature, re.DOTALL).match, name, walk)
    for signature, name, walk in (
        (_JPEG, "JPEG", jpeg.layout),
        (re.escape(png.SIGNATURE), "PNG", png.layout),
        (rb"RIFF....WEBP", "WEBP", others.webp),
        (rb"GIF8[79]a", "GIF", others.gif),
        (rb"BM", "BMP", others.bmp),
        (rb"II[*+]\0|MM\0[*+]", "TIFF", tiff.layout),
        (rb"P[1-6][\s#]", "PPM", others.pnm),
        (rb"P7\s", "PAM", others.pam),
        (rb"P[Ff]4?\s", "PFM", others.pfm),
        (rb"#\?(RGBE|RADIANCE)", "HDR", others.hdr),
        (rb"\x59\xa6\x6a\x95", "SUN", others.sun),
        (rb"\x76\x2f\x31\x01", "EXR", others.exr),
        (b"|".join(map(re.escape, jpeg2000.SIGNATURES)), "JPEG2000", jpeg2000.layout),
        (rb"\x00\x00\x01\x00", "ICO", png.ico),
        (rb"icns", "ICNS", png.icns),
    )
]
_FORMATS.append((avif.is_avif, "AVIF", avif.layout))


class Header(NamedTuple):
    """The format, by Pillow's name, and the layout of an encoded picture."""

    format: str
    layout: Layout


def detect_image_format(header: bytes) -> str | None:
    """``"jpeg"`` or ``"png"`` by the first bytes, else ``None``."""
    if header.startswith(_JPEG):
        return "jpeg"
    return "png" if header.startswith(png.SIGNATURE) else None


def read_header(data: bytes) -> Header | None:
    """Walk through an encoded picture without decoding it; ``None`` for other formats.

    Raises:
        DamagedFile: it cannot be decoded.
    """
    for signature, name, walk in _FORMATS:
        if signature(data):
            try:
                return Header(name, _walked(walk, data))
            except DamagedFile as error:
                raise DamagedFile(f"the {name} file {error}") from None
    return None


def _walked(walk: Callable[[bytes], Layout | None], data: bytes) -> Layout:
    with contextlib.suppress(struct.error, IndexError):
        layout = walk(data)
        if layout is not None and layout.width and layout.height:
            return layout
    raise DamagedFile(f"has a damaged header, or is cut off after {len(data)} bytes")
