"""Encoded pictures: header first, limits next, pixels last."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from deepface.errors import ImageTooLarge, InvalidImage, fault_of
from deepface.images.containers import avif, exif
from deepface.images.containers.layout import DamagedFile, Layout
from deepface.images.containers.others import webp_exif
from deepface.images.header import Header, read_header
from deepface.images.limits import PIXELS_VARIABLE, check_bytes, check_memory, check_pixels
from deepface.images.pil import decode_with_pillow, open_with_pillow, turned
from deepface.logger import get_logger
from deepface.types import Image

#: End-of-image markers. ``cv2.imread`` meets them wherever a JPEG file ends too early, even inside
#: a segment (65,535 bytes at most), and then gives what there is; ``cv2.imdecode`` gives nothing.
_JPEG_END = b"\xff\xd9" * (1 << 15)
#: Formats whose orientation OpenCV (4.14) does not find, and what finds it.
_TURNED_HERE: dict[str, Callable[[bytes], int]] = {
    "WEBP": lambda data: exif.orientation(webp_exif(data)),
    "AVIF": avif.orientation,
}
#: Formats that Pillow does not know (of JPEG, no file more), and what to say where OpenCV fails.
_ONLY_OPENCV = dict.fromkeys(("HDR", "JPEG", "PAM", "PFM"), "OpenCV cannot decode it") | {
    "EXR": "OpenCV cannot decode it, and reads OpenEXR only where OPENCV_IO_ENABLE_OPENEXR=1 was "
    "set before it was imported"
}
_VIDEO = re.compile(
    rb"....ftyp|\x1a\x45\xdf\xa3|RIFF....AVI |OggS|FLV|\x00\x00\x01[\xba\xb3]|\x30\x26\xb2\x75",
    re.DOTALL,
)


@dataclass(frozen=True)
class Encoded:
    """A picture file in memory, within the limits, not yet decoded.

    ``width`` and ``height`` are those in the header, before EXIF orientation; ``format`` is
    Pillow's name. ``by_opencv`` says whether OpenCV knows it, too.
    """

    data: bytes
    name: str
    width: int
    height: int
    format: str
    by_opencv: bool

    @classmethod
    def open(cls, data: bytes, name: str) -> Encoded:
        """Read the header of an encoded picture.

        Raises:
            ImageTooLarge: it exceeds a limit.
            InvalidImage: it is empty, damaged, or in no format that is known here.
        """
        check_bytes(len(data), name)
        try:
            header = read_header(data) or _header_by_pillow(data, name)
        except DamagedFile as error:
            raise InvalidImage(_failure(name, str(error))) from None
        layout = header.layout
        check_pixels(*layout.size, name)
        check_memory(layout.memory, layout.size, len(data), name)
        return cls(data, name, *layout.size, header.format, layout.by_opencv)

    def decode(self) -> Image:
        """The pixels as ``cv2.imread`` gives them, upright.

        That means: BGR ``uint8``, alpha dropped, the first frame of an animation, and for a JPEG
        file that ends too early the part that is there, the rest grey (a warning is logged). What
        OpenCV cannot decode is given to Pillow. The orientation of WebP and AVIF files, which
        OpenCV overlooks or mistakes, is applied, too.

        Raises:
            InvalidImage: neither can decode it.
            ImageTooLarge: OpenCV cannot, and Pillow would take too much memory.
            MachineError: there is too little memory.
        """
        image = self._by_opencv(self.data) if self.by_opencv else None
        if image is None and self.format == "JPEG":
            image = self._by_opencv(self.data + _JPEG_END)
            if image is not None:
                get_logger().warning("%s is truncated: its missing part is grey", self.name)
        if image is not None:
            return image
        if self.format in _ONLY_OPENCV:
            raise InvalidImage(_failure(self.name, _ONLY_OPENCV[self.format]))
        return decode_with_pillow(self.data, self.format, self.name)

    def _by_opencv(self, data: bytes) -> Image | None:
        flags = cv2.IMREAD_COLOR
        if self.format in _TURNED_HERE:
            flags |= cv2.IMREAD_IGNORE_ORIENTATION
        try:
            image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
        except cv2.error as error:
            if fault_of(error) == "machine":
                raise
            return None
        if image is None:
            return None
        if image.ndim == 2:  # of a grey PFM file, although colours were asked for
            image = cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)
        if self.format in _TURNED_HERE:
            image = np.ascontiguousarray(turned(image, _TURNED_HERE[self.format](data)))
        return image  # type: ignore[return-value]


def _header_by_pillow(data: bytes, name: str) -> Header:
    """The header of a format that only Pillow knows."""
    try:
        with open_with_pillow(data) as image:
            return Header(image.format or "", Layout(*image.size, 12, by_opencv=False))
    except Exception as error:  # Pillow's readers raise whatever a damaged header leads them to
        if fault_of(error) == "machine":
            raise
        if type(error).__name__ == "DecompressionBombError":
            raise ImageTooLarge(
                f"{name} is too large: {error} The limits are the environment variable "
                f"{PIXELS_VARIABLE} and Pillow's own, twice PIL.Image.MAX_IMAGE_PIXELS."
            ) from error
    raise InvalidImage(_failure(name, _unknown(data)))


def _failure(name: str, reason: str) -> str:
    return f"Exception while loading {name}: Failed to decode image: {reason}"


def _unknown(data: bytes) -> str:
    if not data:
        return "it is empty (0 bytes)"
    if data[4:8] == b"ftyp" and data[8:12] in (b"heic", b"heix", b"mif1", b"msf1", b"hevc"):
        return (
            "HEIC needs the package pillow-heif (pip install pillow-heif) and, once per process, "
            "pillow_heif.register_heif_opener()"
        )
    if _VIDEO.match(data):
        return "it is a video, whose name must end as a video's, .mp4 for example"
    return f"no format that is read here begins with {data[:8]!r} ({len(data)} bytes)"
