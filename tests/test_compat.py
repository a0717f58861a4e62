"""The published module paths, as scripts and tests use them."""

from __future__ import annotations

import hashlib
import importlib
import json
import subprocess
import sys
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest

from deepface import DeepFace, compat, modeling
from deepface.errors import WeightsError
from deepface.runtime.home import weights_folder
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
    assert DeepFace.logger is importlib.import_module("deepface.commons.logger").Logger()
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


def test_a_patched_home_is_where_weights_are_looked_for(tmp_path: Path) -> None:
    with patch("deepface.commons.folder_utils.get_deepface_home", return_value=str(tmp_path)):
        assert weights_folder().is_relative_to(tmp_path)


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


@pytest.mark.parametrize("libraries", [None, "", "/some:/where"])
def test_import_is_light_and_quiet(libraries: str | None) -> None:
    """No folder, no environment variable, no warning filter, none of the heavy packages."""
    script = """
import os, sys, warnings
import numpy  # filters a warning
before, filters = dict(os.environ), list(warnings.filters)
import deepface
from deepface import DeepFace
heavy = {'torch', 'torchvision', 'pandas', 'ultralytics', 'tensorflow', 'h5py', 'onnxruntime'}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
import cv2
# Without OpenCV's variables for Qt its windows do not open; none of them has to do with libraries.
after = {name: value for name, value in os.environ.items() if not name.startswith('QT_')}
assert after == before, after.items() ^ before.items()
assert warnings.filters == filters
assert not os.listdir(os.environ['DEEPFACE_HOME'])
"""
    import os
    import tempfile

    with tempfile.TemporaryDirectory() as home:
        environment = {**os.environ, "DEEPFACE_HOME": home}
        for name in [name for name in environment if name.startswith(("QT_", "LD_"))]:
            del environment[name]
        if libraries is not None:
            environment["LD_LIBRARY_PATH"] = libraries
        subprocess.run([sys.executable, "-c", script], check=True, env=environment)


@pytest.mark.parametrize("task", list(modeling.TASKS))
def test_every_model_has_its_published_class(task: str) -> None:
    served = {
        target.removeprefix(f"{task}/")
        for names in compat.MODULES.values()
        for target in names.values()
        if target.startswith(f"{task}/")
    }
    ours = {name for name in modeling.AVAILABLE_MODELS[task] if "retinaface-" not in name}
    assert served == ours


def test_published_classes_build_their_models() -> None:
    from deepface.models.face_detection.OpenCv import OpenCvClient
    from deepface.models.face_detection.Yolo import YoloDetectorClientV11n, YoloDetectorClientV12s
    from deepface.models.facial_recognition import VGGFace
    from deepface.models.facial_recognition.pytorch.VGGFace import VggFaceClient

    assert VGGFace.VggFaceClient is VggFaceClient
    detector = OpenCvClient()
    assert detector.detect_faces(np.zeros((60, 60, 3), np.uint8)) == []
    assert YoloDetectorClientV11n is not YoloDetectorClientV12s
    with pytest.raises(WeightsError, match=r"yolov12s.*\.pt"):
        YoloDetectorClientV12s()


def test_helpers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their results on the right are those of 0.0.103."""
    from deepface.commons import backend_utils, embed_utils, image_utils, package_utils
    from deepface.modules import normalization

    file = tmp_path / "a"
    file.write_bytes(b"a")
    monkeypatch.delattr(hashlib, "file_digest", raising=False)  # as in Python 3.10
    assert package_utils.find_file_hash(str(file)) == hashlib.sha256(b"a").hexdigest()
    assert len(image_utils.find_image_hash(str(file))) == 40
    assert all(embed_utils.is_flat_embedding(value) for value in ([], [1.0], [1, 2]))
    assert not any(embed_utils.is_flat_embedding(value) for value in ([[1.0]], (1.0,)))
    for vectors in ([3.0, 4.0], [[3.0, 4.0], [0.0, 0.0]], []):
        for scaled in (
            normalization.normalize_embedding_l2(vectors),
            normalization.normalize_embedding_minmax("Facenet", vectors),
            normalization.normalize_embedding_minmax("SFace", vectors),
        ):
            assert json.loads(json.dumps(scaled)) == scaled  # scripts store them
    array = normalization.normalize_embedding_l2(np.array([3.0, 4.0]))
    np.testing.assert_allclose(array, [0.6, 0.8], rtol=1e-9)
    assert backend_utils.get_backend_engine() == "pytorch" and backend_utils.is_pytorch()
    assert backend_utils.is_package_installed("numpy")
    assert not backend_utils.is_package_installed("no_such_package")
