"""CenterFace: maps with known faces, the authors' rule, a made network, what is published."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from deepface import DeepFace
from deepface.detection.centerface import CenterFaceDetector, decode
from deepface.errors import WeightsError
from tests.data import photo, weight

Array = NDArray[Any]


def maps(height: int, width: int) -> tuple[Array, Array, Array, Array]:
    """Heat, log size, offset and landmarks of a picture without faces."""
    heat, log_size, offset, landmarks = (
        np.zeros((channels, height, width), np.float32) for channels in (1, 2, 2, 10)
    )
    return heat, log_size, offset, landmarks


def put(outputs: tuple[Array, ...], y: int, x: int, score: float, box: tuple[int, int]) -> None:
    """A face at a cell, ``box`` high and wide, with points at tenths of the box."""
    heat, log_size, offset, landmarks = outputs
    heat[0, y, x] = score
    log_size[:, y, x] = np.log(np.array(box) / 4)
    offset[:, y, x] = (0.25, -0.5)
    landmarks[:, y, x] = np.arange(10) / 10


def test_one_face() -> None:
    outputs = maps(16, 24)
    put(outputs, 8, 10, 0.8, (20, 12))
    boxes, points, scores = decode(*outputs, threshold=0.35)
    # Centre: y = (8 + 0.25 + 0.5) * 4 = 35, x = (10 - 0.5 + 0.5) * 4 = 40.
    np.testing.assert_allclose(boxes, [[34, 25, 46, 45]], atol=1e-4)
    expected = [[34 + 12 * (2 * i + 1) / 10, 25 + 20 * 2 * i / 10] for i in range(5)]
    np.testing.assert_allclose(points, [expected], atol=1e-4)
    assert scores.tolist() == [np.float32(0.8)]


def test_faces_are_clipped_suppressed_and_sorted() -> None:
    outputs = maps(16, 24)
    put(outputs, 0, 0, 0.5, (20, 20))  # reaches out on the upper left
    put(outputs, 15, 23, 0.6, (20, 20))  # and on the lower right
    put(outputs, 8, 10, 0.7, (20, 20))
    put(outputs, 8, 11, 0.9, (20, 20))  # 4 px further: the same face, surer
    put(outputs, 4, 20, 0.3, (20, 20))  # too weak
    boxes, points, scores = decode(*outputs, threshold=0.35)
    np.testing.assert_allclose(scores, [0.9, 0.6, 0.5])
    np.testing.assert_allclose(boxes[0], [34, 25, 54, 45], atol=1e-4)
    np.testing.assert_allclose(boxes[1], [82, 53, 96, 64], atol=1e-4)
    np.testing.assert_allclose(boxes[2], [0, 0, 20, 20], atol=1e-4)
    np.testing.assert_allclose(points[2][0], [2, 0], atol=1e-4)


def test_no_face() -> None:
    boxes, points, scores = decode(*maps(8, 8), threshold=0.35)
    assert (boxes.shape, points.shape, scores.shape) == ((0, 4), (0, 5, 2), (0,))


def by_cell(outputs: tuple[Array, ...], threshold: float) -> tuple[Array, Array, Array]:
    """The authors' rule, a cell at a time."""
    heat, log_size, offset, places = outputs
    height, width = heat.shape[1] * 4, heat.shape[2] * 4
    found = []
    for y, x in zip(*np.nonzero(heat[0] > threshold), strict=True):
        h, w = np.exp(log_size[:, y, x]) * 4
        y1 = min(max(0, (y + offset[0, y, x] + 0.5) * 4 - h / 2), height)
        x1 = min(max(0, (x + offset[1, y, x] + 0.5) * 4 - w / 2), width)
        box = [x1, y1, min(x1 + w, width), min(y1 + h, height)]
        points = [
            [places[2 * i + 1, y, x] * w + x1, places[2 * i, y, x] * h + y1] for i in range(5)
        ]
        found.append((heat[0, y, x], box, points))
    found.sort(key=lambda face: -face[0])
    kept: list[Any] = []
    for face in found:
        if all(overlap(face[1], other[1]) < 0.3 for other in kept):
            kept.append(face)
    scores, boxes, landmarks = (np.array(part, np.float32) for part in zip(*kept, strict=True))
    return boxes, landmarks, scores


def overlap(a: list[float], b: list[float]) -> float:
    """Intersection over union, where the last pixel counts."""
    w = max(0, min(a[2], b[2]) - max(a[0], b[0]) + 1)
    h = max(0, min(a[3], b[3]) - max(a[1], b[1]) + 1)
    areas = [(box[2] - box[0] + 1) * (box[3] - box[1] + 1) for box in (a, b)]
    return w * h / (sum(areas) - w * h)


def test_equal_to_the_authors_rule() -> None:
    random = np.random.default_rng(3)
    outputs = tuple(
        random.uniform(low, high, (channels, 24, 31)).astype(np.float32)
        for channels, low, high in ((1, 0, 1), (2, 0.5, 2.5), (2, -0.5, 0.5), (10, 0, 1))
    )
    heat, log_size, offset, landmarks = outputs
    found, expected = decode(heat, log_size, offset, landmarks, 0.35), by_cell(outputs, 0.35)
    assert 30 < len(expected[2]) < 480
    for part, wanted in zip(found, expected, strict=True):
        np.testing.assert_allclose(part, wanted, rtol=1e-6, atol=1e-4)


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A home whose network fires where a picture is red, with the published inputs and outputs."""
    onnx = pytest.importorskip("onnx", reason="needs onnx to make a network: pip install onnx")
    nodes, constants = [], []
    red = np.zeros((1, 3, 4, 4), np.float32)
    red[0, 0] = 1 / (16 * 255)  # RGB: the first channel
    for name, channels, weights, bias in (
        ("537", 1, red, [0.0]),
        ("538", 2, None, np.log([10.3, 5.3])),
        ("539", 2, None, [0.0, 0.0]),
        ("540", 10, None, [0.2, 0.1, 0.2, 0.9, 0.5, 0.5, 0.8, 0.2, 0.8, 0.8]),
    ):
        if weights is None:
            weights = np.zeros((channels, 3, 4, 4), np.float32)
        inputs = [f"weight{name}", f"bias{name}"]
        for key, value in zip(inputs, (weights, bias), strict=True):
            constants.append(onnx.numpy_helper.from_array(np.asarray(value, np.float32), key))
        nodes.append(onnx.helper.make_node("Conv", ["input.1", *inputs], [name], strides=[4, 4]))

    def described(name: str, shape: list[int]) -> Any:
        return onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)

    graph = onnx.helper.make_graph(
        nodes,
        "red",
        [described("input.1", [1, 3, 32, 32])],
        [described(n, [1, c, 8, 8]) for n, c in zip(_NAMES, (1, 2, 2, 10), strict=True)],
        constants,
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 11)])
    model.ir_version = 7
    folder = tmp_path / ".deepface" / "weights"
    folder.mkdir(parents=True)
    onnx.save(model, str(folder / "centerface.onnx"))
    monkeypatch.setenv("DEEPFACE_HOME", str(tmp_path))
    return folder


_NAMES = ("537", "538", "539", "540")


def test_from_picture_to_face(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    picture = np.zeros((64, 48, 3), np.uint8)  # the network sees 64 x 64: x is stretched by 4/3
    picture[32:36, 24:27, 2] = 200  # one cell at y = 8, x = 8, red
    picture[8:12, 6:9, 0] = 255  # blue does not count
    detector = CenterFaceDetector()
    other = np.zeros((30, 70, 3), np.uint8)
    faces, none, again = detector.detect_faces([picture, other, picture])
    assert none == [] and faces == again
    [face] = faces
    # 41.2 high and 21.2 wide around (34, 34), thus from (23.4, 13.4), in 64 x 64.
    assert (face.x, face.y, face.w, face.h) == (17, 13, 15, 41)
    assert face.right_eye == (int((23.4 + 21.2 * 0.1) * 0.75), int(13.4 + 41.2 * 0.2))
    assert face.left_eye == (int((23.4 + 21.2 * 0.9) * 0.75), int(13.4 + 41.2 * 0.2))
    # Three columns stretched to four: the outer ones are an eighth black.
    assert face.confidence == pytest.approx(200 * (3.75 / 4) / 255, abs=1e-3)
    assert face.five_points is not None
    np.testing.assert_allclose(face.five_points[2], (34 * 0.75, 34), atol=1e-3)
    assert face.nose is None

    monkeypatch.setenv("CENTERFACE_THRESHOLD", "0.9")
    assert detector.detect_faces([picture]) == [[]]


def test_missing_weights(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DEEPFACE_HOME", str(tmp_path))
    with pytest.raises(WeightsError, match=r"centerface\.onnx"):
        CenterFaceDetector()


@pytest.fixture(scope="module")
def detector() -> CenterFaceDetector:
    weight("centerface.onnx")
    return CenterFaceDetector()


#: What the published library's detector finds in the photographs (version 0.0.103, OpenCV 4.14):
#: x, y, w, h, left eye, right eye, confidence.
GOLDEN = json.loads(Path(__file__).with_name("golden_centerface.json").read_text())
#: Those that are quick: under half a megapixel, and every other shape.
QUICK = ("img11.jpg", "img16.jpg", "img17.jpg", "img25.jpg", "img44.jpg", "selfie-many-people.jpg")


def assert_as_published(detector: CenterFaceDetector, names: Iterable[str]) -> None:
    for name in names:
        (found,), expected = detector.detect_faces([photo(name)]), GOLDEN[name]
        assert len(found) == len(expected), name
        for face, (*numbers, confidence) in zip(found, expected, strict=True):
            assert face.left_eye and face.right_eye
            got = [face.x, face.y, face.w, face.h, *face.left_eye, *face.right_eye]
            np.testing.assert_allclose(got, numbers, atol=1, err_msg=name)
            assert face.confidence == pytest.approx(confidence, abs=1e-3), name


def test_goldens(detector: CenterFaceDetector) -> None:
    assert_as_published(detector, QUICK)


@pytest.mark.heavy
def test_all_goldens(detector: CenterFaceDetector) -> None:
    assert_as_published(detector, GOLDEN)


@pytest.mark.parametrize(
    ("name", "box", "confidence"),
    [("img17.jpg", (365, 94, 225, 292), 0.93), ("img2.jpg", (554, 157, 454, 552), 0.98)],
)
def test_published_with_alignment(
    detector: CenterFaceDetector, name: str, box: tuple[int, ...], confidence: float
) -> None:
    faces: Any = DeepFace.extract_faces(photo(name), detector_backend="centerface", align=True)
    [face] = faces
    assert tuple(face["facial_area"][key] for key in "xywh") == box
    assert face["confidence"] == confidence
