"""Encoded pictures: header first, limits next, pixels last."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from deepface.errors import InvalidImage, fault_of
from deepface.images.header import detect_image_format, image_size, is_animated_png
from deepface.images.limits import check_bytes, check_pixels
from deepface.images.pil import decode_with_pillow
from deepface.logger import get_logger
from deepface.types import Image

#: End-of-image markers. ``cv2.imread`` meets them wherever a JPEG file ends too early, even inside
#: a segment (65,535 bytes at most), and then gives what there is; ``cv2.imdecode`` gives nothing.
_JPEG_END = b"\xff\xd9" * (1 << 15)


@dataclass(frozen=True)
class Encoded:
    """A picture file in memory, within the limits, not yet decoded.

    ``width`` and ``height`` are those in the header, before EXIF orientation.
    """

    data: bytes
    name: str
    width: int
    height: int

    @classmethod
    def open(cls, data: bytes, name: str) -> Encoded:
        """Read the header of an encoded picture.

        Raises:
            ImageTooLarge: it exceeds a limit.
            InvalidImage: it is empty, or in no format that is known here.
        """
        check_bytes(len(data), name)
        size = image_size(data, name)
        if size is None:
            raise InvalidImage(
                f"Exception while loading {name}: Failed to decode image: {_unknown(data)}"
            )
        check_pixels(*size, name)
        return cls(data, name, *size)

    def decode(self) -> Image:
        """The pixels as ``cv2.imread`` gives them.

        That means: BGR ``uint8``, EXIF orientation applied, alpha dropped, the first frame of an
        animation, and for a JPEG file that ends too early the part that is there, the rest grey
        (a warning is logged). What OpenCV cannot decode is given to Pillow.

        Raises:
            InvalidImage: neither can decode it.
            MachineError: there is too little memory.
        """
        image = None
        if not is_animated_png(self.data):  # cv2.imdecode (4.14) gives a later frame of these
            image = _opencv(self.data)
        if image is None and detect_image_format(self.data) == "jpeg":
            image = _opencv(self.data + _JPEG_END)
            if image is not None:
                get_logger().warning("%s is truncated: its missing part is grey", self.name)
        return decode_with_pillow(self.data, self.name) if image is None else image


def _opencv(data: bytes) -> Image | None:
    try:
        return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)  # type: ignore[return-value]
    except cv2.error as error:
        if fault_of(error) == "machine":
            raise
        return None


def _unknown(data: bytes) -> str:
    if not data:
        return "it is empty (0 bytes)"
    if data[4:8] == b"ftyp" and data[8:12] in (b"heic", b"heix", b"mif1", b"msf1", b"hevc"):
        return (
            "HEIC needs the package pillow-heif (pip install pillow-heif) and, once per process, "
            "pillow_heif.register_heif_opener()"
        )
    kind = detect_image_format(data)
    if kind is not None:
        return f"its {kind} header is damaged, or cut off after {len(data)} bytes"
    return f"neither OpenCV nor Pillow knows the format of {len(data)} bytes {data[:8]!r}..."
