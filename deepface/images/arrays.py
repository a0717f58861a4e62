"""Arrays of any sensible kind become pictures of one known range; the others are refused."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from deepface.errors import DataTypeError
from deepface.types import Image

#: What white is in ``uint8``.
WHITE = 255.0
#: How far, relative to the range, interpolation may have carried floats beyond it.
_OVERSHOOT = 0.01


class ArrayPicture(NamedTuple):
    """What an array shows; the fields are those of :class:`deepface.types.Picture`."""

    pixels: Image
    source: NDArray[Any]
    full_scale: float

    @property
    def known(self) -> Image:
        """The pixels are on the CPU."""
        return self.pixels


def to_picture(array: NDArray[Any]) -> ArrayPicture:
    """What an array shows; not copied where it is contiguous BGR ``uint8`` ``(H, W, 3)`` already.

    Crops of three-channel floats keep their dtype and range, as published: ``source`` is then the
    array in the machine's byte order, as float64 if it is that and float32 otherwise. Of all others
    it is ``pixels``.

    Args:
        array: grey ``(H, W)`` or ``(H, W, 1)``, BGR ``(H, W, 3)`` or BGRA ``(H, W, 4)`` (alpha is
            dropped). Values by dtype:

            * ``uint8``: taken as they are; ``bool``: 0 and 255.
            * other integers: 0 ... 255 as they are. A ``uint16`` array with larger values has 16
              bits per channel, of which the upper 8 are taken, as OpenCV does with such files.
            * floats: [0, 1] if none is above 1, else [0, 255]; rounded. 1 % beyond either range is
              clipped.

    Raises:
        DataTypeError: another shape, dtype or range, no pixels, NaN or infinity.
    """
    array = np.asarray(array)
    try:
        return _picture(array)
    except _NoPictureError as error:
        raise DataTypeError(
            f"a {array.dtype} array of shape {array.shape} cannot be taken as an image: {error}"
        ) from None


def _picture(array: NDArray[Any]) -> ArrayPicture:
    channels = 1 if array.ndim == 2 else array.shape[-1] if array.ndim == 3 else 0
    if channels not in (1, 3, 4):
        raise _NoPictureError(
            "it must have the shape (H, W), (H, W, 1), (H, W, 3) or (H, W, 4), channels last"
        )
    if array.size == 0:
        raise _NoPictureError("it has no pixels")
    colours = array[:, :, :3] if channels == 4 else array
    source, scale = None, WHITE
    if array.dtype.kind == "f":
        source, scale = _floats(colours)
        values = np.rint(source * np.float32(WHITE / scale)).astype(np.uint8)
    else:
        values = _to_uint8(colours)
    if channels == 1:
        pixels: Image = np.repeat(values.reshape(*values.shape[:2], 1), 3, axis=2)
    else:
        pixels = np.ascontiguousarray(values)
    if source is None or channels != 3:
        return ArrayPicture(pixels, pixels, WHITE)
    return ArrayPicture(pixels, source, scale)


def to_bgr(array: NDArray[Any]) -> Image:
    """The ``pixels`` of :func:`to_picture`."""
    return to_picture(array).pixels


def full_scale(array: NDArray[Any]) -> float:
    """What white is in an array that somebody passes: 1 in floats of which none is above, or 255.

    For doors only: what has entered says it itself.
    """
    if array.dtype.kind == "f" and array.size and array.max() <= 1 + _OVERSHOOT:
        return 1.0
    return WHITE


class _NoPictureError(Exception):
    """Why values cannot be those of a picture."""


def _to_uint8(array: NDArray[Any]) -> NDArray[np.uint8]:
    kind = array.dtype.kind
    if array.dtype == np.uint8:
        return array.astype(np.uint8, copy=False)
    if kind == "b":
        return array.astype(np.uint8) * np.uint8(255)
    if kind not in "iu":
        raise _NoPictureError("it must hold integers, floats or bools")
    low, high = int(array.min()), int(array.max())
    if kind == "u" and array.dtype.itemsize == 2 and high > 255:
        return (array >> 8).astype(np.uint8)
    if low < 0 or high > 255:
        raise _NoPictureError(f"its values go from {low} to {high}, but must lie in 0 ... 255")
    return array.astype(np.uint8)


def _floats(array: NDArray[Any]) -> tuple[NDArray[Any], float]:
    """Native floats within their range, and what white is in them."""
    low, high = float(array.min()), float(array.max())  # NaN, where there is one
    if not (np.isfinite(low) and np.isfinite(high)):
        raise _NoPictureError("it holds NaN or infinity")
    scale = full_scale(array)
    if low < -_OVERSHOOT * scale or high > scale * (1 + _OVERSHOOT):
        raise _NoPictureError(
            f"its values go from {low:g} to {high:g}, but must lie in [0, 1] or [0, 255]"
        )
    wide = array.dtype.itemsize == 8
    native: NDArray[Any] = array.astype(np.float64 if wide else np.float32, copy=False)
    if low < 0 or high > scale:
        native = native.clip(0, scale)
    return native, scale
