"""``verify`` with dlib's network, whose real weights come with a package."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from deepface import DeepFace
from deepface.detection.canvas import Canvas
from deepface.detection.detector import Detector
from deepface.errors import (
    DataTypeError,
    DimensionMismatchError,
    FaceNotDetected,
    MissingPackageError,
    WeightsError,
)
from deepface.matching.distance import METRICS
from deepface.matching.thresholds import THRESHOLDS
from deepface.recognition.registry import RECOGNIZERS
from deepface.runtime.models import cached_models
from deepface.types import FacialAreaRegion
from tests.stand_ins import cached
from tests.test_batch_laws import faceless, pictures

verify: Any = partial(DeepFace.verify, model_name="Dlib", silent=True)


@pytest.fixture(autouse=True, scope="module")
def dlib_model() -> None:
    try:
        RECOGNIZERS.build("Dlib")
    except (MissingPackageError, WeightsError) as error:
        pytest.skip(str(error))


def vector(picture: Any) -> list[float]:
    return DeepFace.represent(picture, model_name="Dlib")[0]["embedding"]  # type: ignore[call-overload,no-any-return,index]


@pytest.mark.parametrize("metric", METRICS)
def test_same_picture(metric: str) -> None:
    result = verify(pictures()[0], pictures()[0], distance_metric=metric)
    assert result["verified"] is True
    assert result["distance"] == pytest.approx(0, abs=1e-6)
    assert result["threshold"] == THRESHOLDS["Dlib"][metric]
    assert result["confidence"] == 100 or result["distance"] > 0
    assert result["facial_areas"]["img1"] == result["facial_areas"]["img2"]


def test_the_distance_is_that_of_the_vectors() -> None:
    portrait, _, _, mirrored, _ = pictures()
    result = verify(portrait, mirrored)
    a, b = np.array(vector(portrait)), np.array(vector(mirrored))
    expected = 1 - a @ b / np.linalg.norm(a) / np.linalg.norm(b)
    assert result["distance"] == pytest.approx(expected, abs=1e-6)
    assert result["verified"] is bool(expected <= 0.07)


def test_the_closest_pair_of_faces_counts() -> None:
    portrait, _, several, *_ = pictures()
    height = max(portrait.shape[0], several.shape[0])
    both = np.zeros((height, portrait.shape[1] + several.shape[1], 3), np.uint8)
    both[: portrait.shape[0], : portrait.shape[1]] = portrait
    both[: several.shape[0], portrait.shape[1] :] = several
    result = verify(both, portrait, detector_backend="mtcnn")
    assert result["verified"]
    assert result["facial_areas"]["img1"]["x"] < portrait.shape[1]


def test_lists_of_pairs_equal_a_loop() -> None:
    portrait, _, several, mirrored, _ = pictures()
    firsts = [portrait, mirrored, vector(portrait), portrait]
    seconds = [mirrored, several, portrait, vector(mirrored)]
    options = {"detector_backend": "mtcnn", "enforce_detection": False}
    results = verify(firsts, seconds, **options)
    assert len(results) == 4
    for first, second, result in zip(firsts, seconds, results, strict=True):
        single = verify(first, second, **options)
        assert abs(single["distance"] - result["distance"]) <= 2e-6
        for key in ("verified", "threshold", "model", "facial_areas", "detector_backend"):
            assert single[key] == result[key]
    assert verify([], []) == []
    assert len(verify([portrait], [portrait])) == 1
    assert len(verify(np.stack([portrait, mirrored]), np.stack([mirrored, mirrored]))) == 2


@pytest.mark.parametrize(
    ("first", "second", "error", "message"),
    [
        ([0.1] * 127, None, DimensionMismatchError, "Dlib should have 128 dimensions, but 1-th"),
        ([0.1] * 127 + ["x"], None, DataTypeError, "all its items are of type float"),
        ([np.float32(0.1)] * 128, None, DataTypeError, "all its items are of type float"),
        ([0.1] * 127 + [float("nan")], None, DataTypeError, "not finite"),
        (None, [], DataTypeError, "two lists of them"),
        ([None, None], [None], ValueError, "img1_path has 2 items and img2_path 1"),
        ("nowhere.jpg", None, ValueError, "Exception while processing img1_path"),
        (None, "nowhere.jpg", ValueError, "Exception while processing img2_path"),
    ],
)
def test_wrong_input(first: Any, second: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        verify(_filled(first), _filled(second))


class _Outside(Detector):
    """Finds a face that lies wholly beside the picture, where that is black."""

    def _detect_one(self, canvas: Canvas) -> list[FacialAreaRegion]:
        height, width = canvas.shape
        left = 0 if np.any(canvas.image) else width
        return [FacialAreaRegion(left, 0, width, height, confidence=1.0)]


@pytest.mark.parametrize("side", [0, 1])
def test_a_picture_without_a_face_inside_it(side: int) -> None:
    pair = [pictures()[0]] * 2
    pair[side] = np.zeros((20, 20, 3), np.uint8)
    with cached("face_detector", "outside", _Outside()):
        options = {"detector_backend": "outside", "align": False, "enforce_detection": False}
        with pytest.raises(FaceNotDetected, match="no face with an area inside"):
            verify(*pair, **options)


def _filled(side: Any) -> Any:
    """The portrait in the place of every ``None``."""
    if isinstance(side, list):
        return [_filled(item) for item in side]
    return pictures()[0] if side is None else side


def test_wrong_options() -> None:
    portrait = pictures()[0]
    with pytest.raises(ValueError, match="unknown distance_metric 'manhattan'"):
        verify(portrait, portrait, distance_metric="manhattan")
    with pytest.raises(ValueError, match="needs a threshold"):
        verify(portrait, portrait, distance_metric=lambda a, b: 0)
    assert verify(portrait, portrait, threshold=0)["threshold"] == 0


@pytest.mark.parametrize("metric", METRICS)
def test_the_threshold_itself_verifies(metric: str) -> None:
    vectors = np.random.default_rng(0).normal(size=(2, 128)).tolist()
    distance = verify(*vectors, distance_metric=metric)["distance"]
    for threshold, verified in ((distance, True), (np.nextafter(distance, 0), False)):
        result = verify(*vectors, distance_metric=metric, threshold=threshold)
        assert result["verified"] is verified and result["distance"] == distance


def test_the_cause_of_an_error() -> None:
    with pytest.raises(ValueError, match="img2_path") as caught:
        verify([pictures()[0]] * 2, [pictures()[0], faceless()], detector_backend="mtcnn")
    assert type(caught.value) is ValueError
    assert isinstance(caught.value.__cause__, FaceNotDetected)
    assert "item 1" in str(caught.value.__cause__)


@pytest.mark.parametrize(
    ("first", "second", "told"),
    [
        (
            ["a", "b", "c"],
            [1, 2, 3],
            ("a list of 3 pictures", "one embedding, a list of 3 numbers"),
        ),
        ([0.5, 0.5], ["a", "b"], ("one embedding, a list of 2 numbers", "a list of 2 pictures")),
        (["a"], "a", ("a list of 1 pictures", "one picture")),
        ("a", [], ("one picture", "a list of 0 pictures")),
        (np.zeros((2, 9, 9, 3)), np.zeros((9, 9, 3)), ("a list of 2 pictures", "one picture")),
        ([[1.0], [2.0]], [1.0, 2.0], ("a list of 2 pictures", "one embedding")),
    ],
)
def test_two_kinds_of_things_cannot_be_compared(
    first: Any, second: Any, told: tuple[str, str]
) -> None:
    with pytest.raises(DataTypeError) as raised:
        DeepFace.verify(first, second)
    message = str(raised.value)
    assert f"img1_path is {told[0]}" in message and f"img2_path is {told[1]}" in message
    assert "equal length" not in message


def test_embeddings_need_neither_network_nor_weights(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DEEPFACE_HOME", str(tmp_path))
    monkeypatch.setitem(cached_models, RECOGNIZERS.task, {})
    for name, card in RECOGNIZERS.own.items():
        vector = [0.1] * card.output_shape
        assert DeepFace.verify(vector, vector, model_name=name)["verified"]
        with pytest.raises(DimensionMismatchError, match=f"should have {card.output_shape} "):
            DeepFace.verify(vector, vector[1:], model_name=name)
    assert cached_models[RECOGNIZERS.task] == {}


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16, np.int64, np.uint8])
@pytest.mark.parametrize("kind", [np.array, pd.Series], ids=["array", "column"])
def test_an_embedding_may_be_an_array(kind: Any, dtype: Any) -> None:
    first, second = (np.random.default_rng(0).random((2, 128)) * 99).astype(dtype)
    expected = verify(first.tolist(), second.tolist())
    vectors = kind(first), kind(second)
    for pair in (vectors, (vectors[0], second.tolist())):
        assert verify(*pair)["distance"] == expected["distance"]
    listed = verify([vectors[0]] * 2, [vectors[1]] * 2)
    assert [result["distance"] for result in listed] == [expected["distance"]] * 2
    with pytest.raises(DimensionMismatchError, match="has 127 dimensions"):
        verify(vectors[0][:127], vectors[1])
    with pytest.raises(DataTypeError, match="one embedding, a list of 128 numbers"):
        verify(vectors[0], [vectors[1]])


def test_an_array_with_what_is_not_finite_is_no_embedding() -> None:
    with pytest.raises(DataTypeError, match="img1_path has values that are not finite"):
        verify(np.full(128, np.nan), np.ones(128))
