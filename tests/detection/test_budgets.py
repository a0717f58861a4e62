"""What detectors ask of a GPU: counts on the stand-in device, which are exact. No timings.

Three copies come down where the budget of the plan says two: how many candidates there are, how
many of them stay, and the faces.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import pytest
import torch

from deepface.detection.canvas import Canvas
from deepface.detection.detector import Detector
from deepface.detection.registry import DETECTORS
from deepface.types import Image
from tests import laws
from tests.data import package_pictures, read, weight
from tests.standin import Standin

pytestmark = pytest.mark.skipif(torch.cuda.is_available(), reason="there is a real one")

FILES = {
    "yunet": "face_detection_yunet_2023mar.onnx",
    "centerface": "centerface.onnx",
    "retinaface-mobilenet0.25": "mobilenet0.25_Final.pth",
}


@dataclass
class Asked:
    """Of the device, by one call."""

    launches: int
    waits: int
    up: int
    down: int


@pytest.fixture(scope="module")
def device() -> Iterator[Standin]:
    with Standin() as standin:
        yield standin


def pictures(count: int, sizes: int) -> list[Image]:
    """A portrait in so many sizes, over and over."""
    portrait = read(package_pictures()[0])[:300, 100:400]
    return [
        np.asarray(cv2.resize(portrait, (150 - 2 * (i % sizes), 90 + 2 * (i % sizes))), np.uint8)
        for i in range(count)
    ]


def asked(device: Standin, detector: Detector, canvases: Sequence[Canvas]) -> Asked:
    detector.detect_canvases(canvases)  # what is made once does not count
    device.counts.reset()
    detector.detect_canvases(canvases)
    counts = device.counts
    return Asked(counts.launches, counts.waits, counts.up, counts.down)


@pytest.mark.parametrize("border", [0.0, 0.5])
@pytest.mark.parametrize("name", FILES)
def test_a_batch_asks_for_little_more_than_a_picture(
    device: Standin, name: str, border: float
) -> None:
    weight(FILES[name])
    detector = DETECTORS.entry(name).load()("cuda")

    def ask(count: int, sizes: int) -> Asked:
        images = pictures(count, sizes)
        return asked(device, detector, [Canvas.with_border(image, border) for image in images])

    one, many = ask(2, 1), ask(32, 1)
    assert many.launches <= 1.1 * one.launches
    for sizes in (8, 31):
        mixed = ask(32, sizes)
        assert mixed.launches <= 2 * many.launches, sizes
        assert mixed.waits <= 4 and mixed.up == 1 and mixed.down <= 3, (sizes, mixed)
    assert many.waits <= 4 and many.up == 1 and many.down <= 3, many


@pytest.mark.parametrize("border", [0.0, 0.5])
@pytest.mark.parametrize("name", FILES)
def test_the_device_finds_what_the_cpu_finds(device: Standin, name: str, border: float) -> None:
    weight(FILES[name])
    images = [*pictures(9, 9), *(np.zeros((1, n, 3), np.uint8) for n in (1, 40))]
    there, here = (DETECTORS.entry(name).load()(where) for where in ("cuda", "cpu"))
    canvases = [Canvas.with_border(image, border) for image in images]
    expected = here.detect_canvases(canvases)
    assert sum(map(len, expected)) > 4
    laws.same_lists(there.detect_canvases(canvases), expected, _close)
    on_device = [
        Canvas(torch.from_numpy(canvas.image).to("cuda"), canvas.top, canvas.left)  # type: ignore[arg-type]
        for canvas in canvases
    ]
    laws.same_lists(there.detect_canvases(on_device), expected, _close)


def _close(found: Sequence[object], expected: Sequence[object]) -> None:
    assert len(found) == len(expected)
    for face, wanted in zip(found, expected, strict=True):
        a, b = (_numbers(one) for one in (face, wanted))
        np.testing.assert_allclose(a[:-1], b[:-1], atol=1)
        assert abs(a[-1] - b[-1]) < 1e-4


def _numbers(face: object) -> list[float]:
    area = face.__dict__
    eyes = [value for eye in ("left_eye", "right_eye") for value in area[eye]]
    return [*(area[key] for key in "xywh"), *eyes, area["confidence"]]


def test_memory_that_is_too_small_for_a_ragged_batch(device: Standin) -> None:
    """The network halves it; each half has its own edges."""
    weight(FILES["centerface"])
    detector = DETECTORS.entry("centerface").load()("cuda")
    images = pictures(9, 9)
    expected = detector.detect_faces(images)
    forward, tried = detector._network._network.module.forward, []

    def limited(x: torch.Tensor, **arguments: object) -> object:
        tried.append(len(x))
        if len(x) > 3:
            raise torch.cuda.OutOfMemoryError("too much")
        return forward(x, **arguments)

    detector._network._network.module.forward = limited
    laws.same_lists(detector.detect_faces(images), expected, _close)
    assert tried == [9, 4, 2, 2, 2, 2, 1]
