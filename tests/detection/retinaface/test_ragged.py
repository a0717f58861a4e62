"""RetinaFace MobileNet0.25 with pictures of several sizes in one batch."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from deepface.detection.canvas import Canvas
from deepface.detection.ragged import Edges, RaggedEdges, cells_beyond
from deepface.detection.retinaface.base import anchor_grid
from deepface.detection.retinaface.frame import Placement
from deepface.detection.retinaface.pytorch import Net, RetinaFaceMobileNetDetector
from tests import laws
from tests.data import package_pictures, read, weight

#: Every remainder of 32, lines and a point.
SIZES = [(65 + n, 128 - n) for n in range(0, 32, 3)] + [(1, 1), (1, 90), (77, 1), (96, 96)]
SHAPE = (128, 192)
STRIDES = (1, 2, 4, 8, 16, 32)


@cache
def detector() -> RetinaFaceMobileNetDetector:
    weight("mobilenet0.25_Final.pth")
    return RetinaFaceMobileNetDetector("cpu")


def net() -> Net:
    module = detector().network.module
    assert isinstance(module, Net)
    return module


def picture(height: int, width: int) -> Tensor:
    portrait = read(package_pictures()[0])[30:240, 130:330]
    image = cv2.resize(portrait, (width, height), interpolation=cv2.INTER_AREA)
    tensor = torch.from_numpy(image).permute(2, 0, 1)[None].float()
    return tensor.contiguous(memory_format=torch.channels_last)


class Dirty(RaggedEdges):
    """Edges with garbage beyond the pictures, and maybe one that is forgotten."""

    garbage = 0.0
    forgotten: int | None = None

    def clear(self, x: Tensor, stride: int, value: float = 0.0) -> Tensor:
        for one, (h, w) in zip(x, SIZES, strict=True):
            if self.garbage:
                one[:, -(-h // stride) :] = self.garbage
                one[:, :, -(-w // stride) :] = self.garbage
        return x if stride == self.forgotten else super().clear(x, stride)


@torch.inference_mode()
def rows(garbage: float, forgotten: int | None = None) -> list[Tensor]:
    """Of each picture in a batch with the others."""
    batch = torch.zeros(len(SIZES), *SHAPE, 3).permute(0, 3, 1, 2)
    for place, (h, w) in zip(batch, SIZES, strict=True):
        place[:, :h, :w] = picture(h, w)[0]
    cells = {s: torch.from_numpy(cells_beyond(SIZES, SHAPE, s)) for s in STRIDES}
    edges = Dirty(SIZES, SHAPE, cells)
    edges.garbage, edges.forgotten = garbage, forgotten
    found = net()(batch, Placement.none(SHAPE), True, edges)
    corners = anchor_grid(detector().anchors, SHAPE, torch.device("cpu"))[:, 3:]
    return [
        row[(corners < torch.tensor(size)).all(1)] for row, size in zip(found, SIZES, strict=True)
    ]


@cache
def alone() -> list[Tensor]:
    with torch.inference_mode():
        return [net()(picture(*size), Placement.none(size), True)[0] for size in SIZES]


@pytest.mark.parametrize("garbage", [0.0, 1e6, torch.inf, torch.nan])
def test_each_cell_has_the_numbers_of_the_single_picture(garbage: float) -> None:
    for found, expected in zip(rows(garbage), alone(), strict=True):
        torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("forgotten", STRIDES)
def test_a_forgotten_edge_shows(forgotten: int) -> None:
    with pytest.raises(AssertionError):
        for found, expected in zip(rows(0.0, forgotten), alone(), strict=True):
            torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("border", [0.0, 0.5])
def test_faces_of_mixed_sizes_are_those_of_single_pictures(
    border: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = [picture(*size)[0].permute(1, 2, 0).byte().numpy() for size in SIZES * 2]
    canvases = [Canvas.with_border(np.ascontiguousarray(image), border) for image in images]
    expected = [detector().detect_canvases([canvas])[0] for canvas in canvases]
    assert sum(map(len, expected)) > 10
    monkeypatch.setattr(detector(), "launches", 2**22)
    for step in (2**24, 2**16):
        monkeypatch.setattr(detector(), "step", step)
        bins = detector().plan(canvases, [detector().view(canvas) for canvas in canvases])
        assert any(bin_.ragged for bin_ in bins)
        laws.same_lists(detector().detect_canvases(canvases), expected, laws.same_regions)
    order = np.random.default_rng(1).permutation(len(canvases))
    found = detector().detect_canvases([canvases[i] for i in order])
    laws.same_lists(found, [expected[i] for i in order], laws.same_regions)


def test_edges_that_are_the_tensors_own_change_nothing() -> None:
    x = torch.ones(1, 2, 3, 4)
    assert Edges().clear(x, 1) is x and Edges().part(slice(1)) is not None
