from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from deepface.errors import InvalidEmbeddingsShapeError, UnimplementedError, WeightsError
from deepface.recognition.network_model import NetworkModel
from deepface.recognition.registry import RECOGNIZERS
from deepface.runtime.models import cached_models
from tests.goldens import networks as reference

SMALL = ["OpenFace", "DeepID", "GhostFaceNet"]
LARGE = ["Facenet", "Facenet512", "ArcFace"]
HUGE = ["VGG-Face", "DeepFace"]  # half a gigabyte each
HEAVY = [pytest.param(name, marks=pytest.mark.heavy) for name in (*LARGE, *HUGE)]

ATTRIBUTES = {
    "VGG-Face": ("VGG-Face", (224, 224), 4096),
    "Facenet": ("FaceNet-128d", (160, 160), 128),
    "Facenet512": ("FaceNet-512d", (160, 160), 512),
    "OpenFace": ("OpenFace", (96, 96), 128),
    "DeepFace": ("DeepFace", (152, 152), 4096),
    "DeepID": ("DeepId", (47, 55), 160),
    "Dlib": ("Dlib", (150, 150), 128),
    "ArcFace": ("ArcFace", (112, 112), 512),
    "SFace": ("SFace", (112, 112), 128),
    "GhostFaceNet": ("GhostFaceNet", (112, 112), 512),
    "Buffalo_L": ("Buffalo_L", (112, 112), 512),
}


def class_of(name: str) -> type[NetworkModel]:
    return RECOGNIZERS.entry(name).load()


def unloaded(name: str) -> NetworkModel:
    """The model without its weights."""
    cls = class_of(name)
    return cls.__new__(cls)


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty weights folder; networks run in PyTorch."""
    monkeypatch.setenv("DEEPFACE_HOME", str(tmp_path))
    monkeypatch.setenv("DEEPFACE_BACKEND_ENGINE", "pytorch")
    folder = tmp_path / ".deepface" / "weights"
    folder.mkdir(parents=True)
    return folder


def write(name: str, ending: str, folder: Path, layers: reference.Layers | None = None) -> Path:
    (file,) = [f.name for f in class_of(name).card.files[0] if f.name.endswith(ending)]
    writer = {"pth": reference.write_pth, "h5": reference.write_h5}[ending]
    return Path(writer(name, folder / file, layers))


@pytest.fixture(scope="module")
def layers(name: str) -> reference.Layers:
    """The numbers of a network, made once for all tests of it."""
    return reference.keras_weights(name)


def expected(name: str) -> tuple[Any, Any]:
    faces, (vectors,) = reference.golden(name)
    return faces, vectors


def difference(found: Any, wanted: Any) -> float:
    """The largest difference of a vector, relative to its length."""
    lengths = np.linalg.norm(wanted, axis=-1)
    return float((np.linalg.norm(np.asarray(found) - wanted, axis=-1) / lengths).max())


@pytest.mark.parametrize("name", ATTRIBUTES)
def test_attributes(name: str) -> None:
    cls = class_of(name)
    assert (cls.model_name, cls.input_shape, cls.output_shape) == ATTRIBUTES[name]


def test_the_registry_has_all_models_and_no_other() -> None:
    assert set(RECOGNIZERS.entries) == set(ATTRIBUTES)
    with pytest.raises(
        UnimplementedError, match=r"Invalid model_name passed - facial_recognition/Face.*Facenet512"
    ):
        RECOGNIZERS.build("Face")


@pytest.mark.parametrize("name", [*SMALL, *LARGE, *HUGE])
def test_order_and_flattening_are_those_of_the_keras_file(name: str) -> None:
    layers = reference.LAYOUTS[name]["layers"]
    model = unloaded(name)
    left_out = {f"{prefix.removesuffix('.')}" for prefix in model.ignore}
    order = [None if layer["pth"] in left_out else layer["pth"] for layer in layers]
    assert list(model.keras_order) == order
    assert dict(model.flatten) == {
        layer["pth"]: tuple(layer["flatten_hwc_to_chw"])
        for layer in layers
        if layer["pth"] and "flatten_hwc_to_chw" in layer
    }


@pytest.mark.parametrize("name", [*SMALL, *LARGE, *HUGE])
def test_names_and_shapes_are_those_of_the_pth(name: str) -> None:
    model = unloaded(name)
    with torch.device("meta"):
        own = {key: list(value.shape) for key, value in model.network().state_dict().items()}
    published = {
        key: shape
        for key, shape in reference.LAYOUTS[name]["state_dict"]
        if not key.startswith(tuple(model.ignore))
    }
    assert own == published


@pytest.mark.parametrize("name", [*SMALL, *LARGE, *HUGE])
def test_maps_fit_together(name: str) -> None:
    """From pictures to vectors, without weights: kernels, strides and paddings of all layers."""
    model = unloaded(name)
    width, height = model.input_shape
    with torch.device("meta"):
        vectors = model.network().eval()(torch.zeros(2, 3, height, width))
    assert vectors.shape == (2, model.output_shape)


#: What Keras' layers add to a variance; it shows in no name and no shape.
EPSILONS = {
    **{"Facenet": 1e-3, "Facenet512": 1e-3, "GhostFaceNet": 1e-3},
    **{"OpenFace": 1e-5, "ArcFace": 2e-5},
}


@pytest.mark.parametrize("name", [*SMALL, *LARGE, *HUGE])
def test_every_batch_norm_has_the_published_epsilon(name: str) -> None:
    with torch.device("meta"):
        modules = [*unloaded(name).network().modules()]
    found = {one.eps for one in modules if isinstance(one, (nn.BatchNorm1d, nn.BatchNorm2d))}
    assert found == ({EPSILONS[name]} if name in EPSILONS else set())


@pytest.mark.parametrize("name", [*SMALL, *HEAVY], scope="module")
def test_the_pth_gives_the_published_vectors(
    name: str, layers: reference.Layers, weights: Path
) -> None:
    file = write(name, "pth", weights, layers)
    model = class_of(name)(device="cpu")
    file.unlink()
    faces, vectors = expected(name)

    found = model.embed(faces)
    assert found.shape == (2, model.output_shape)
    assert difference(reference.kept(found), vectors) < 1e-4

    # A batch is a speed-up, never a different answer: more faces than fit into one pass.
    model.model.chunk_size = 4
    many = np.concatenate([faces, np.zeros_like(faces[:1]), faces[::-1]])
    together = model.embed(many)
    assert difference(together[:2], found) < 1e-5
    assert difference(together[[4, 3]], found) < 1e-5
    for face, vector in zip(faces, found, strict=True):
        assert difference(model.embed(face[None])[0], vector) < 1e-5

    assert model.embed(faces[:0]).shape == (0, model.output_shape)

    # Whatever the number of cores.
    cores = torch.get_num_threads()
    torch.set_num_threads(cores + 2)
    try:
        assert difference(model.embed(many), together) < 1e-5
    finally:
        torch.set_num_threads(cores)


@pytest.mark.parametrize("name", [*SMALL, *HEAVY], scope="module")
def test_the_h5_gives_the_published_vectors(
    name: str, layers: reference.Layers, weights: Path
) -> None:
    file = write(name, "h5", weights, layers)
    model = class_of(name)(device="cpu")
    file.unlink()
    faces, vectors = expected(name)
    assert difference(reference.kept(model.embed(faces)), vectors) < 1e-4


@pytest.mark.heavy
@pytest.mark.parametrize("name", ["Facenet", "ArcFace", "OpenFace", "GhostFaceNet"], scope="module")
def test_half_the_bits_keep_the_direction(
    name: str, layers: reference.Layers, weights: Path
) -> None:
    write(name, "pth", weights, layers)
    faces, vectors = expected(name)
    found = reference.kept(class_of(name)(device="cpu", precision="bf16").embed(faces))
    assert found.dtype == np.float32
    lengths = np.linalg.norm(found, axis=1) * np.linalg.norm(vectors, axis=1)
    assert ((found * vectors).sum(axis=1) / lengths).min() >= 0.999


@pytest.fixture
def deepid(weights: Path) -> Iterator[NetworkModel]:
    write("DeepID", "pth", weights)
    yield class_of("DeepID")(device="cpu")


def test_forward_gives_a_list_for_one_face_and_lists_for_several(deepid: NetworkModel) -> None:
    faces, vectors = expected("DeepID")
    for one in (faces[0], faces[:1]):
        found = deepid.forward(one)
        assert isinstance(found[0], float)
        kept = reference.kept(np.array([found]))
        np.testing.assert_allclose(kept[0], vectors[0], rtol=1e-4, atol=1e-4)
    several = deepid.forward(faces)
    assert isinstance(several, list) and isinstance(several[0], list)
    kept = reference.kept(np.array(several))
    np.testing.assert_allclose(kept, vectors, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("shape", [(55,), (55, 47), (1, 1, 55, 47, 3), (2, 47, 55, 3)])
def test_other_shapes_are_refused(deepid: NetworkModel, shape: tuple[int, ...]) -> None:
    with pytest.raises(InvalidEmbeddingsShapeError, match="DeepId"):
        deepid.forward(np.zeros(shape, np.float32))


def test_the_pth_is_taken_when_both_are_there(weights: Path) -> None:
    write("DeepID", "pth", weights)
    (weights / "deepid_keras_weights.h5").write_bytes(b"never opened")
    class_of("DeepID")(device="cpu")


def truncated_pth(weights: Path) -> None:
    file = write("DeepID", "pth", weights)
    file.write_bytes(file.read_bytes()[:-2000])


def truncated_h5(weights: Path) -> None:
    file = write("DeepID", "h5", weights)
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def h5_of_another_network(weights: Path) -> None:
    reference.write_h5("Emotion", weights / "deepid_keras_weights.h5")


def pth_of_another_network(weights: Path) -> None:
    reference.write_pth("Emotion", weights / "deepid_weights.pth")


def no_state_dict(weights: Path) -> None:
    torch.save([1, 2, 3], weights / "deepid_weights.pth")


def another_shape(weights: Path) -> None:
    file = write("DeepID", "pth", weights)
    state = torch.load(file, weights_only=True)
    state["fc11.weight"] = state["fc11.weight"][:, :100].clone()
    torch.save(state, file)


@pytest.mark.parametrize(
    ("spoil", "fragment"),
    [
        (truncated_pth, "damaged"),
        (truncated_h5, "damaged"),
        (h5_of_another_network, "another network"),
        (pth_of_another_network, "another network"),
        (no_state_dict, "it holds no tensors"),
        (another_shape, r"fc11\.weight \(160, 100\) instead of \(160, 1200\)"),
    ],
)
def test_a_bad_file_is_named_and_nothing_is_cached(
    spoil: Any, fragment: str, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(cached_models, "facial_recognition", {})
    spoil(weights)
    with pytest.raises(WeightsError, match=fragment) as caught:
        RECOGNIZERS.build("DeepID", "cpu")
    assert "An exception occurred while loading the pre-trained weights from" in str(caught.value)
    assert str(weights) in str(caught.value)
    assert not cached_models["facial_recognition"]


def test_a_model_is_built_once(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(cached_models, "facial_recognition", {})
    write("DeepID", "pth", weights)
    model = RECOGNIZERS.build("DeepID", "cpu")
    assert RECOGNIZERS.build("DeepID", "cpu") is model
    assert RECOGNIZERS.build("DeepID", "cpu", precision="bf16") is not model
