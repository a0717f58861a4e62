"""Recognition models of users' own, written for the published library."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from deepface import DeepFace
from deepface.models.FacialRecognition import FacialRecognition
from deepface.modules import modeling
from tests.stand_ins import cached


class Brightest(FacialRecognition):  # type: ignore[misc]
    """A face's brightest values, by ``forward`` alone, one face or a batch."""

    def __init__(self) -> None:
        self.model_name = "Brightest"
        self.input_shape = (20, 30)
        self.output_shape = 3

    def forward(self, img: NDArray[Any]) -> list[float] | list[list[float]]:
        batch = img if img.ndim == 4 else img[None]
        vectors: list[list[float]] = batch.max(axis=(1, 2)).tolist()
        return vectors[0] if len(vectors) == 1 else vectors


@pytest.fixture
def brightest() -> Any:
    built = modeling.cached_models.setdefault("facial_recognition", {})
    built["Brightest"] = Brightest()
    yield built["Brightest"]
    del built["Brightest"]


def picture(shade: int) -> NDArray[np.uint8]:
    return np.full((30, 20, 3), (shade, 0, 255), np.uint8)


def test_it_is_asked_through_forward(brightest: Brightest) -> None:
    pictures = [picture(51), picture(102), picture(255)]
    found = DeepFace.represent(pictures, "Brightest", detector_backend="skip")
    vectors = np.array([faces[0]["embedding"] for faces in found])
    np.testing.assert_allclose(vectors[:, 0], [0.2, 0.4, 1], atol=1e-6)
    assert vectors[:, 1:].tolist() == [[0, 1]] * 3
    (alone,) = DeepFace.represent(pictures[1], "Brightest", detector_backend="skip")
    assert alone["embedding"] == vectors[1].tolist()


def test_forward_replaced_in_a_subclass_is_what_counts(brightest: Brightest) -> None:
    class Doubled(Brightest):
        def forward(self, img: NDArray[Any]) -> Any:
            return (2 * np.asarray(super().forward(img))).tolist()

    batch = np.ones((2, 30, 20, 3), np.float32)
    np.testing.assert_array_equal(Doubled().embed(batch), 2 * brightest.embed(batch))


def test_no_faces_have_no_vectors(brightest: Brightest) -> None:
    assert brightest.embed(np.ones((0, 30, 20, 3), np.float32)).shape == (0, 3)


def test_neither() -> None:
    class Nothing(FacialRecognition):  # type: ignore[misc]
        model_name = "Nothing"

    with pytest.raises(TypeError, match="Nothing has neither embed nor forward"):
        Nothing().forward(np.zeros((1, 2, 2, 3), np.float32))


def test_forward_may_ask_the_network_above() -> None:
    """As published: not only where that has a ``forward`` of its own."""

    class Network(FacialRecognition):  # type: ignore[misc]
        model_name, input_shape, output_shape = "Network", (20, 30), 3

        def embed(self, batch: Any) -> NDArray[Any]:
            vectors: NDArray[Any] = np.asarray(batch).mean(axis=(1, 2))
            return vectors

    class Doubled(Network):
        def forward(self, img: NDArray[Any]) -> Any:
            return (2 * np.asarray(super().forward(img))).tolist()

    batch = np.ones((2, 30, 20, 3), np.float32)
    for model in (Doubled(), type("Further", (Doubled,), {})()):
        assert model.embed(batch).tolist() == model.forward(batch) == [[2, 2, 2]] * 2


def test_what_only_has_forward_is_enough() -> None:
    """A stand-in, as scripts' own tests put one into ``cached_models``."""

    class StandIn:
        input_shape, output_shape = (20, 30), 3
        forward = Brightest.forward

    built = modeling.cached_models.setdefault("facial_recognition", {})
    built["StandIn"] = StandIn()
    try:
        found = DeepFace.represent([picture(51), picture(255)], "StandIn", detector_backend="skip")
    finally:
        del built["StandIn"]
    assert [faces[0]["embedding"] for faces in found] == [[pytest.approx(0.2), 0, 1], [1, 0, 1]]


def test_forward_may_change_what_it_is_given() -> None:
    class Careless(Brightest):
        def forward(self, img: NDArray[Any]) -> Any:
            vectors = super().forward(img)
            img *= 255
            return vectors

    with cached("facial_recognition", "Careless", Careless()):
        found = DeepFace.represent(
            [picture(51), picture(255)], "Careless", detector_backend="skip", return_face=True
        )
    assert [faces[0]["face"].max() for faces in found] == [1, 1]
