"""Pillow: images that callers pass, and files that OpenCV cannot decode."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from deepface.errors import DataTypeError, DeepFaceError, InvalidImage, as_ours, fault_of
from deepface.images.arrays import to_bgr
from deepface.images.containers import exif
from deepface.images.limits import check_memory, check_pixels
from deepface.types import Image

if TYPE_CHECKING:
    from PIL.Image import Image as PilImage

#: Formats that Pillow is asked for. Others start programs (EPS: Ghostscript), call handlers that
#: nobody installs, or are decoded in Python, which takes minutes (QOI). HEIF and JXL come with
#: plugins that a program may have registered.
FORMATS = (
    "AVIF", "BMP", "DDS", "DIB", "GIF", "HEIF", "ICNS", "ICO", "JPEG", "JPEG2000", "JXL", "MPO",
    "PCX", "PNG", "PPM", "PSD", "SGI", "SUN", "TGA", "TIFF", "WEBP",
)  # fmt: skip
#: Bytes that Pillow takes for each pixel, where that is more than 12: for the frames of animations,
#: components of 32 bits, floats.
_MEMORY = {"AVIF": 24, "WEBP": 24, "JPEG2000": 32, "TIFF": 24}
#: Formats whose grey pictures of mode I, 32 bits, have 16 bits in the file.
_OF_16_BITS = ("PNG", "PPM", "JPEG2000")
#: Tags of TIFF.
_BITS_PER_SAMPLE, _EXTRA_SAMPLES = 258, 338
#: Pixels that are converted at a time, so that there is one copy of a large picture and not three.
_STRIP = 1 << 20


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
        image.load()  # some formats tell their orientation behind the pixels
        pixels = _pixels(image)
        # Not Image.getexif(): where there is no EXIF, that takes the orientation from XMP, which
        # OpenCV does not read.
        upright = turned(pixels, exif.orientation(image.info.get("exif") or b""))
    except DeepFaceError:
        raise
    except Exception as error:  # Pillow's decoders raise whatever damaged data leads them to
        raise _undecodable(error, name) from error
    try:
        return to_bgr(upright)
    except DataTypeError as error:
        raise DataTypeError(f"Exception while loading {name}: {error}") from error


def open_with_pillow(data: bytes, formats: Iterable[str] = FORMATS) -> PilImage:
    """An encoded picture whose format is one of these; it is not decoded yet.

    Raises:
        Exception: whatever Pillow raises.
    """
    import PIL.Image

    PIL.Image.init()
    known = [name for name in formats if name in PIL.Image.OPEN]
    return PIL.Image.open(io.BytesIO(data), formats=known)


def decode_with_pillow(data: bytes, format: str, name: str) -> Image:
    """The first frame of an encoded picture as BGR; raises as :func:`pil_to_bgr` does."""
    try:
        image = open_with_pillow(data, [format])
    except Exception as error:
        raise _undecodable(error, name) from error
    with image:
        memory = image.width * image.height * _MEMORY.get(format, 12)
        check_memory(memory, image.size, len(data), name)
        return pil_to_bgr(image, name)


def _undecodable(error: Exception, name: str) -> DeepFaceError:
    if fault_of(error) == "machine":
        return as_ours(error, f"Exception while loading {name}")
    damaged = type(error).__name__ == "UnidentifiedImageError"  # whose text names no file
    reason = "neither OpenCV nor Pillow can decode it" if damaged else error
    return InvalidImage(f"Exception while loading {name}: Failed to decode image: {reason}")


def turned(pixels: NDArray[Any], orientation: int) -> NDArray[Any]:
    """A view of ``(H, W)`` or ``(H, W, C)`` as it is stored, upright."""
    if orientation >= 5:  # rows are stored as columns
        pixels = pixels.swapaxes(0, 1)
    down = -1 if orientation in (3, 4, 7, 8) else 1
    across = -1 if orientation in (2, 3, 6, 7) else 1
    return pixels[::down, ::across]


def _pixels(image: PilImage) -> NDArray[Any]:
    """Grey, BGR or float pixels for :func:`to_bgr`."""
    if image.mode == "F":
        return np.asarray(image)
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format in _OF_16_BITS):
        return (np.asarray(image) >> 8).astype(np.uint8)  # also of dark ones, as OpenCV does
    if image.mode == "I":
        values = np.asarray(image)
        fits = values.min() >= 0 and values.max() <= 0xFFFF
        return values.astype(np.uint16) if fits else values
    times_alpha = _has_colours_times_alpha(image)
    # Where a GIF file has a hole, OpenCV shows its background.
    has_hole = image.format == "GIF" and image.mode in ("P", "L")
    hole, ground = image.info.get("transparency"), image.info.get("background", 0)
    width, height = image.size
    pixels = np.empty((height, width, 3), np.uint8)
    rows = max(1, _STRIP // max(1, width))
    for top in range(0, height, rows):
        strip = image.crop((0, top, width, min(height, top + rows)))
        if times_alpha:
            strip = _times_alpha(strip)
        elif has_hole and hole is not None:
            strip = strip.point([ground if index == hole else index for index in range(256)])
        if image.mode in ("P", "PA"):  # straight to RGB, Pillow warns about transparent palettes
            strip = strip.convert("RGBA")
        pixels[top : top + rows] = np.asarray(strip.convert("RGB"))[:, :, ::-1]
    return pixels


def _has_colours_times_alpha(image: PilImage) -> bool:
    """Whether OpenCV reads a file's colours multiplied by alpha, and Pillow as they were before."""
    if image.format != "TIFF" or image.mode != "RGBA":
        return False
    tags = image.tag_v2  # type: ignore[attr-defined]
    return bool(tags.get(_BITS_PER_SAMPLE, (8,))[0] == 8 or tags.get(_EXTRA_SAMPLES, (0,))[0] == 1)


def _times_alpha(strip: PilImage) -> PilImage:
    import PIL.Image

    pixels = np.asarray(strip)
    colours = (pixels[:, :, :3].astype(np.uint16) * pixels[:, :, 3:] + 127) // 255
    return PIL.Image.fromarray(colours.astype(np.uint8))
