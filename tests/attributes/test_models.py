"""The networks against the originals' outputs, their weight files, and ``predict``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from deepface import DeepFace
from deepface.attributes.model import FacialAttribute, to_channels_first
from deepface.attributes.registry import ATTRIBUTES
from deepface.errors import DataTypeError, UnimplementedError, WeightsError
from deepface.runtime.models import cached_models
from tests.attributes.networks import STEMS, VGG, small_model, write_weights
from tests.goldens import networks as reference

FACES = np.random.default_rng(2).random((3, 224, 224, 3), dtype=np.float32)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No weights but those that a test writes, and no models but those that it builds."""
    monkeypatch.setenv("DEEPFACE_HOME", str(tmp_path))
    monkeypatch.setitem(cached_models, "facial_attribute", {})
    return tmp_path


def emotion(home: Path) -> FacialAttribute:
    write_weights("Emotion", home)
    return ATTRIBUTES.build("Emotion")


@pytest.fixture(scope="module")
def layers(name: str) -> reference.Layers:
    """The numbers of a network, made once for both of its files."""
    return reference.keras_weights(name)


@pytest.mark.parametrize("ending", [".pth", ".h5"])
@pytest.mark.parametrize(
    "name",
    ["Emotion", *(pytest.param(n, marks=pytest.mark.heavy) for n in VGG)],
    scope="module",
)
def test_golden_outputs(home: Path, name: str, layers: reference.Layers, ending: str) -> None:
    path = write_weights(name, home, ending, layers)
    inputs, (expected,) = reference.golden(name)
    model = ATTRIBUTES.build(name)
    path.unlink()
    found = model.model(inputs, to_channels_first).numpy()
    np.testing.assert_allclose(reference.kept(found), expected, rtol=1e-4, atol=1e-7)
    one_by_one = [model.model(inputs[i : i + 1], to_channels_first).numpy() for i in (0, 1)]
    np.testing.assert_allclose(np.concatenate(one_by_one), found, rtol=0, atol=1e-6)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def another_network(path: Path) -> None:
    write = reference.write_h5 if path.suffix == ".h5" else reference.write_pth
    write("DeepID", path)


def no_weights(path: Path) -> None:
    path.write_text("<html>404</html>")


@pytest.mark.parametrize("ending", [".pth", ".h5"])
@pytest.mark.parametrize("damage", [truncate, another_network, no_weights])
def test_bad_files(home: Path, ending: str, damage: Callable[[Path], None]) -> None:
    path = write_weights("Emotion", home, ending)
    damage(path)
    with pytest.raises(WeightsError, match=f"loading the pre-trained weights from .*{path.name}"):
        ATTRIBUTES.build("Emotion")
    assert cached_models["facial_attribute"] == {}
    write_weights("Emotion", home, ending)
    ATTRIBUTES.build("Emotion")


@pytest.mark.parametrize("name", STEMS)
def test_missing_file(name: str) -> None:
    with pytest.raises(WeightsError, match=f"downloading {STEMS[name]}.pth"):
        DeepFace.build_model(name, task="facial_attribute")
    assert cached_models["facial_attribute"] == {}


@pytest.mark.parametrize("name", VGG)
def test_a_vgg_network_refuses_the_weights_of_another(home: Path, name: str) -> None:
    path = home / ".deepface" / "weights" / f"{STEMS[name]}.pth"
    path.parent.mkdir(parents=True)
    reference.write_pth("Emotion", path)
    with pytest.raises(WeightsError, match=r"another network: its tensor backbone\.conv1_1"):
        ATTRIBUTES.build(name)


def test_build_model(home: Path) -> None:
    model = emotion(home)
    assert DeepFace.build_model("Emotion", task="facial_attribute") is model
    assert model.model_name == "Emotion"
    with pytest.raises(UnimplementedError, match="facial_attribute/Mood"):
        DeepFace.build_model("Mood", task="facial_attribute")


def models(home: Path) -> list[FacialAttribute]:
    return [emotion(home), *map(small_model, VGG)]


def test_predict_takes_one_face_or_several(home: Path) -> None:
    for model in models(home):
        single = np.stack([model.predict(face) for face in FACES])
        classes = () if model.model_name == "Age" else (len(model.labels),)
        assert single.shape == (3, *classes)
        np.testing.assert_allclose(model.predict(FACES), single, atol=1e-6 if classes else 1e-4)
        others: list[Any] = [list(FACES), tuple(FACES), FACES.astype(np.float64)]
        for several in (*others, torch.from_numpy(FACES)):
            np.testing.assert_array_equal(model.predict(several), model.predict(FACES))
        # As published: a list or a batch of one face is that face.
        for one in ([FACES[0]], FACES[:1]):
            np.testing.assert_array_equal(model.predict(one), single[0])
        assert model.predict([]).shape == model.predict(FACES[:0]).shape == (0, *classes)


@pytest.mark.parametrize(
    "face", [None, "face.jpg", FACES[0, ..., 0], FACES[..., :2], [FACES, FACES], [FACES[0], 1]]
)
def test_predict_refuses_what_is_no_face(home: Path, face: Any) -> None:
    for model in (emotion(home), small_model("Gender")):
        with pytest.raises(DataTypeError, match="faces must"):
            model.predict(face)


def test_predict_and_size(home: Path) -> None:
    large = FACES[0, :100, :120]
    assert emotion(home).predict(large).shape == (7,)
    with pytest.raises(DataTypeError, match=r"\(224, 224, 3\) .*not \(100, 120, 3\)"):
        small_model("Gender").predict(large)


def test_age_is_the_mean_of_the_years() -> None:
    model = small_model("Age")
    probabilities = model.probabilities(FACES)
    assert probabilities.shape == (3, 101)
    expected = [sum(i * float(p) for i, p in enumerate(row)) for row in probabilities]
    np.testing.assert_allclose(model.predict(FACES), expected, rtol=1e-6)
    assert [item["age"] for item in model.describe(FACES)] == [int(age) for age in expected]


@pytest.mark.parametrize("name", ["Emotion", "Gender", "Race"])
def test_labels_have_percent_and_the_likeliest_is_dominant(home: Path, name: str) -> None:
    model = emotion(home) if name == "Emotion" else small_model(name)
    described = model.describe(FACES)
    for said, row in zip(described, model.probabilities(FACES), strict=True):
        percent = said[name.lower()]
        assert tuple(percent) == tuple(model.labels)
        np.testing.assert_allclose(list(percent.values()), 100 * row / row.sum(), rtol=1e-5)
        assert said[f"dominant_{name.lower()}"] == model.labels[row.argmax()]
