"""The published module paths, as scripts and tests use them."""

from __future__ import annotations

import importlib
import subprocess
import sys
from unittest.mock import patch

import numpy as np
import pytest

from deepface import DeepFace, compat
from deepface.types import DetectedFace, FacialAreaRegion


@pytest.mark.parametrize("module", list(compat.MODULES))
def test_every_name_exists(module: str) -> None:
    imported = importlib.import_module(module)
    for name in compat.MODULES[module]:
        assert getattr(imported, name) is not None, f"{module}.{name}"


def test_from_import() -> None:
    from deepface.modules import detection, modeling
    from deepface.modules.exceptions import FaceNotDetected

    assert issubclass(FaceNotDetected, ValueError)
    assert (
        modeling.cached_models is importlib.import_module("deepface.runtime.models").cached_models
    )
    assert detection.is_valid_landmark((1, 1), 2, 2)


def test_through_the_front_door() -> None:
    assert DeepFace.detection.is_valid_landmark((1, 1), 2, 2)
    assert DeepFace.folder_utils.get_deepface_home()
    assert not hasattr(DeepFace, "nothing")


def test_unknown_name() -> None:
    from deepface.modules import detection

    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = detection.nothing
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("deepface.modules.nothing")


def test_a_patched_function_is_used_and_put_back() -> None:
    """A single-image stand-in, called with keywords, as scripts' own tests do it."""
    picture = np.zeros((50, 60, 3), np.uint8)
    region = FacialAreaRegion(5, 5, 20, 20, left_eye=(100, 10), right_eye=(8, 12), confidence=0.9)
    face = DetectedFace(img=picture[5:25, 5:25], facial_area=region, confidence=0.9)
    with patch("deepface.modules.detection.detect_faces", return_value=[face]) as stand_in:
        found = DeepFace.extract_faces(picture)
    assert stand_in.call_count == 1
    assert found[0]["facial_area"] == {
        "x": 5, "y": 5, "w": 20, "h": 20, "left_eye": None, "right_eye": (8, 12),
    }  # fmt: skip
    with pytest.raises(ValueError, match="Face could not be detected"):
        DeepFace.extract_faces(picture)


def test_a_stand_in_among_the_cached_models() -> None:
    from deepface.modules import modeling

    class StandIn:
        def detect_faces(self, img: np.ndarray) -> list[FacialAreaRegion]:  # type: ignore[type-arg]
            assert img.shape == (100, 120, 3)  # the picture with its border
            return [FacialAreaRegion(40, 40, 10, 10, (1, 1), (2, 1), 0.5)]

    modeling.cached_models.setdefault("face_detector", {})["stand-in"] = StandIn()
    try:
        pictures = [np.zeros((50, 60, 3), np.uint8)] * 2
        found = DeepFace.extract_faces(pictures, detector_backend="stand-in")
    finally:
        del modeling.cached_models["face_detector"]["stand-in"]
    assert [[face["facial_area"]["x"] for face in faces] for faces in found] == [[10], [10]]


def test_import_is_light_and_quiet() -> None:
    """No folder, no environment variable, no warning filter, none of the heavy packages."""
    script = """
import os, sys, warnings
import cv2  # sets variables for Qt
before, filters = dict(os.environ), list(warnings.filters)
import deepface
from deepface import DeepFace
heavy = {'torch', 'torchvision', 'pandas', 'ultralytics', 'tensorflow', 'h5py', 'onnxruntime'}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
assert dict(os.environ) == before
assert warnings.filters == filters
assert not os.listdir(os.environ['DEEPFACE_HOME'])
"""
    import os
    import tempfile

    with tempfile.TemporaryDirectory() as home:
        environment = {**os.environ, "DEEPFACE_HOME": home}
        subprocess.run([sys.executable, "-c", script], check=True, env=environment)
