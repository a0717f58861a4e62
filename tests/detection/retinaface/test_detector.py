"""RetinaFace of the package retina-face: stand-in weights of the published layout."""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy
from inspect import signature
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from deepface.detection.canvas import Canvas
from deepface.detection.retinaface.base import anchor_grid
from deepface.detection.retinaface.detector import ResNet50V2Layers, RetinaFaceDetector, keras_order
from deepface.detection.retinaface.frame import Placement
from deepface.runtime.weights.checkpoints import load_into
from deepface.runtime.weights.keras_h5 import read_state_dict
from deepface.types import FacialAreaRegion, Image
from tests.data import package_pictures, read
from tests.detection.retinaface.test_pytorch import rows as network_rows
from tests.goldens import networks as reference
from tests.laws import same_regions

#: At which the stand-in network finds some dozen faces; its scores are all about one half.
THRESHOLD = 0.6


@pytest.fixture(scope="module", autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A weights folder with the 118 MB file."""
    home = tmp_path_factory.mktemp("home")
    folder = home / ".deepface" / "weights"
    folder.mkdir(parents=True)
    reference.write_pth("retinaface", folder / "retinaface.pth")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DEEPFACE_HOME", str(home))
        yield
    (folder / "retinaface.pth").unlink()


@pytest.fixture(scope="module")
def detector() -> RetinaFaceDetector:
    return RetinaFaceDetector("cpu", threshold=THRESHOLD)


@pytest.fixture(scope="module")
def strip() -> Image:
    """Low and wide, so that the network's input is small."""
    street = read(package_pictures()[2])
    return np.ascontiguousarray(cv2.resize(street, (810, 1080))[540:590, :700])


def test_batches_on_a_device_are_of_few_sizes(strip: Image) -> None:
    from tests.standin import Standin

    with Standin():
        there = RetinaFaceDetector("cuda", threshold=THRESHOLD)
    canvases = [Canvas.with_border(strip, 0.0)] * 13
    views = [there.view(canvas) for canvas in canvases]
    there.step = 6 * views[0].shape[0] * views[0].shape[1]
    parts = [part.members for part in there.plan(canvases, views)]
    assert [len(part) for part in parts] == [4, 4, 4, 1]
    assert [member for part in parts for member in part] == list(range(13))


def test_order_of_the_keras_file() -> None:
    layers = reference.LAYOUTS["retinaface"]["layers"]
    assert keras_order() == [layer["pth"] for layer in layers]


@torch.inference_mode()
def test_the_nine_maps(detector: RetinaFaceDetector) -> None:
    x, maps = reference.golden("retinaface")
    height, width = x.shape[1:3]
    bgr = torch.from_numpy(np.ascontiguousarray(x[..., ::-1])).permute(0, 3, 1, 2)
    frame = Placement.none((height, width))
    found = detector.network.module(bgr, frame, True)
    start = 0
    count = len(x)
    for stride, (classes, boxes, points) in zip(
        (8, 16, 32), reversed(list(zip(*[iter(maps)] * 3, strict=True))), strict=True
    ):
        rows, columns = -(-height // stride), -(-width // stride)
        stop = start + 2 * rows * columns
        level = found[:, start:stop].reshape(count, rows, columns, 2, 15)
        probabilities = torch.cat([(-level[..., 0]).sigmoid(), level[..., 0].sigmoid()], -1)
        for ours, expected in (
            (probabilities, classes),
            (level[..., 1:5], boxes),
            (level[..., 5:], points),
        ):
            np.testing.assert_allclose(reference.kept(ours.numpy()), expected, atol=1e-5)
        start = stop
    assert start == found.shape[1]


@pytest.mark.heavy
def test_the_keras_file_gives_the_same_tensors(tmp_path: Path) -> None:
    path = reference.write_h5("retinaface", tmp_path / "retinaface.h5")
    with torch.device("meta"):
        layers = ResNet50V2Layers()
    load_into(layers, read_state_dict(layers, path, keras_order()), path)
    own, expected = layers.state_dict(), reference.state_dict("retinaface")
    assert own.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(own[name], value, err_msg=name)
    path.unlink()


@pytest.mark.parametrize(
    ("height", "width", "expected"),
    [
        (720, 1280, (1024, 1820, 1024 / 720)),
        (250, 250, (1024, 1024, 1024 / 250)),
        (3000, 2000, (1536, 1024, 1024 / 2000)),
        (1000, 300, (1980, 594, 1.98)),
        (1024, 1024, (1024, 1024, 1.0)),
        (1934, 1000, (1980, 1024, 1.024)),  # 1980.4 pixels round to what is allowed
        (1935, 1000, (1980, 1023, 1980 / 1935)),
    ],
)
def test_size_of_the_input(
    detector: RetinaFaceDetector, height: int, width: int, expected: tuple[int, int, float]
) -> None:
    view = detector.view(Canvas(np.zeros((height, width, 3), np.uint8)))
    assert (*view.shape, view.scale) == expected


def test_pixels_are_opencvs(detector: RetinaFaceDetector, strip: Image) -> None:
    for canvas in (Canvas(strip), Canvas.with_border(strip, 0.5)):
        view = detector.view(canvas)
        scale = view.scale
        expected = cv2.resize(canvas.pixels(), None, fx=scale, fy=scale)
        assert expected.shape[:2] == view.shape
        rows, columns = view.frame.rows, view.frame.columns
        np.testing.assert_array_equal(detector.host_input(canvas, view), expected[rows, columns])
        outside = np.ones(view.shape, bool)
        outside[rows, columns] = False
        assert not expected[outside].any()


def original(
    rows: NDArray[np.float32], shape: tuple[int, int], scale: float, threshold: float
) -> list[tuple[float, list[int], NDArray[np.float32]]]:
    """What the package does with a picture's numbers: score, corners, landmarks; best first."""
    base = {8: (32, 16), 16: (128, 64), 32: (512, 256)}
    anchors = [
        (stride * x + 7.5, stride * y + 7.5, side)
        for stride, sides in base.items()
        for y in range(-(-shape[0] // stride))
        for x in range(-(-shape[1] // stride))
        for side in sides
    ]
    found = []
    for (x, y, side), (logit, dx, dy, dw, dh, *points) in zip(anchors, rows, strict=True):
        score = np.float32(1) / (np.float32(1) + np.exp(-logit))
        if score < np.float32(threshold):
            continue
        x0, y0 = dx * float(side) + x, dy * float(side) + y
        w, h = float(np.exp(dw)) * side, float(np.exp(dh)) * side
        box = [x0 - 0.5 * (w - 1), y0 - 0.5 * (h - 1), x0 + 0.5 * (w - 1), y0 + 0.5 * (h - 1)]
        limits = (shape[1] - 1, shape[0] - 1) * 2
        box = [max(min(v, limit), 0) / scale for v, limit in zip(box, limits, strict=True)]
        place = np.array(points, np.float64).reshape(5, 2) * side + (x, y)
        found.append(
            (logit, score, np.array(box, np.float32), place.astype(np.float32) / np.float32(scale))
        )
    found.sort(key=lambda face: -face[0])
    kept: list[Any] = []
    for face in found:
        x1, y1, x2, y2 = face[2]
        for other in kept:
            a1, b1, a2, b2 = other[2]
            width = max(0, min(x2, a2) - max(x1, a1) + 1)
            height = max(0, min(y2, b2) - max(y1, b1) + 1)
            union = (x2 - x1 + 1) * (y2 - y1 + 1) + (a2 - a1 + 1) * (b2 - b1 + 1)
            if width * height / (union - width * height) >= np.float32(0.4):
                break
        else:
            kept.append(face)
    return [(float(score), box.astype(int).tolist(), points) for _, score, box, points in kept]


def random_rows(count: int, shape: tuple[int, int]) -> Tensor:
    anchors = len(anchor_grid(RetinaFaceDetector.anchors, shape, torch.device("cpu")))
    generator = torch.Generator().manual_seed(7)
    rows = torch.randn(count, anchors, 15, generator=generator) * 0.3
    rows[..., 0] = rows[..., 0] * 3 + 1
    return rows


def assert_equal_to_the_original(
    found: list[FacialAreaRegion], rows: Tensor, shape: tuple[int, int], scale: float
) -> None:
    expected = original(rows.numpy(), shape, scale, 0.9)
    assert len(found) == len(expected) > 20
    for face, (score, corners, points) in zip(found, expected, strict=True):
        assert face.confidence == pytest.approx(score, abs=1e-6)
        assert [face.x, face.y, face.x + face.w, face.y + face.h] == corners
        ints = points.astype(int).tolist()
        named = (face.right_eye, face.left_eye, face.nose, face.mouth_right, face.mouth_left)
        assert [list(point or ()) for point in named] == ints
        np.testing.assert_allclose(np.array(face.five_points), points, rtol=1e-6)


@pytest.mark.parametrize("together", [True, False])
def test_decoding_and_suppression_are_the_packages(
    detector: RetinaFaceDetector, together: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = Canvas(np.zeros((5, 700, 3), np.uint8))
    view = detector.view(line)
    rows = random_rows(3, view.shape)
    surer = copy(detector)
    surer.threshold = 0.9
    left = iter([rows] if together else torch.split(rows, 1))
    monkeypatch.setattr(detector.network.module, "forward", lambda *_, **__: next(left))
    batches = [[line] * 3] if together else [[line]] * 3
    faces = [found for batch in batches for found in surer.detect_canvases(batch)]
    for one, row in zip(faces, rows, strict=True):
        assert_equal_to_the_original(one, row, view.shape, view.scale)


def test_the_threshold_is_that_of_the_published_library() -> None:
    assert signature(RetinaFaceDetector).parameters["threshold"].default == 0.9


def test_switches_change_no_face(detector: RetinaFaceDetector, strip: Image) -> None:
    off = copy(detector)
    off.cache_anchors, off.device_preprocessing, off.device_postprocessing = False, True, False
    images = [strip, np.ascontiguousarray(strip[:, ::-1])]
    expected = detector.detect_faces(images)
    assert all(len(faces) >= 5 for faces in expected)
    for found, wanted in zip(off.detect_faces(images), expected, strict=True):
        same_regions(found, wanted)


def test_scaling_on_the_device_is_opencvs(detector: RetinaFaceDetector, strip: Image) -> None:
    for canvas in (Canvas(strip), Canvas.with_border(strip, 0.5)):
        view = detector.view(canvas)
        tables = [torch.from_numpy(table) for table in detector.tables(canvas, view, 1)]
        pixels = detector.device_input(torch.from_numpy(strip)[None], canvas, view, tables)
        expected = detector.host_input(canvas, view)
        assert pixels.dtype == torch.uint8
        np.testing.assert_array_equal(pixels[0].permute(1, 2, 0).numpy(), expected)


def test_the_border_is_seen_as_if_it_were_there(detector: RetinaFaceDetector, strip: Image) -> None:
    canvas = Canvas.with_border(np.ascontiguousarray(strip[:, :360]), 0.5)
    (found,) = detector.detect_canvases([canvas])
    (expected,) = detector.detect_canvases([Canvas(canvas.pixels())])
    assert len(found) >= 5
    same_regions(found, expected)


@pytest.mark.parametrize(("size", "smallest"), [(None, True), (16, True), (20, False), (48, False)])
def test_min_face_size_is_in_pixels_of_the_picture(
    detector: RetinaFaceDetector, strip: Image, size: float | None, smallest: bool
) -> None:
    """The strip is scaled by 2.83: 48 pixels of the input are 17 of the picture."""
    coarse = copy(detector)
    coarse.min_face_size = size
    view = coarse.view(Canvas(strip))
    assert view.scale == pytest.approx(2.83, abs=0.01)
    assert view.smallest == smallest


def test_without_stride_8_the_rest_is_the_same(detector: RetinaFaceDetector, strip: Image) -> None:
    coarse = copy(detector)
    coarse.min_face_size = 48
    whole, rest = (network_rows(found, Canvas(strip)) for found in (detector, coarse))
    height, width = detector.view(Canvas(strip)).shape
    finest = 2 * -(-height // 8) * -(-width // 8)
    assert rest.shape[1] == whole.shape[1] - finest
    torch.testing.assert_close(rest, whole[:, finest:])


def test_a_line_of_pixels(detector: RetinaFaceDetector) -> None:
    line = np.zeros((1, 5000, 3), np.uint8)
    assert detector.detect_faces([line]) == [[]]


@pytest.mark.parametrize("size", [(1, 10_000), (10_000, 1)])
@pytest.mark.parametrize("there", [False, True])
def test_a_line_whose_width_rounds_to_nothing(size: tuple[int, int], there: bool) -> None:
    detector = RetinaFaceDetector("cpu", threshold=0.999, device_preprocessing=there)
    assert detector.detect_faces([np.full((*size, 3), 127, np.uint8)]) == [[]]
