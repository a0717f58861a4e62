"""Faces as ``extract_faces`` gives them: values, memory, order of channels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from deepface import DeepFace

COLORS: dict[str, Callable[[NDArray[Any]], NDArray[Any]]] = {
    "rgb": lambda bgr: bgr[:, :, ::-1],
    "bgr": lambda bgr: bgr,
    "gray": lambda bgr: cv2.cvtColor(np.ascontiguousarray(bgr), cv2.COLOR_BGR2GRAY),
}
VIEWS: dict[str, Callable[[NDArray[Any]], NDArray[Any]]] = {
    "whole": lambda image: image,
    "one pixel": lambda image: image[:1, :1],
    "a part": lambda image: image[3:-2, 5:-9],
    "flipped": lambda image: image[::-1, ::-1],
    "every other": lambda image: image[::2, ::3],
    "turned": lambda image: image.transpose(1, 0, 2),
}


@pytest.mark.parametrize("size", [(61, 47), (700, 900)])
@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("color", COLORS)
def test_pixels_are_the_pictures(color: str, view: str, size: tuple[int, int]) -> None:
    image = VIEWS[view](np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8))
    before = image.copy()
    for normalize in (True, False):
        (face,) = DeepFace.extract_faces(image, "skip", color_face=color, normalize_face=normalize)
        expected = COLORS[color](before) / 255 if normalize else COLORS[color](before)
        np.testing.assert_array_equal(face["face"], expected, strict=True)
        assert face["face"].flags.c_contiguous and face["face"].flags.owndata
        face["face"][...] = 0
    np.testing.assert_array_equal(image, before)
