"""The cascades' kernels, run by Triton's interpreter: equal to the operators."""

from __future__ import annotations

import logging
from types import ModuleType

import cv2
import numpy as np
import pytest
import torch

from deepface.detection.haar import search as haar
from deepface.detection.haar.atlas import Pictures, View, atlases
from deepface.detection.haar.cascade import cascade_path
from deepface.detection.haar.cascade_file import HaarCascade, read_cascade
from deepface.detection.haar.grid import integrals
from deepface.detection.haar.stages import Stages
from deepface.types import Image
from tests.data import package_pictures
from tests.detection.haar.test_opencv import shrunk
from tests.detection.haar.test_search import CPU, EYES, FACES
from tests.interpreted import interpreted


@pytest.fixture
def kernels(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A program of the interpreter takes long, however much it does: let there be few of them."""
    pytest.importorskip("triton", minversion="3.8", reason="3.6 cannot count, with numpy 2.4")
    return interpreted("deepface.detection.haar.kernels", monkeypatch)


def eye_and_none() -> list[Image]:
    """An eye, clouds, one that is constant, one that is too small."""
    eye = shrunk(package_pictures()[0], 301)[44:76, 96:136]
    noise = np.random.default_rng(0).integers(0, 256, (8, 9, 3)).astype(np.uint8)
    clouds = cv2.resize(noise, (43, 37), interpolation=cv2.INTER_LINEAR).astype(np.uint8)
    clouds[5:35, 20:] = 90
    return [eye, clouds, np.full((24, 25, 3), 7, np.uint8), np.zeros((9, 60, 3), np.uint8)]


@pytest.mark.parametrize(("height", "width", "value"), [(37, 150, None), (230, 190, 255)])
def test_sums(kernels: ModuleType, height: int, width: int, value: int | None) -> None:
    """They overflow where all is white."""
    pixels = np.random.default_rng(0).integers(0, 256, (height, width)).astype(np.uint8)
    if value is not None:
        pixels[:] = value
    tensor = torch.from_numpy(pixels)
    for found, expected in zip(kernels.integrals(tensor), integrals(tensor), strict=True):
        assert torch.equal(found[:, : width + 1], expected)


def test_an_eye_is_found(kernels: ModuleType) -> None:
    """By a third of the stages; all of them would take the interpreter a minute."""
    cascade = read_cascade(cascade_path(EYES))
    some = HaarCascade(cascade.window, cascade.stages[:8])
    ours, operators = kernels.Kernels(some, CPU, programs=2), Stages(some, CPU)
    eye = eye_and_none()[0]
    views = [View(0, 0, 0, eye.shape[1], eye.shape[0])]
    (atlas,) = atlases(Pictures([eye], CPU), views, some.window, 9999, ours.resampled, 40)
    found, expected = (haar.ordered(*steps.passing(atlas)) for steps in (ours, operators))
    for part, wanted in zip(found, expected, strict=True):
        assert torch.equal(part, wanted)
    assert len(found[0]) > 9


def test_many_programs_share_the_windows(kernels: ModuleType) -> None:
    cascade = read_cascade(cascade_path(FACES))
    some = HaarCascade(cascade.window, cascade.stages[:3])
    ours = kernels.Kernels(some, CPU, row_block=128, block=64, programs=2)
    operators, held = Stages(some, CPU), Pictures(eye_and_none(), CPU)
    views = [View(1, -3, 5, 49, 34), View(1, 11, -9, 40, 41)]
    counts = []
    for atlas in atlases(held, views, some.window, 9999, ours.resampled, 40):
        found, expected = (haar.ordered(*steps.passing(atlas)) for steps in (ours, operators))
        for part, wanted in zip(found, expected, strict=True):
            assert torch.equal(part, wanted)
        counts.append(len(found[0]))
    assert len(counts) > 1 and max(counts) > 0


def test_none_are_left_and_no_windows(kernels: ModuleType) -> None:
    cascade = read_cascade(cascade_path(EYES))
    steps = kernels.Kernels(cascade, CPU, programs=2)
    images = eye_and_none()
    held, view = Pictures(images, CPU), View(2, 0, 0, 25, 24)
    (atlas,) = atlases(held, [view], 20, 9999, steps.resampled, 40)
    assert [len(part) for part in steps.passing(atlas)] == [0, 0, 0]


def test_comparing_sees_what_is_wrong() -> None:
    cascade = read_cascade(cascade_path(EYES))
    some = HaarCascade(cascade.window, cascade.stages[:4])
    fewer = HaarCascade(cascade.window, cascade.stages[:3])
    haar.compare(Stages(some, CPU), Stages(some, CPU), CPU)
    with pytest.raises(RuntimeError, match="other windows"):
        haar.compare(Stages(some, CPU), Stages(fewer, CPU), CPU)


@pytest.mark.parametrize("wrong", [False, True])
def test_operators_where_kernels_do_not_run_or_are_wrong(
    wrong: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """``compare`` has its own tests; here Triton has no device, or what it gives is other."""
    cascade = read_cascade(cascade_path(EYES))
    operators = Stages(cascade, CPU)
    monkeypatch.setattr(haar, "Stages", lambda cascade, device: operators)
    monkeypatch.delenv("DEEPFACE_TRITON", raising=False)

    def compare(*_: object) -> None:
        raise RuntimeError("they find other windows than the operators" if wrong else "no driver")

    monkeypatch.setattr(haar, "compare", compare)
    with caplog.at_level(logging.INFO, "deepface"):
        assert haar.fastest_steps(cascade, torch.device("cuda", 0)) is operators
    assert "no Triton kernels for cascades on cuda:0: RuntimeError" in caplog.text
    assert haar.fastest_steps(cascade, CPU) is operators
