"""``precision`` of detectors: taken by every network, off by default, and through public doors."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from deepface import DeepFace, modeling
from deepface.errors import UnimplementedError
from deepface.runtime.execution import network as runner
from tests.standin.pictures import portrait
from tests.standin.test_detectors import NETWORKS, built

HALF = [name for name in NETWORKS if name != "opencv"]


def dtypes(name: str, monkeypatch: pytest.MonkeyPatch, **options: Any) -> set[torch.dtype]:
    """Of what goes into the network of a detector on the CPU while a face is found."""
    seen: set[torch.dtype] = set()
    forward = runner.Network.__call__

    def spy(self: Any, *arguments: Any, **others: Any) -> Any:
        seen.add(self.dtype)
        return forward(self, *arguments, **others)

    with monkeypatch.context() as patch:
        patch.setattr(runner.Network, "__call__", spy)
        faces: Any = DeepFace.extract_faces(portrait(), name, device="cpu", **options)
    box = max(faces, key=lambda face: face["confidence"])["facial_area"]
    assert 30 < box["x"] + box["w"] / 2 < 120, "the face in the middle"
    return seen


@pytest.mark.parametrize("name", HALF)
def test_each_network_runs_in_half_precision(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    built(name, "cpu")
    assert dtypes(name, monkeypatch) <= {torch.float32}  # none: YuNet by OpenCV
    assert dtypes(name, monkeypatch, precision="bf16") == {torch.bfloat16}
    assert dtypes(name, monkeypatch, precision="tf32") <= {torch.float32}


def test_detectors_without_a_network_stay_as_they_are() -> None:
    """``represent`` in half precision works with any detector."""
    expected = DeepFace.extract_faces(portrait(), "opencv")
    found = DeepFace.extract_faces(portrait(), "opencv", precision="bf16")
    assert [face["facial_area"] for face in found] == [face["facial_area"] for face in expected]


@pytest.mark.parametrize("precision", ["fp32", "FP32", " Fp32 ", torch.float32])
def test_float32_by_any_name_is_the_default(precision: Any) -> None:
    built("yunet", "cpu")
    DeepFace.represent(portrait(), "Dlib", detector_backend="yunet", device="cpu")
    before = {task: set(models) for task, models in modeling.cached_models.items()}
    DeepFace.represent(
        portrait(), "Dlib", detector_backend="yunet", device="cpu", precision=precision
    )
    assert {task: set(models) for task, models in modeling.cached_models.items()} == before


def test_other_types_are_no_precisions() -> None:
    double: Any = torch.float64
    with pytest.raises(UnimplementedError, match=r"unknown precision torch\.float64: use one of"):
        DeepFace.extract_faces(portrait(), "yunet", precision=double)
