"""A batch is a speed-up, never a different answer: ``represent`` with every model.

Stand-in weights of the published layouts, and a stand-in detector with boxes at hand, so that the
number of faces is known: none, one and two per picture.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deepface import DeepFace
from deepface.detection.canvas import Canvas
from deepface.detection.detector import Detector
from deepface.detection.registry import DETECTORS
from deepface.errors import MissingPackageError, WeightsError
from deepface.recognition.network_model import NetworkModel
from deepface.recognition.onnx_model import OnnxModel
from deepface.recognition.registry import RECOGNIZERS
from deepface.runtime.models import cached_models
from deepface.types import FacialAreaRegion, Image
from tests import laws
from tests.goldens import networks as reference

#: Half a gigabyte of weights each, or a second network of the same code.
HEAVY = {"VGG-Face", "DeepFace", "Facenet512"}
#: Networks whose ``.onnx`` file is run, too.
ONNX = ("OpenFace", "GhostFaceNet")
LAWS = [laws.single_equals_any_batch, laws.permutation_permutes, laws.duplicates_are_equal]


class Boxes(Detector):
    """As many faces as the first pixel says; a corner of the picture moves them."""

    name = "boxes"

    def _detect_batch(self, canvases: Any) -> list[list[FacialAreaRegion]]:
        return [self._boxes(canvas) for canvas in canvases]

    def _boxes(self, canvas: Canvas) -> list[FacialAreaRegion]:
        x, y = canvas.left, canvas.top
        return [
            FacialAreaRegion(x + 5 + 9 * number, y + 4 * number, 40, 48 + number, confidence=0.9)
            for number in range(canvas.image[0, 0, 0])
        ]


@cache
def pictures() -> list[Image]:
    """Smooth noise with 1, 0, 2, 1 and 2 faces; three have one size, two others of their own."""
    random = np.random.default_rng(8)
    found = []
    for faces, shape in (
        (1, (90, 100)),
        (0, (90, 100)),
        (2, (90, 100)),
        (1, (80, 70)),
        (2, (99, 99)),
    ):
        coarse = random.integers(0, 256, (12, 12, 3))
        picture = np.kron(coarse, np.ones((9, 9, 1))).astype(np.uint8)[: shape[0], : shape[1]]
        picture[0, 0] = faces
        found.append(picture)
    return found


@pytest.fixture(
    scope="module",
    params=[
        *(
            pytest.param((name, ".pth"), marks=[pytest.mark.heavy] * (name in HEAVY), id=name)
            for name in RECOGNIZERS.entries
        ),
        *(pytest.param((name, ".onnx"), id=f"{name}.onnx") for name in ONNX),
    ],
)
def represent(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., Any]]:
    """``represent`` with one model, which is built for this and dropped afterwards."""
    name, ending = request.param
    home = tmp_path_factory.mktemp("weights")
    folder = home / ".deepface" / "weights"
    folder.mkdir(parents=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DEEPFACE_HOME", str(home))
        patch.setenv("DEEPFACE_ALLOW_UNKNOWN_WEIGHTS", "1")
        patch.setitem(cached_models, RECOGNIZERS.task, {})
        patch.setitem(cached_models, DETECTORS.task, {"boxes": Boxes()})
        _write(name, folder, ending)
        try:
            RECOGNIZERS.build(name)
        except (MissingPackageError, WeightsError) as error:
            pytest.skip(str(error))
        for file in folder.glob("*.*"):
            file.unlink()
        yield partial(
            DeepFace.represent, model_name=name, detector_backend="boxes", enforce_detection=False
        )


def _write(name: str, folder: Path, ending: str = ".pth") -> None:
    cls = RECOGNIZERS.entry(name).load()
    if ending == ".onnx":
        pytest.importorskip("onnx")
        from tests.runtime.execution import test_engines

        test_engines.write(name, ending, folder)
    elif issubclass(cls, NetworkModel):
        layers = reference.keras_weights(name, quick=True)
        reference.write_pth(name, folder / cls.card.files[0][0].name, layers)
    elif issubclass(cls, OnnxModel):
        pytest.importorskip("onnx")
        from tests.recognition.test_onnx_models import write

        write(cls, folder, 1 if name == "SFace" else "n")


def same_embeddings(found: list[dict[str, Any]], expected: list[dict[str, Any]]) -> None:
    """Equal areas, and vectors within 1e-5 of their length."""
    assert [face["facial_area"] for face in found] == [face["facial_area"] for face in expected]
    for face, wanted in zip(found, expected, strict=True):
        assert face["face_confidence"] == wanted["face_confidence"]
        vector = np.array(wanted["embedding"])
        difference = np.linalg.norm(np.array(face["embedding"]) - vector)
        assert difference <= 1e-5 * np.linalg.norm(vector)


@pytest.fixture(scope="module")
def once(represent: Callable[..., Any]) -> Callable[..., Any]:
    return laws.Once(represent, pictures())


@pytest.mark.parametrize("law", LAWS)
def test_laws(once: Callable[..., Any], law: Callable[..., None]) -> None:
    law(once, pictures(), same_embeddings)


def test_faces_and_vectors_are_those_of_their_pictures(once: Callable[..., Any]) -> None:
    """Otherwise the laws would hold for a model that gives one vector to all."""
    found = once(pictures())
    # Without a face the whole picture is embedded.
    assert [len(faces) for faces in found] == [1, 1, 2, 1, 2]
    vectors = np.array([faces[0]["embedding"] for faces in found])
    assert vectors.ndim == 2 and np.isfinite(vectors).all()
    distances = np.linalg.norm(vectors[:, None] - vectors, axis=-1)
    assert (distances > 1e-4 * np.linalg.norm(vectors, axis=1)).sum() == 5 * 4


def test_chunk_size_changes_nothing(
    represent: Callable[..., Any], once: Callable[..., Any]
) -> None:
    """One at a time is what the laws begin with."""
    laws.same_lists(represent(pictures(), batch_size=2), once(pictures()), same_embeddings)


def test_empty(represent: Callable[..., Any]) -> None:
    laws.empty_gives_nothing(represent)
