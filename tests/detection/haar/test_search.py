"""The cascades in PyTorch: equal to OpenCV's, window by window, whatever they are batched with."""

from __future__ import annotations

import errno
import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.profiler import ProfilerActivity, profile

from deepface.detection.canvas import Canvas
from deepface.detection.haar import cascade
from deepface.detection.haar import search as haar
from deepface.detection.haar.atlas import Pictures, View, atlases, resampled
from deepface.detection.haar.cascade import Cascade, cascade_path, compiled_cascade
from deepface.detection.haar.cascade_file import read_cascade
from deepface.detection.haar.grouping import Hits, components, group, group_each
from deepface.detection.haar.opencv import OpenCvDetector, find_eyes, runs
from deepface.detection.haar.search import HaarSearch
from deepface.detection.haar.stages import Stages
from deepface.errors import MissingPackageError, WeightsError
from deepface.types import Image
from tests import laws
from tests.data import data, package_pictures
from tests.detection.haar.test_opencv import by_opencv, rows, shrunk

FACES, EYES = "haarcascade_frontalface_default.xml", "haarcascade_eye.xml"
CPU = torch.device("cpu")


@cache
def search(file: str) -> HaarSearch:
    return HaarSearch(file, CPU)


@cache
def pictures() -> list[Image]:
    """A portrait, two men, a street, all small and of odd sizes."""
    portrait, several, street = package_pictures()
    return [shrunk(portrait, 151), shrunk(several, 317)[:, 3:], shrunk(street, 201)[1:]]


def whole(images: list[Image]) -> list[View]:
    return [View(i, 0, 0, image.shape[1], image.shape[0]) for i, image in enumerate(images)]


def sorted_hits(hits: Hits) -> Hits:
    """In one order: OpenCV's threads tell of windows as they find them."""
    order = np.lexsort([*hits.boxes.T, hits.weights])
    return Hits(hits.boxes[order], hits.weights[order])


def assert_equal(found: Hits, expected: Hits) -> None:
    np.testing.assert_array_equal(found.boxes, expected.boxes)
    np.testing.assert_array_equal(found.weights, expected.weights)


@pytest.mark.parametrize(
    ("file", "window", "features"), [(FACES, 24, [9, 16, 27]), (EYES, 20, [6, 12, 9])]
)
def test_cascades_are_such_that_nothing_is_rounded(
    file: str, window: int, features: list[int]
) -> None:
    cascade = read_cascade(cascade_path(file))
    assert cascade.window == window
    assert [len(stage.splits) for stage in cascade.stages[:3]] == features
    for stage in cascade.stages:
        # Features are sums of whole numbers that float32 holds in any order of adding.
        assert (stage.kernels == stage.kernels.round()).all()
        assert np.abs(stage.kernels).sum(axis=(1, 2)).max() * 255 < 2**24
        # Votes are multiples of 2**-44, and their sums are below 2**9: 53 bits.
        votes = np.concatenate([stage.left, stage.right, stage.left - stage.right])
        assert (votes * 2**44 == (votes * 2**44).round()).all()
        assert np.maximum(abs(stage.left), abs(stage.right)).sum() < 2**8


def test_a_file_that_is_no_haar_cascade(tmp_path: Path) -> None:
    path = tmp_path / "other.xml"
    path.write_text("<?xml version='1.0'?><opencv_storage><a>1</a></opencv_storage>")
    with pytest.raises(WeightsError, match="no Haar cascade"):
        read_cascade(path)


def made_cascade(path: Path) -> str:
    """Stages whose features vote one or nothing, and whose threshold is two votes exactly."""
    draw = np.random.default_rng(0)
    features, stages = "", ""
    for stage in range(3):
        trees = ""
        for feature in range(4 * stage, 4 * stage + 4):
            x, y, half, height = draw.integers(1, [8, 8, 6, 12]).tolist()
            rects = f"<_>{x} {y} {2 * half} {height} -1.</_><_>{x} {y} {half} {height} 2.</_>"
            features += f"<_><rects>{rects}</rects><tilted>0</tilted></_>"
            node = f"<internalNodes>0 -1 {feature} 0.</internalNodes>"
            trees += f"<_>{node}<leafValues>1. 0.</leafValues></_>"
        # From this threshold OpenCV takes 1e-5 away, in 32 bits.
        stages += (
            "<_><maxWeakCount>4</maxWeakCount><stageThreshold>2.00001001</stageThreshold>"
            f"<weakClassifiers>{trees}</weakClassifiers></_>"
        )
    path.write_text(
        '<?xml version="1.0"?><opencv_storage><cascade type_id="opencv-cascade-classifier">'
        "<stageType>BOOST</stageType><featureType>HAAR</featureType><height>20</height>"
        "<width>20</width><stageParams><maxWeakCount>4</maxWeakCount></stageParams>"
        "<featureParams><maxCatCount>0</maxCatCount></featureParams><stageNum>3</stageNum>"
        f"<stages>{stages}</stages><features>{features}</features></cascade></opencv_storage>"
    )
    return str(path)


def test_votes_that_are_exactly_a_threshold_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In each stage, in OpenCV, in numba and in PyTorch."""
    monkeypatch.setattr(cascade, "check_by_trial", lambda *_: None)  # a process of its own
    file = made_cascade(tmp_path / "made.xml")
    assert {stage.threshold for stage in read_cascade(Path(file)).stages} == {2.0}
    image = pictures()[2][20:100, 30:120]
    canvas = Canvas.with_border(image, 0)
    monkeypatch.setenv("DEEPFACE_HAAR", "opencv")
    expected = Cascade(file).search(canvas)
    assert (expected.weights == 2).sum() > 100 < (expected.weights > 2).sum()
    (found,) = HaarSearch(file, CPU).find(Pictures([image], CPU), whole([image]))
    assert_equal(found, group(expected, canvas.shape))
    assert len(found.boxes)
    pytest.importorskip("numba", reason='needs pip install "deepface[haar]"')
    monkeypatch.setenv("DEEPFACE_HAAR", "numba")
    compiled = Cascade(file).search(canvas)
    assert_equal(sorted_hits(compiled), sorted_hits(expected))


@pytest.mark.parametrize("border", [0.0, 0.07, 0.5])
def test_equal_to_opencv(border: float) -> None:
    canvases = [Canvas.with_border(image, border) for image in pictures()]
    views = [View(i, -c.left, -c.top, c.width, c.height) for i, c in enumerate(canvases)]
    found = search(FACES).find(Pictures(pictures(), CPU), views)
    cascade = Cascade(FACES)
    for candidates, canvas in zip(found, canvases, strict=True):
        assert_equal(candidates, group(cascade.search(canvas), canvas.shape))
    assert sum(len(candidates.boxes) for candidates in found) >= 2


def test_memory_limits_change_nothing() -> None:
    held = Pictures(pictures(), CPU)
    expected = search(FACES).find(held, whole(pictures()))
    small = HaarSearch(FACES, CPU)
    small.pixels, small.height = 40_000, 100
    for found, wanted in zip(small.find(held, whole(pictures())), expected, strict=True):
        assert_equal(found, wanted)
    cascade = read_cascade(cascade_path(FACES))
    passing = 0
    for atlas in atlases(held, whole(pictures()), cascade.window, 1 << 24, resampled):
        parts, at_once = (Stages(cascade, CPU, size).passing(atlas) for size in (0, 1 << 28))
        assert all(map(torch.equal, parts, at_once))
        passing += len(parts[0])
    assert passing
    shapes = [(100, 100, 3), (100, 100, 3), (1, 1, 3), (300, 300, 3)]
    assert list(runs(shapes, 20_000)) == [slice(0, 2), slice(2, 3), slice(3, 4)]


class Full:
    """A device whose memory holds no atlas of more than ``most`` pixels."""

    def __init__(self, most: int) -> None:
        self.most, self.failures = most, 0

    def __call__(self, gray: Any, rows: Any, columns: Any, strips: Any, offsets: Any) -> Any:
        if rows.shape[1] * len(strips) > self.most:
            self.failures += 1
            raise torch.OutOfMemoryError("no room")
        return resampled(gray, rows, columns, strips, offsets)


def test_out_of_memory_halves_and_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    held = Pictures(pictures(), CPU)
    expected = search(FACES).find(held, whole(pictures()))
    small, full = HaarSearch(FACES, CPU), Full(200_000)
    small.pixels, small.least_pixels, small.height = 640_000, 40_000, 200
    monkeypatch.setattr(Stages, "resampled", full)
    for _ in range(2):
        for found, wanted in zip(small.find(held, whole(pictures())), expected, strict=True):
            assert_equal(found, wanted)
    assert full.failures == 2, "the second call knows"
    assert small.pixels == 160_000
    full.most = 0
    with pytest.raises(torch.OutOfMemoryError):
        small.find(held, whole(pictures()))
    assert small.pixels <= 40_000


def test_atlases_that_fit_into_free_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    free = 80 << 30
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free, free))
    assert haar.pixels_that_fit(torch.device("cuda", 0)) == 1 << 26
    free = 8 << 30
    assert 1 << 24 < haar.pixels_that_fit(torch.device("cuda", 0)) < 1 << 25
    free = 0
    assert haar.pixels_that_fit(torch.device("cuda", 0)) == 1 << 20


def test_the_number_of_operations_does_not_grow_with_the_pictures() -> None:
    counts = []
    for times in (1, 6):
        images = pictures()[:1] * times
        with profile(activities=[ProfilerActivity.CPU]) as profiled:
            search(FACES).find(Pictures(images, CPU), whole(images))
        counts.append({event.key: event.count for event in profiled.key_averages()})
    one, six = (sum(count.values()) for count in counts)
    assert six < 1.1 * one
    assert counts[1]["aten::nonzero"] < 40, "where the host waits for the device"


@pytest.mark.parametrize("seed", range(3))
def test_grouping(seed: int) -> None:
    generator = np.random.default_rng(seed)
    shapes = [(150, 200), (150, 200), (400, 90), (50, 50)]
    centres = generator.integers(0, 120, (12, 3))
    picked = centres[generator.integers(0, 12, 700)] + generator.integers(-4, 5, (700, 3))
    boxes = np.stack([picked[:, 0], picked[:, 1], *(abs(picked[:, 2]) + 9,) * 2], axis=1)
    weights, owners = generator.normal(size=700), generator.integers(0, 3, 700)
    found = group_each(owners, Hits(boxes, weights), shapes)
    assert len(found) == 4
    for view, (candidates, shape) in enumerate(zip(found, shapes, strict=True)):
        mine = owners == view
        assert_equal(candidates, group(Hits(boxes[mine], weights[mine]), shape))
    assert sum(len(candidates.boxes) for candidates in found) > 3
    assert len(found[3].boxes) == 0


@pytest.mark.parametrize("away", [0, 8000, 1 << 16])
@pytest.mark.parametrize("together", [2048, 7])
def test_components(together: int, away: int) -> None:
    """As the definition says, one pair after the other, in 64-bit floats."""
    generator = np.random.default_rng(1)
    places = generator.integers(0, 90, (6, 3))[generator.integers(0, 6, 120)]
    x, y, size = (places + generator.integers(-9, 10, (120, 3))).T
    boxes = np.stack([x + away, y, *(abs(size) + 5,) * 2], axis=1)
    boxes[::10, 1] += away  # one group becomes two, far from each other
    labels = list(range(120))
    for i, a in enumerate(boxes.tolist()):
        for j, b in enumerate(boxes[:i].tolist()):
            ends = [(a[k] - b[k], a[k] + a[k + 2] - b[k] - b[k + 2]) for k in (0, 1)]
            if max(abs(n) for pair in ends for n in pair) <= 0.2 * min(a[2], b[2]):
                labels = [labels[j] if label == labels[i] else label for label in labels]
    found = [set(members.tolist()) for members in components(boxes, together, 3 * together)]
    expected = [{i for i in range(120) if labels[i] == label} for label in dict.fromkeys(labels)]
    assert found == expected and 1 < len(found) < 120


@pytest.fixture(params=["torch", "numba"])
def forced(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> OpenCvDetector:
    if request.param == "numba":
        pytest.importorskip("numba", reason='needs pip install "deepface[haar]"')
    monkeypatch.setenv("DEEPFACE_HAAR", request.param)
    return OpenCvDetector("cpu")


def test_detector(forced: OpenCvDetector, monkeypatch: pytest.MonkeyPatch) -> None:
    portrait = shrunk(package_pictures()[0], 301)
    canvases = [Canvas.with_border(image, 0.5) for image in [portrait, *pictures()[1:]]]
    found = forced.detect_canvases(canvases)
    monkeypatch.setenv("DEEPFACE_HAAR", "opencv")
    assert [rows(faces) for faces in found] == [
        rows(faces) for faces in forced.detect_canvases(canvases)
    ]
    assert found[0][0].left_eye is not None


def test_eyes(forced: OpenCvDetector, monkeypatch: pytest.MonkeyPatch) -> None:
    portrait = shrunk(package_pictures()[0], 301)
    crops = [portrait[20:140, 90:220], portrait[25:125, 100:200], portrait[:, ::-1]]
    crops += [np.zeros((40, 0, 3), np.uint8), np.zeros((3, 5, 3), np.uint8), portrait[20:40, 3:23]]
    found = find_eyes(crops, "cpu")
    monkeypatch.setenv("DEEPFACE_HAAR", "opencv")
    assert found == find_eyes(crops)
    assert found[0] != (None, None)
    assert found[3:5] == [(None, None)] * 2


def test_without_numba_opencv_searches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "deepface.detection.haar.compiled", None)
    compiled_cascade.cache_clear()
    monkeypatch.delenv("DEEPFACE_HAAR", raising=False)
    try:
        assert Cascade(FACES).compiled is None
        assert OpenCvDetector("cpu").detect_faces(shrunk(package_pictures()[0], 301))
        monkeypatch.setenv("DEEPFACE_HAAR", "numba")  # who asks for it is told
        with pytest.raises(MissingPackageError, match="pip install"):
            OpenCvDetector("cpu").detect_faces(shrunk(package_pictures()[0], 301))
    finally:
        compiled_cascade.cache_clear()


@pytest.mark.parametrize("fails", ["at import", "when called"])
def test_opencv_searches_for_every_thread_where_numba_has_no_cache(
    fails: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No folder that it may write to, as in containers, or a full disk."""
    numba = pytest.importorskip("numba", reason='needs pip install "deepface[haar]"')

    def njit(**_: Any) -> Any:
        def refuse(*_: Any) -> Any:
            time.sleep(0.05)  # the other threads are here by now
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        return refuse if fails == "at import" else lambda function: refuse

    name = "deepface.detection.haar.compiled"
    monkeypatch.setattr(numba, "njit", njit)
    monkeypatch.setattr(sys.modules["deepface.detection.haar"], "compiled", None, raising=False)
    monkeypatch.setitem(sys.modules, name, None)
    del sys.modules[name]
    monkeypatch.delenv("DEEPFACE_HAAR", raising=False)
    compiled_cascade.cache_clear()
    canvas = Canvas.with_border(shrunk(package_pictures()[0], 301), 0.5)
    together = threading.Barrier(4)

    def search(_: int) -> Any:
        together.wait()
        hits = sorted_hits(Cascade(FACES).search(canvas))
        return hits.boxes.tolist(), hits.weights.tolist()

    try:
        with ThreadPoolExecutor(4) as pool:
            found = list(pool.map(search, range(4)))
        monkeypatch.setenv("DEEPFACE_HAAR", "opencv")
        expected = sorted_hits(Cascade(FACES).search(canvas))
        assert len(expected.boxes)
        assert found == [(expected.boxes.tolist(), expected.weights.tolist())] * 4
    finally:
        compiled_cascade.cache_clear()


@pytest.mark.parametrize("implementation", ["torch", "numba", "opencv"])
def test_tensors(implementation: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEEPFACE_HAAR", implementation)
    detector = OpenCvDetector("cpu")
    images = [shrunk(package_pictures()[0], 301), pictures()[2]]
    tensors = [torch.from_numpy(image) for image in images]
    found, expected = (
        detector.detect_canvases([Canvas.with_border(image, 0.5) for image in some])
        for some in (tensors, images)
    )
    assert [rows(faces) for faces in found] == [rows(faces) for faces in expected]
    assert found[0]
    crops = [(slice(20, 140), slice(90, 220)), (slice(5, 5), slice(0, 9))]
    eyes = find_eyes([tensors[0][crop] for crop in crops], "cpu")
    assert eyes == find_eyes([images[0][crop] for crop in crops], "cpu")
    assert eyes[0] != (None, None)


@pytest.mark.parametrize("shape", [(1, 1), (23, 300), (24, 24), (25, 49), (300, 24)])
def test_tiny_pictures(
    forced: OpenCvDetector, shape: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3)).astype(np.uint8)
    found = rows(forced.detect_faces(image))  # type: ignore[arg-type]
    monkeypatch.setenv("DEEPFACE_HAAR", "opencv")
    assert found == rows(forced.detect_faces(image))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "law",
    [laws.single_equals_any_batch, laws.permutation_permutes, laws.duplicates_are_equal],
)
def test_laws(forced: OpenCvDetector, law: Any) -> None:
    portrait, several, _ = pictures()
    mirrored = np.ascontiguousarray(portrait[:, ::-1])
    law(forced.detect_faces, [portrait, several[:, :170], mirrored], laws.same_regions)


def test_no_pictures_and_two_threads(forced: OpenCvDetector) -> None:
    laws.empty_gives_nothing(forced.detect_faces)
    laws.threads_agree(forced.detect_faces, pictures()[:1], laws.same_regions)


@pytest.mark.heavy
@pytest.mark.parametrize("border", [0.0, 0.5])
def test_crowds(border: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each picture with a border or without; every third of them in PyTorch, which is slow here."""
    files = sorted(data("images", "crowd").glob("*.jpg"))[border > 0 :: 2]
    canvases = [Canvas.with_border(shrunk(path, 511), border) for path in files]
    expected = [by_opencv(canvas.pixels()) for canvas in canvases]
    assert sum(map(len, expected)) > 1.7 * len(files)
    ways = [("opencv", 1), ("torch", 3)]
    ways += [("numba", 1)] if find_spec("numba") else []
    for implementation, every in ways:
        monkeypatch.setenv("DEEPFACE_HAAR", implementation)
        found = OpenCvDetector("cpu").detect_canvases(canvases[::every])
        assert [sorted(rows(faces), key=str) for faces in found] == expected[::every]


@pytest.mark.gpu
def test_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    detector = OpenCvDetector("cuda")
    canvases = [
        Canvas.with_border(shrunk(path, longest), border)
        for path, longest, border in zip(
            package_pictures(), (301, 640, 301), (0.5, 0, 0.5), strict=True
        )
    ]
    monkeypatch.setenv("DEEPFACE_HAAR", "torch")
    found = [rows(faces) for faces in detector.detect_canvases(canvases)]
    monkeypatch.setenv("DEEPFACE_HAAR", "opencv")
    assert found == [rows(faces) for faces in detector.detect_canvases(canvases)]
    assert sum(map(len, found)) >= 3
