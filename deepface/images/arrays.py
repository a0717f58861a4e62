"""Arrays of any sensible kind become BGR ``uint8``; the others are refused with a reason."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepface.errors import DataTypeError
from deepface.types import Image

#: How far, relative to the range, interpolation may have carried floats beyond it.
_OVERSHOOT = 0.01


def to_bgr(array: NDArray[Any]) -> Image:
    """A picture as contiguous BGR ``uint8`` ``(H, W, 3)``; not copied where it is that already.

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
    channels = 1 if array.ndim == 2 else array.shape[-1] if array.ndim == 3 else 0
    if channels not in (1, 3, 4):
        raise _refused(
            array, "it must have the shape (H, W), (H, W, 1), (H, W, 3) or (H, W, 4), channels last"
        )
    if array.size == 0:
        raise _refused(array, "it has no pixels")
    colours = array[:, :, :3] if channels == 4 else array
    try:
        values = _to_uint8(colours)
    except _NoPictureError as error:
        raise _refused(array, str(error)) from None
    if channels == 1:
        return np.repeat(values.reshape(*values.shape[:2], 1), 3, axis=2)
    return np.ascontiguousarray(values)


def is_float_picture(array: NDArray[Any]) -> bool:
    """Whether an array has three channels of floats."""
    return array.ndim == 3 and array.shape[2] == 3 and array.dtype.kind == "f"


class _NoPictureError(Exception):
    """Why values cannot be those of a picture."""


def _to_uint8(array: NDArray[Any]) -> NDArray[np.uint8]:
    kind = array.dtype.kind
    if array.dtype == np.uint8:
        return array.astype(np.uint8, copy=False)
    if kind == "b":
        return array.astype(np.uint8) * np.uint8(255)
    if kind == "f":
        return _floats_to_uint8(array)
    if kind not in "iu":
        raise _NoPictureError("it must hold integers, floats or bools")
    low, high = int(array.min()), int(array.max())
    if kind == "u" and array.dtype.itemsize == 2 and high > 255:
        return (array >> 8).astype(np.uint8)
    if low < 0 or high > 255:
        raise _NoPictureError(f"its values go from {low} to {high}, but must lie in 0 ... 255")
    return array.astype(np.uint8)


def _floats_to_uint8(array: NDArray[Any]) -> NDArray[np.uint8]:
    low, high = float(array.min()), float(array.max())  # NaN, where there is one
    if not (np.isfinite(low) and np.isfinite(high)):
        raise _NoPictureError("it holds NaN or infinity")
    scale = 255 if high <= 1 + _OVERSHOOT else 1
    if low < -_OVERSHOOT * 255 / scale or high > 255 * (1 + _OVERSHOOT):
        raise _NoPictureError(
            f"its values go from {low:g} to {high:g}, but must lie in [0, 1] or [0, 255]"
        )
    scaled = np.clip(array.astype(np.float32) * np.float32(scale), 0, 255)
    rounded: NDArray[np.uint8] = np.rint(scaled).astype(np.uint8)
    return rounded


def _refused(array: NDArray[Any], why: str) -> DataTypeError:
    return DataTypeError(
        f"a {array.dtype} array of shape {array.shape} cannot be taken as an image: {why}"
    )
