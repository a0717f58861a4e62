"""Attribute models of users' own, written for the published library."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from deepface import DeepFace
from deepface.attributes.age import Age
from deepface.attributes.registry import describe
from deepface.models.Demography import Demography
from deepface.modules import modeling


class Brightness(Demography):  # type: ignore[misc]
    """Says one number, by ``predict`` alone."""

    def __init__(self) -> None:
        self.model_name = "Brightness"

    def predict(self, img: NDArray[Any] | Any) -> Any:
        return np.asarray(img).mean()


class Older(Age):
    """An age by the brightness of a face, one face or several."""

    def __init__(self) -> None:
        self.model_name = "Age"  # type: ignore[misc]

    def predict(self, img: NDArray[Any] | Any) -> Any:
        faces = np.asarray(img)
        ages = 100 * faces.reshape(-1, 224 * 224 * 3).mean(axis=1)
        return ages[0] if len(ages) == 1 else ages


def test_predict_alone_is_enough() -> None:
    assert Brightness().predict(np.ones((224, 224, 3))) == 1
    with pytest.raises(TypeError, match="Brightness does not say what analyze reports"):
        Brightness().describe(np.ones((1, 224, 224, 3), np.float32))


class Young(Demography):  # type: ignore[misc]
    """Knows one face at a time, and nothing of what is reported."""

    def __init__(self) -> None:
        self.model_name = "Age"

    def predict(self, img: NDArray[Any] | Any) -> Any:
        assert img.shape == (1, 224, 224, 3)
        return 100 * float(img.mean())


class StandIn:
    """No class of the library at all."""

    predict = Young.predict


@pytest.mark.parametrize("model", [Older, Young, StandIn])
def test_analyze_asks_through_predict(model: type[Any]) -> None:
    built = modeling.cached_models.setdefault("facial_attribute", {})
    kept = built.get("Age")
    built["Age"] = model()
    try:
        pictures = [np.full((224, 224, 3), shade, np.uint8) for shade in (64, 255)]
        found = DeepFace.analyze(pictures, actions="age", detector_backend="skip", silent=True)
        (alone,) = DeepFace.analyze(pictures[0], "age", detector_backend="skip", silent=True)
    finally:
        del built["Age"]
        if kept is not None:
            built["Age"] = kept
    assert [faces[0]["age"] for faces in found] == [25, 100] and alone["age"] == 25


def test_labels_of_a_stand_in() -> None:
    class StandIn:
        def predict(self, img: Any) -> Any:
            return [[0.25, 0.75]]  # as a network gives them for one face

    assert (
        describe(StandIn(), "Gender", np.ones((2, 224, 224, 3), np.float32))
        == [{"gender": {"Woman": 25, "Man": 75}, "dominant_gender": "Man"}] * 2
    )


def test_predict_may_change_what_it_is_given() -> None:
    """The faces are those of the other attributes, too."""

    class Careless:
        def predict(self, img: NDArray[Any]) -> Any:
            age = 100 * float(img.mean())
            img *= 0
            return age

    faces = np.full((2, 224, 224, 3), 0.25, np.float32)
    assert describe(Careless(), "Age", faces) == [{"age": 25}] * 2
    assert (faces == 0.25).all()
