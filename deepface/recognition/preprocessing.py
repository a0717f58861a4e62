"""From a face crop to what a network is fed: letterbox and normalisation, as published."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from deepface.arguments import shown
from deepface.errors import UnimplementedError
from deepface.images.arrays import full_scale

#: Means that the VGGFace networks were trained with, subtracted from channels 0, 1, 2.
VGGFACE_MEANS = {
    "VGGFace": (93.5940, 104.7624, 129.1863),
    "VGGFace2": (91.4953, 103.8827, 131.0912),
}

NORMALIZATIONS = ("base", "raw", "Facenet", "Facenet2018", "VGGFace", "VGGFace2", "ArcFace")


def letterbox(img: NDArray[Any], target_size: tuple[int, int]) -> NDArray[Any]:
    """Fit a face into a size: keep its proportions, centre it, fill with black.

    Args:
        img: ``(H, W, 3)``.
        target_size: ``(height, width)`` in pixels.

    Returns:
        ``(height, width, 3)``, dtype and range as they were.
    """
    target_height, target_width = target_size
    height, width = img.shape[:2]
    if height > 0 and width > 0:
        inner_height, inner_width = inner_size((height, width), target_size)
        img = cv2.resize(img, (inner_width, inner_height))
        rows, columns = target_height - img.shape[0], target_width - img.shape[1]
        pads = [(rows // 2, rows - rows // 2), (columns // 2, columns - columns // 2)]
        img = np.pad(img, pads + [(0, 0)] * (img.ndim - 2), mode="constant")
    if img.shape[:2] != (target_height, target_width):
        img = cv2.resize(img, (target_width, target_height))
    return img


def resize_image(img: NDArray[Any], target_size: tuple[int, int]) -> NDArray[np.float32]:
    """The published :func:`letterbox`.

    Args:
        img: ``(H, W, 3)``, integers in [0, 255] or floats in [0, 1] or [0, 255].
        target_size: ``(height, width)`` in pixels.

    Returns:
        ``(1, height, width, 3)`` float32 in [0, 1].
    """
    return in_unit_range(letterbox(img, target_size), full_scale(img))[None]


def in_unit_range(img: NDArray[Any], white: float) -> NDArray[np.float32]:
    """float32 in [0, 1], where ``white`` was the upper end."""
    values = np.asarray(img, dtype=np.float32)
    if white != 1:
        values = values / np.float32(white)
    # Rounded weights of an interpolation can add up to a little more than 1.
    return np.minimum(values, np.float32(1)) if img.dtype == np.float32 else values


def inner_size(size: tuple[int, int], target_size: tuple[int, int]) -> tuple[int, int]:
    """Height and width of a picture of ``size`` once it fits into ``target_size``."""
    factor = min(target_size[0] / size[0], target_size[1] / size[1])
    # A sliver can shrink to nothing: keep one pixel.
    return max(1, int(size[0] * factor)), max(1, int(size[1] * factor))


def check_normalization(name: object) -> None:
    """Raise ``UnimplementedError`` for what is no name of a normalization."""
    if not isinstance(name, str) or name not in NORMALIZATIONS:
        raise UnimplementedError(
            f"unimplemented normalization type - {name if isinstance(name, str) else shown(name)}; "
            f"use one of {', '.join(NORMALIZATIONS)}"
        )


def normalize_input(img: NDArray[Any], normalization: str = "base") -> NDArray[Any]:
    """Scale the values of a face as the training of a network did.

    Args:
        img: ``(1, H, W, 3)`` BGR in [0, 1].
        normalization: ``"base"`` (unchanged), ``"raw"`` ([0, 255]), ``"Facenet"`` (standardised
            by the face's own mean and deviation), ``"Facenet2018"``, ``"VGGFace"``,
            ``"VGGFace2"`` or ``"ArcFace"``.

    Raises:
        UnimplementedError: for another name.
    """
    check_normalization(normalization)
    if normalization == "base":
        return img
    img = img * 255
    if normalization == "Facenet":
        # A flat face has no deviation; the floor keeps it finite.
        deviation = max(float(img.std()), 1.0 / np.sqrt(img.size))
        return np.asarray((img - img.mean()) / img.dtype.type(deviation))
    if normalization == "Facenet2018":
        return np.asarray(img / 127.5 - 1)
    if normalization == "ArcFace":
        return np.asarray((img - 127.5) / 128)
    if normalization in VGGFACE_MEANS:
        return np.asarray(img - np.asarray(VGGFACE_MEANS[normalization], dtype=img.dtype))
    return img
