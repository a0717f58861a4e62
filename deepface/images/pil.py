"""Pillow: images that callers pass, and files that OpenCV cannot decode."""

from __future__ import annotations

import io
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from deepface.errors import DeepFaceError, InvalidImage, as_ours, fault_of
from deepface.images.arrays import to_bgr
from deepface.images.limits import check_pixels
from deepface.types import Image

if TYPE_CHECKING:
    from PIL.Image import Image as PilImage

_ORIENTATION = 0x0112


def is_pil_image(img: Any) -> bool:
    """Whether ``img`` is a Pillow image; asked without importing Pillow."""
    # The module may be there without its class: another thread is importing it.
    kind = getattr(sys.modules.get("PIL.Image"), "Image", None)
    return kind is not None and isinstance(img, kind)


def pil_to_bgr(image: PilImage, name: str) -> Image:
    """The current frame of a Pillow image as BGR, turned upright by the EXIF tag it carries.

    Alpha is dropped and 16-bit values lose their low byte, as when OpenCV reads the file.

    Raises:
        InvalidImage: Pillow cannot decode or convert it.
        MachineError: the memory or the disk failed.
        ImageTooLarge: it exceeds the limit on pixels.
    """
    check_pixels(*image.size, name)
    try:
        pixels = _pixels(_upright(image))
    except DeepFaceError:
        raise
    except Exception as error:  # Pillow's decoders raise whatever damaged data leads them to
        raise _undecodable(error, name) from error
    return to_bgr(pixels)


def decode_with_pillow(data: bytes, name: str) -> Image:
    """The first frame of an encoded picture as BGR; raises as :func:`pil_to_bgr` does."""
    import PIL.Image

    try:
        image = PIL.Image.open(io.BytesIO(data))
    except Exception as error:
        raise _undecodable(error, name) from error
    with image:
        return pil_to_bgr(image, name)


def _undecodable(error: Exception, name: str) -> DeepFaceError:
    if fault_of(error) == "machine":
        return as_ours(error, f"Exception while loading {name}")
    return InvalidImage(f"Exception while loading {name}: Failed to decode image: {error}")


def orientation(data: bytes) -> int:
    """The EXIF orientation of an encoded picture, 1 to 8; 1, upright, where it tells none."""
    import PIL.Image

    try:
        with PIL.Image.open(io.BytesIO(data)) as image:
            return _orientation(image)
    except Exception as error:  # what is wrong with it shows when it is decoded
        if fault_of(error) == "machine":
            raise
        return 1


def _orientation(image: PilImage) -> int:
    from PIL.Image import Exif

    exif = Exif()
    try:
        # Not getexif(): where there is no EXIF, that takes the orientation from XMP, which OpenCV
        # does not read.
        exif.load(image.info.get("exif") or b"")
        value = exif.get(_ORIENTATION)
    except Exception as error:  # damaged EXIF: OpenCV goes on without it, too
        if fault_of(error) == "machine":
            raise
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _upright(image: PilImage) -> PilImage:
    from PIL.Image import Transpose

    turns = {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }
    turn = turns.get(_orientation(image))
    return image if turn is None else image.transpose(turn)


def _pixels(image: PilImage) -> NDArray[Any]:
    """Grey, BGR or float pixels for :func:`to_bgr`."""
    if image.mode == "F" or image.mode.startswith("I;16"):
        return np.asarray(image)
    if image.mode == "I":  # 32 bits, as Pillow reads some 16-bit files
        values = np.asarray(image)
        fits = values.min() >= 0 and values.max() <= 0xFFFF
        return values.astype(np.uint16) if fits else values
    if image.mode in ("P", "PA"):  # straight to RGB, Pillow warns about transparent palettes
        image = image.convert("RGBA")
    return np.asarray(image.convert("RGB"))[:, :, ::-1]
