"""YuNet and CenterFace in PyTorch: their maps are OpenCV's; batches of several sizes are exact."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import cache
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor, nn

from deepface.detection import yunet
from deepface.detection.anchor_free import AnchorFree
from deepface.detection.canvas import Canvas
from deepface.detection.centerface import CenterFaceDetector, CenterFaceNet, CenterFaceNetwork
from deepface.detection.detector import Detector
from deepface.detection.ragged import Edges, RaggedEdges, Size, bins, cells_beyond
from deepface.detection.yunet import YuNetDetector
from deepface.detection.yunet_network import YuNet, YuNetNet
from deepface.types import FacialAreaRegion, Image
from tests.data import DATA, package_pictures, photo, read, weight

YUNET, CENTERFACE = "face_detection_yunet_2023mar.onnx", "centerface.onnx"
NETS: dict[str, Callable[[Path], nn.Module]] = {YUNET: YuNetNet, CENTERFACE: CenterFaceNet}
BOTH = pytest.mark.parametrize("file", [YUNET, CENTERFACE])


@cache
def net(file: str) -> nn.Module:
    module = NETS[file](weight(file)).eval().requires_grad_(False)
    return module.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


@cache
def portrait() -> Image:
    return read(package_pictures()[0])


def of_size(height: int, width: int) -> Image:
    return cv2.resize(portrait(), (width, height), interpolation=cv2.INTER_AREA)  # type: ignore[return-value]


def as_input(image: Image) -> Tensor:
    tensor = torch.from_numpy(image).permute(2, 0, 1)[None].float()
    return tensor.contiguous(memory_format=torch.channels_last)


def opencv_maps(file: str, image: Image) -> list[NDArray[Any]]:
    """What a freshly read network gives, as ``(cells, channels)`` for each stride."""
    network = cv2.dnn.readNetFromONNX(str(weight(file)))
    network.setInput(cv2.dnn.blobFromImage(image, swapRB=file == CENTERFACE))
    if file == CENTERFACE:
        maps = network.forward(["537", "538", "539", "540"])
        return [np.concatenate([part[0] for part in maps]).reshape(15, -1).T]
    return [
        np.concatenate(
            [
                part[0]
                for part in network.forward([f"{k}_{s}" for k in ("cls", "bbox", "obj", "kps")])
            ],
            axis=1,
        )
        for s in (8, 16, 32)
    ]


@BOTH
@pytest.mark.parametrize("size", [(256, 320), (64, 96), (64, 64), (480, 224)])
def test_maps_are_those_of_opencv(file: str, size: tuple[int, int]) -> None:
    """From 64 pixels on: where the last map has one row, what OpenCV (4.14) gives is wrong."""
    image = of_size(*size)
    with torch.inference_mode():
        found = net(file)(as_input(image), Edges())
    probabilities = (0,) if file == CENTERFACE else (0, 5)
    for map_, expected in zip(found, opencv_maps(file, image), strict=True):
        rows = map_.permute(0, 2, 3, 1).flatten(0, 2).numpy().copy()
        rows[:, probabilities] = 1 / (1 + np.exp(-rows[:, probabilities]))
        np.testing.assert_allclose(rows, expected, atol=5e-5)


#: Multiples of 32, as both networks need them.
SIZES = [(96, 64), (32, 32), (64, 160), (128, 128), (32, 192), (160, 32), (96, 96)]


def in_a_bin(file: str, garbage: float = 0.0, forgotten: int | None = None) -> list[list[Tensor]]:
    """The maps of pictures of several sizes in one batch, cut out.

    Args:
        file: of the network.
        garbage: what lies beyond the pictures on every inner map before it is cleared.
        forgotten: a stride at which nothing is cleared.
    """

    class Dirty(RaggedEdges):
        def clear(self, x: Tensor, stride: int, value: float = 0.0) -> Tensor:
            for picture, (h, w) in zip(x, SIZES, strict=True):
                if garbage:
                    picture[:, h // stride :], picture[:, :, w // stride :] = garbage, garbage
            return x if stride == forgotten else super().clear(x, stride)

    shape = (192, 256)
    batch = torch.zeros(len(SIZES), *shape, 3).permute(0, 3, 1, 2)
    for place, (h, w) in zip(batch, SIZES, strict=True):
        place[:, :h, :w] = as_input(of_size(h, w))[0]
    cells = {s: torch.from_numpy(cells_beyond(SIZES, shape, s)) for s in (2, 4, 8, 16, 32)}
    edges = Dirty(SIZES, shape, cells)
    with torch.inference_mode():
        maps = net(file)(batch, edges)
    return [
        [map_[i, :, : h * map_.shape[2] // 192, : w * map_.shape[3] // 256] for map_ in maps]
        for i, (h, w) in enumerate(SIZES)
    ]


@cache
def alone(file: str) -> list[list[Tensor]]:
    with torch.inference_mode():
        maps = [net(file)(as_input(of_size(*size)), Edges()) for size in SIZES]
    return [[map_[0] for map_ in some] for some in maps]


@BOTH
@pytest.mark.parametrize("garbage", [0.0, 1e6, torch.inf, torch.nan])
def test_a_ragged_batch_gives_what_single_pictures_give(file: str, garbage: float) -> None:
    for found, expected in zip(in_a_bin(file, garbage), alone(file), strict=True):
        for mine, theirs in zip(found, expected, strict=True):
            torch.testing.assert_close(mine, theirs, atol=2e-5, rtol=1e-5)


@BOTH
@pytest.mark.parametrize("forgotten", [2, 4, 8, 16, 32])
def test_a_forgotten_edge_shows(file: str, forgotten: int) -> None:
    with pytest.raises(AssertionError):
        for found, expected in zip(in_a_bin(file, 0.0, forgotten), alone(file), strict=True):
            for mine, theirs in zip(found, expected, strict=True):
                torch.testing.assert_close(mine, theirs, atol=2e-5, rtol=1e-5)


class InTorch(Detector):
    """One of the two, as it runs on a GPU, on the CPU."""

    name = "in-torch"

    def __init__(self, detector: Detector, network: AnchorFree, ragged: bool) -> None:
        super().__init__("cpu")
        self.detector = detector
        detector.network = network  # type: ignore[attr-defined]
        if ragged:
            network.batch_pixels, network.step, network.kept = 2**24, 2**22, 2**26

    def _detect_batch(self, canvases: Any) -> list[list[FacialAreaRegion]]:
        return self.detector.detect_canvases(canvases)


def in_torch(file: str, ragged: bool = True) -> InTorch:
    if file == YUNET:
        return InTorch(YuNetDetector("cpu"), YuNet(weight(file), "cpu"), ragged)
    detector = CenterFaceDetector("cpu")
    return InTorch(detector, CenterFaceNetwork(CenterFaceNet(weight(file)), "cpu"), ragged)


def assert_close(found: list[FacialAreaRegion], expected: list[FacialAreaRegion]) -> None:
    assert len(found) == len(expected)
    for face, wanted in zip(found, expected, strict=True):
        assert face.left_eye and face.right_eye and wanted.left_eye and wanted.right_eye
        assert face.confidence == pytest.approx(wanted.confidence, abs=1e-5)
        a, b = (
            (f.x, f.y, f.w, f.h, *f.left_eye, *f.right_eye)  # type: ignore[misc]
            for f in (face, wanted)
        )
        np.testing.assert_allclose(a, b, atol=1)


def pictures() -> Iterator[Image]:
    """Every remainder of 32, sides of 1, and faces in most."""
    yield portrait()
    for number in range(32):
        yield of_size(97 + number, 160 - 3 * number)
    for size in ((1, 1), (1, 300), (300, 1), (33, 2), (31, 640), (200, 33)):
        yield of_size(*size)
    yield of_size(97, 160)


@BOTH
def test_mixed_sizes_together_are_single_pictures(
    file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("yunet_score_threshold", "0.3")
    images = list(pictures())
    apart, together = in_torch(file, ragged=False), in_torch(file)
    expected = [apart.detect_faces([image])[0] for image in images]
    assert sum(map(len, expected)) > 10
    found = together.detect_faces(images)
    for mine, theirs in zip(found, expected, strict=True):
        assert_close(mine, theirs)
    order = np.random.default_rng(0).permutation(len(images))
    shuffled = together.detect_faces([images[i] for i in order])
    for mine, i in zip(shuffled, order, strict=True):
        assert_close(mine, expected[i])


def test_yunet_elsewhere_finds_what_it_finds_on_a_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("yunet_score_threshold", "0.5")
    images = [portrait(), *map(read, package_pictures()[1:])]
    images += [of_size(*size) for size in ((28, 28), (33, 90), (100, 1), (701, 20))]
    for border in (0.0, 0.5):
        canvases = [Canvas.with_border(image, border) for image in images]
        expected = YuNetDetector("cpu").detect_canvases(canvases)
        assert sum(map(len, expected)) > 3
        for mine, theirs in zip(in_torch(YUNET).detect_canvases(canvases), expected, strict=True):
            assert_close(mine, theirs)


@pytest.mark.heavy
def test_yunet_elsewhere_on_photographs() -> None:
    folder = DATA / "images" / "photos"
    if not folder.is_dir():
        pytest.skip("needs test data images/photos")
    photos = [photo(path.name) for path in sorted(folder.glob("*.jpg"))]
    images = [image for image in photos if image.size < 6e6]  # large ones are slow in PyTorch
    assert len(images) > 20
    found = in_torch(YUNET).detect_faces(images)
    for mine, theirs in zip(found, YuNetDetector("cpu").detect_faces(images), strict=True):
        assert_close(mine, theirs)


def test_bins() -> None:
    sizes = [(64, 64), (640, 480), (64, 96), (64, 64), (480, 640), (2000, 2000)]
    apart = bins(sizes, 0, 2**30)
    assert sorted(bin_.members for bin_ in apart) == [[0, 3], [1], [2], [4], [5]]
    assert not any(bin_.ragged for bin_ in apart)
    some = bins(sizes, 2**17, 2**30)
    assert sorted(bin_.members for bin_ in some) == [[0, 3, 2], [1], [4], [5]]
    [everything] = bins(sizes, 2**40, 2**30)
    assert sorted(everything.members) == list(range(6)) and everything.shape == (2048, 2048)
    for most in (1, 2**13, 2**19):
        found = bins(sizes * 5, 2**20, most)
        assert sorted(i for bin_ in found for i in bin_.members) == list(range(30))
        for bin_ in found:
            height, width = bin_.shape
            assert len(bin_.members) == 1 or len(bin_.members) * height * width <= most
            assert all(sizes[i % 6][0] <= height and sizes[i % 6][1] <= width for i in bin_.members)
    assert bins([], 5, 5) == []


@given(
    sizes=st.lists(
        st.tuples(st.sampled_from([64, 128, 320]), st.sampled_from([64, 192])),
        min_size=1,
        max_size=9,
    ),
    step=st.sampled_from([0, 1, 20_000, 200_000]),
    pixels=st.sampled_from([1, 40_960, 163_840, 10**7]),
)
def test_no_other_partition_costs_less(
    sizes: list[tuple[int, int]], step: int, pixels: int
) -> None:
    """Of the kinds, in order, into runs that are one kind or one batch each."""
    kinds = sorted(set(sizes))
    costs = [
        sum(run_cost(sizes, kinds[a:b], step, pixels) for a, b in pairwise([0, *cuts, len(kinds)]))
        for count in range(len(kinds))
        for cuts in combinations(range(1, len(kinds)), count)
    ]
    found = bins(sizes, step, pixels)
    spent = sum(len(one.members) * math.prod(one.shape) for one in found)
    spent += step * len({frozenset(sizes[i] for i in one.members) for one in found})
    assert spent == min(costs)
    for one in found:
        assert one.ragged == any(sizes[i] != one.shape for i in one.members)


def run_cost(sizes: list[Size], run: list[Size], step: int, pixels: int) -> float:
    """What it costs that these kinds go together."""
    area = max(height for height, _ in run) * max(width for _, width in run)
    area *= sum(size in run for size in sizes)
    return math.inf if len(run) > 1 and (step == 0 or area > pixels) else area + step


def test_opencv_runs_yunet_only_on_a_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    weight(YUNET)
    assert YuNetDetector("cpu").network is None
    monkeypatch.setattr(yunet, "runs_on_cpu", lambda device: False)
    assert isinstance(YuNetDetector("cpu").network, YuNet)


def test_memory_that_is_too_small_for_a_ragged_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    """The network halves it; each part has its own edges."""
    detector = in_torch(CENTERFACE)
    images = [of_size(97 + 32 * n, 257 - 32 * n) for n in range(5)]
    expected = detector.detect_faces(images)
    assert sum(map(len, expected)) > 2
    module = detector.detector.network.network.module  # type: ignore[attr-defined]
    forward, tried = module.forward, []

    def limited(x: Tensor, **arguments: Any) -> Any:
        tried.append(len(x))
        if len(x) > 2:
            raise torch.cuda.OutOfMemoryError("out of memory")
        return forward(x, **arguments)

    monkeypatch.setattr(module, "forward", limited)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    for mine, theirs in zip(detector.detect_faces(images), expected, strict=True):
        assert_close(mine, theirs)
    assert tried == [5, 2, 2, 1]


@pytest.mark.parametrize("stride", [1, 8, 32])
def test_the_cells_beyond_a_picture_are_those_just_below_and_right(stride: int) -> None:
    sizes, shape = [(96, 160), (33, 160), (96, 70), (5, 9), (64, 96)], (96, 160)
    height, width = (side // stride for side in shape)
    numbers = np.arange(len(sizes) * height * width).reshape(-1, height, width)
    expected: list[int] = []
    for cells, (h, w) in zip(numbers, sizes, strict=True):
        row, column = -(-h // stride), -(-w // stride)
        expected += [*cells[row : row + 1].ravel(), *cells[:, column : column + 1].ravel()]
    assert sorted(cells_beyond(sizes, shape, stride)) == sorted(expected)
