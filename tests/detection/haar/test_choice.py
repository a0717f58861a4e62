"""Who searches: OpenCV or a device, by what is asked for and by what was faster."""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch

from deepface.detection.canvas import Canvas
from deepface.detection.haar import choice as haar_choice
from deepface.detection.haar import opencv
from deepface.detection.haar.choice import Searchers
from deepface.detection.haar.opencv import OpenCvDetector
from deepface.errors import UnimplementedError
from tests.data import package_pictures
from tests.detection.haar.test_opencv import rows, shrunk

CUDA = torch.device("cuda", 0)


class Machine:
    """Stands in for a CUDA device beside some cores: a clock that runs with their work."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        self.full = False
        monkeypatch.delenv("DEEPFACE_HAAR", raising=False)
        monkeypatch.setattr(haar_choice, "may_have_cuda", lambda: True)
        monkeypatch.setattr(haar_choice, "resolve_device", lambda name: torch.device(name or CUDA))
        self.searchers = Searchers(clock=lambda: self.now)

    def search(self, count: int, device: str | None = None) -> str:
        """Eight megapixels take OpenCV a second; the device half a second more than a tenth."""

        def by_opencv() -> str:
            self.now += count / 8
            return "opencv"

        def on_device(device: torch.device) -> str:
            if self.full:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate")
            self.now += 0.5 + count / 80
            return str(device)

        images = [np.broadcast_to(np.uint8(0), (1000, 1000, 3))] * count
        return self.searchers.search("faces", images, device, by_opencv, on_device)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(monkeypatch)


def test_the_device_searches_what_it_is_faster_with(machine: Machine) -> None:
    assert machine.search(8) == "opencv", "the first pictures of a program"
    for count in (64, 1):
        for _ in range(7):
            machine.search(count)
    assert Counter(machine.search(64) for _ in range(20))["cuda:0"] == 20
    assert Counter(machine.search(1) for _ in range(20))["opencv"] == 20


def test_no_device(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    assert {machine.search(64, "cpu") for _ in range(9)} == {"opencv"}
    assert {machine.search(64, "mps") for _ in range(9)} == {"opencv"}
    monkeypatch.setattr(haar_choice, "may_have_cuda", lambda: False)
    assert {machine.search(64) for _ in range(9)} == {"opencv"}
    assert machine.search(0) == "opencv"


def test_torch_is_not_asked_for_a_few_pictures(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(haar_choice, "resolve_device", None)
    assert {machine.search(64, "cpu") for _ in range(9)} == {"opencv"}
    assert machine.search(8) == "opencv"
    machine.search(8)
    with pytest.raises(TypeError):
        machine.search(8)


def test_opencv_steps_in_where_memory_is_out(machine: Machine) -> None:
    machine.full = True
    assert {machine.search(64) for _ in range(30)} == {"opencv"}
    assert machine.now == 30 * 8


def test_opencv_goes_on_where_a_device_fails(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    calls: list[torch.device] = []

    def broken(device: torch.device) -> str:
        calls.append(device)
        raise RuntimeError("not implemented for 'Byte'")

    machine.search(64)
    search = machine.searchers.search
    assert {search("faces", [], None, lambda: "opencv", broken) for _ in range(9)} == {"opencv"}
    assert len(calls) == 1, "it is not asked again"
    assert "the search on cuda:0 failed, OpenCV goes on instead: not implemented" in caplog.text
    monkeypatch.setenv("DEEPFACE_HAAR", "torch")
    with pytest.raises(RuntimeError, match="not implemented"):
        search("faces", [], None, str, broken)


def test_what_is_asked_for(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEEPFACE_HAAR", "opencv")
    assert {machine.search(64) for _ in range(9)} == {"opencv"}
    monkeypatch.setenv("DEEPFACE_HAAR", "torch")
    assert machine.search(1, "cpu") == "cpu"
    assert machine.search(1) == "cuda:0"
    machine.full = True
    with pytest.raises(torch.OutOfMemoryError):
        machine.search(1)
    machine.full = False
    for unknown in ("numpy", "triton"):
        monkeypatch.setenv("DEEPFACE_HAAR", unknown)
        with pytest.raises(
            UnimplementedError, match=f"'{unknown}': use 'opencv', 'numba' or 'torch'"
        ):
            machine.search(1)


def test_the_device_is_first_where_cuda_runs_already(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    assert [machine.search(1) for _ in range(3)] == ["cuda:0"] * 3, "no two seconds of OpenCV"
    for _ in range(9):
        machine.search(1)
    assert machine.search(1) == "opencv", "which turns out to be faster with so little"
    assert {machine.search(64, "cpu") for _ in range(9)} == {"opencv"}


@pytest.mark.gpu
def test_on_a_gpu_both_are_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DEEPFACE_HAAR", raising=False)
    searchers, tried = Searchers(patience=0.0), set()

    def search(kind: Any, images: Any, device: Any, by_opencv: Any, on_device: Any) -> Any:
        def noted(way: str, *where: torch.device) -> Any:
            tried.add(way)
            return by_opencv() if way == "opencv" else on_device(*where)

        return searchers.search(
            kind, images, device, partial(noted, "opencv"), partial(noted, "device")
        )

    monkeypatch.setattr(opencv, "search", search)
    detector = OpenCvDetector("cuda")
    portrait, several, _ = package_pictures()
    canvases = [Canvas.with_border(shrunk(path, 320), 0.5) for path in (portrait, several)]
    found = [[rows(faces) for faces in detector.detect_canvases(canvases)] for _ in range(4)]
    assert tried == {"opencv", "device"}
    assert all(result == found[0] for result in found)
    assert sum(map(len, found[0])) > 1
