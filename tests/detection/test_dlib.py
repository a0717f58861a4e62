"""dlib: what the published library finds, and where its shape model comes from."""

from __future__ import annotations

import sys
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from deepface.detection import dlib as module
from deepface.detection.canvas import Canvas
from deepface.detection.dlib import DlibDetector
from deepface.errors import MissingPackageError, WeightsError
from deepface.runtime.weights import store
from tests.detection.goldens import SMALL, all_names, assert_as_published


@pytest.fixture
def installed() -> None:
    pytest.importorskip("dlib", reason="needs dlib: pip install dlib-bin")
    if find_spec("face_recognition_models") is None:
        pytest.skip("needs a shape model: pip install face_recognition_models")


@pytest.mark.parametrize("align", [True, False])
def test_goldens(installed: None, align: bool) -> None:
    assert_as_published("dlib", SMALL[-3:], align)


@pytest.mark.heavy
@pytest.mark.parametrize("align", [True, False])
def test_more_goldens(installed: None, align: bool) -> None:
    assert_as_published("dlib", all_names()[align::8], align)


def test_box_is_clipped_to_the_canvas() -> None:
    sides = {"left": -7, "top": -3, "right": 45, "bottom": 38}
    box = SimpleNamespace(**{name: partial(int, side) for name, side in sides.items()})
    points = [SimpleNamespace(x=x, y=y) for x, y in ((30, 10), (25, 11), (5, 10), (10, 13))]
    shape = SimpleNamespace(part=points.__getitem__)
    canvas = Canvas(np.zeros((20, 40, 3), np.uint8))
    face = module.region(box, shape, 1.4, canvas)
    assert (face.x, face.y, face.w, face.h) == (0, 0, 40, 20)
    assert (face.left_eye, face.right_eye) == ((27, 10), (7, 11))
    assert face.confidence == 1.0
    assert module.region(box, shape, -0.2, canvas).confidence == 0.0


def test_shape_model_is_downloaded_without_the_package(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(store, "package_file", lambda package, path: None)
    monkeypatch.setenv("DEEPFACE_HOME", str(tmp_path))
    with pytest.raises(WeightsError, match=r"shape_predictor_5_face_landmarks\.dat"):
        DlibDetector()


def test_missing_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dlib", None)
    with pytest.raises(MissingPackageError, match="pip install dlib-bin"):
        DlibDetector()
