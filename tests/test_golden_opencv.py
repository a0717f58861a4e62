"""``extract_faces`` against the published library: boxes, eyes, confidence and every pixel."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from deepface import DeepFace
from tests.data import data, golden
from tests.stand_ins import found_once

ARGUMENTS: dict[str, dict[str, Any]] = {
    "default": {},
    "align_false": {"align": False},
    "expand20": {"expand_percentage": 20},
    "expand20_align_false": {"expand_percentage": 20, "align": False},
    "bgr": {"color_face": "bgr"},
}


@pytest.fixture(scope="module", autouse=True)
def with_the_border_and_without() -> Iterator[None]:
    """Of the arguments only the alignment matters to the detector, by its border."""
    with found_once("opencv"):
        yield


@pytest.mark.heavy
@pytest.mark.parametrize("arguments", ARGUMENTS)
def test_extract_faces(arguments: str) -> None:
    images = golden("opencv.json")["images"]
    names = list(images)
    paths = [data("images", "photos", f"{name}.jpg") for name in names]
    results = DeepFace.extract_faces(paths, enforce_detection=False, **ARGUMENTS[arguments])
    for name, faces in zip(names, results, strict=True):
        expected = images[name][arguments]
        faces = sorted(faces, key=lambda face: list(face["facial_area"].values())[:3])
        assert len(faces) == len(expected), name
        for face, wanted in zip(faces, expected, strict=True):
            eyes = {
                key: wanted["facial_area"][key] and tuple(wanted["facial_area"][key])
                for key in ("left_eye", "right_eye")
            }
            assert face["facial_area"] == {**wanted["facial_area"], **eyes}, name
            assert face["confidence"] == wanted["confidence"], name
            assert list(face["face"].shape) == wanted["face_shape"], name
            assert str(face["face"].dtype) == wanted["face_dtype"], name
            pixels = np.ascontiguousarray(np.rint(face["face"] * 255).astype(np.uint8))
            assert hashlib.sha1(pixels.tobytes()).hexdigest() == wanted["face_sha1_u8"], name
