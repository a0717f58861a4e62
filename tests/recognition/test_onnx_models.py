from __future__ import annotations

import builtins
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deepface.errors import InvalidEmbeddingsShapeError, MissingPackageError, WeightsError
from deepface.recognition.buffalo_l import BuffaloL
from deepface.recognition.onnx_model import OnnxModel
from deepface.recognition.sface import SFace

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

MODELS: tuple[type[OnnxModel], ...] = (SFace, BuffaloL)


@pytest.fixture(autouse=True)
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DEEPFACE_HOME", str(tmp_path))
    monkeypatch.setenv("DEEPFACE_ALLOW_UNKNOWN_WEIGHTS", "1")
    return tmp_path / ".deepface" / "weights"


def write(cls: type[OnnxModel], folder: Path, batch: int | str) -> None:
    """A graph whose vector begins with the maximum of each channel."""
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    spread = np.eye(3, cls.output_shape, dtype=np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("GlobalMaxPool", ["faces"], ["pooled"]),
            helper.make_node("Flatten", ["pooled"], ["flat"]),
            helper.make_node("MatMul", ["flat", "spread"], ["vectors"]),
        ],
        "maxima",
        [helper.make_tensor_value_info("faces", kind, [batch, 3, 112, 112])],
        [helper.make_tensor_value_info("vectors", kind, [batch, cls.output_shape])],
        [onnx.numpy_helper.from_array(spread, "spread")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path = folder / cls.card.files[0][0].name
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, str(path))


def flat_faces(*colours: tuple[float, float, float]) -> Any:
    return np.stack([np.full((112, 112, 3), colour, np.float32) for colour in colours])


BGR = [(0.1, 0.5, 0.999), (1.0, 0.0, 0.25), (0.3, 0.7, 0.2)]


@pytest.mark.parametrize("batch", [1, "n"])
@pytest.mark.parametrize("cls", MODELS)
def test_any_number_of_faces_in_any_graph(
    cls: type[OnnxModel], batch: int | str, weights: Path
) -> None:
    write(cls, weights, batch)
    model = cls(device="cpu")
    for count in (0, 1, 3):
        found = model.embed(flat_faces(*BGR)[:count])
        assert found.shape == (count, cls.output_shape)
    together = model.embed(flat_faces(*BGR))
    for face, vector in zip(flat_faces(*BGR), together, strict=True):
        np.testing.assert_allclose(model.forward(face), vector, rtol=1e-6)


def test_sface_sees_whole_numbers_in_rgb(weights: Path) -> None:
    write(SFace, weights, 1)
    found = SFace(device="cpu").embed(flat_faces(*BGR))[:, :3]
    np.testing.assert_allclose(found, [[254, 127, 25], [63, 0, 255], [51, 178, 76]], atol=1e-3)


def test_buffalo_sees_rgb_around_zero(weights: Path) -> None:
    write(BuffaloL, weights, "n")
    found = BuffaloL(device="cpu").embed(flat_faces(*BGR))[:, :3]
    np.testing.assert_allclose(found, np.array(BGR)[:, ::-1] * 2 - 1, atol=1e-5)


def test_faces_of_another_size_are_refused(weights: Path) -> None:
    write(SFace, weights, 1)
    with pytest.raises(InvalidEmbeddingsShapeError, match=r"SFace takes .*\(112, 112, 3\)"):
        SFace(device="cpu").embed(np.zeros((1, 160, 160, 3), np.float32))


def test_a_damaged_file_is_named(weights: Path) -> None:
    path = weights / SFace.card.files[0][0].name
    path.parent.mkdir(parents=True)
    path.write_bytes(b"no graph")
    with pytest.raises(WeightsError, match=path.name):
        SFace(device="cpu")


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "onnxruntime":
            raise ModuleNotFoundError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingPackageError, match='pip install "onnxruntime"'):
        BuffaloL(device="cpu")
