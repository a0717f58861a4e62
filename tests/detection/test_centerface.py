"""CenterFace: maps with known faces, the authors' rule, its file, what is published."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from deepface import DeepFace
from deepface.detection.canvas import Canvas
from deepface.detection.centerface import CenterFaceDetector, CenterFaceNet, CenterFaceNetwork
from deepface.detection.ragged import Edges
from deepface.errors import WeightsError
from tests.data import photo, weight
from tests.detection.goldens import telling

Array = NDArray[Any]


def maps(height: int, width: int) -> tuple[Array, Array, Array, Array]:
    """Heat, log size, offset and landmarks of a picture without faces."""
    heat, log_size, offset, landmarks = (
        np.zeros((channels, height, width), np.float32) for channels in (1, 2, 2, 10)
    )
    return heat, log_size, offset, landmarks


class Maps(nn.Module):
    """A network that gives these maps, whatever it is shown."""

    def __init__(self, outputs: tuple[Array, ...]) -> None:
        super().__init__()
        heat, *others = (torch.from_numpy(part) for part in outputs)
        self.map = torch.cat([heat.logit(), *others])[None]

    def forward(self, x: torch.Tensor, edges: Edges) -> list[torch.Tensor]:
        return [self.map]


def decode(*outputs: Array, threshold: float) -> tuple[Array, Array, Array]:
    """Boxes, points and scores of the faces in these maps."""
    height, width = outputs[0].shape[1:]
    picture = Canvas(np.zeros((height * 4, width * 4, 3), np.uint8))
    [faces] = CenterFaceNetwork(Maps(outputs), "cpu").detect([picture], threshold)
    rows = np.array(faces, np.float32).reshape(-1, 15)
    return rows[:, 1:5], rows[:, 5:].reshape(-1, 5, 2), rows[:, 0]


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
    np.testing.assert_allclose(scores, [0.8], atol=1e-6)


def test_faces_are_clipped_suppressed_and_sorted() -> None:
    outputs = maps(16, 24)
    put(outputs, 0, 0, 0.5, (20, 20))  # reaches out on the upper left
    put(outputs, 15, 23, 0.6, (20, 20))  # and on the lower right
    put(outputs, 8, 10, 0.7, (20, 20))
    put(outputs, 8, 11, 0.9, (20, 20))  # 4 px further: the same face, surer
    put(outputs, 4, 20, 0.3, (20, 20))  # too weak
    boxes, points, scores = decode(*outputs, threshold=0.35)
    np.testing.assert_allclose(scores, [0.9, 0.6, 0.5], atol=1e-6)
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
        random.uniform(low, high, (channels, 24, 32)).astype(np.float32)
        for channels, low, high in ((1, 0, 1), (2, 0.5, 2.5), (2, -0.5, 0.5), (10, 0, 1))
    )
    heat, log_size, offset, landmarks = outputs
    found = decode(heat, log_size, offset, landmarks, threshold=0.35)
    expected = by_cell(outputs, 0.35)
    assert 30 < len(expected[2]) < 480
    for part, wanted in zip(found, expected, strict=True):
        np.testing.assert_allclose(part, wanted, rtol=1e-5, atol=1e-4)


def test_missing_weights(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DEEPFACE_HOME", str(tmp_path))
    with pytest.raises(WeightsError, match=r"centerface\.onnx"):
        CenterFaceDetector()


@pytest.fixture(scope="module")
def detector() -> CenterFaceDetector:
    weight("centerface.onnx")
    return CenterFaceDetector()


#: What the published library's detector finds in the photographs (version 0.0.103, OpenCV 4.14):
#: x, y, w, h, left eye, right eye, confidence. Of pictures above two megapixels those with the most
#: faces and the one with none.
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
    assert_as_published(detector, telling({name: len(faces) for name, faces in GOLDEN.items()}))


def test_published_with_alignment(detector: CenterFaceDetector) -> None:
    picture = photo("img17.jpg")
    faces: Any = DeepFace.extract_faces(picture, detector_backend="centerface", align=True)
    [face] = faces
    assert tuple(face["facial_area"][key] for key in "xywh") == (365, 94, 225, 292)
    assert face["confidence"] == 0.93


def test_threshold_is_read_at_each_call(
    detector: CenterFaceDetector, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = photo("img17.jpg")
    assert len(detector.detect_faces([picture])[0]) == 1
    monkeypatch.setenv("CENTERFACE_THRESHOLD", "0.95")
    assert detector.detect_faces([picture]) == [[]]


def test_a_file_with_batch_norms_is_the_same_network(tmp_path: Path) -> None:
    """What the authors publish: after each convolution a batch norm, with an epsilon of its own."""
    onnx = pytest.importorskip("onnx", reason="needs onnx to write a file: pip install onnx")
    model = onnx.load(weight("centerface.onnx"))
    graph, random = model.graph, np.random.default_rng(0)
    arrays = {one.name: one for one in graph.initializer}
    nodes = []
    for node in list(graph.node):
        nodes.append(node)
        if node.op_type != "Conv" or node.output[0] in ("538", "539", "540"):
            continue
        kernel, bias = (arrays[name] for name in node.input[1:])
        shift = onnx.numpy_helper.to_array(bias)
        factor, mean, variance = random.uniform(0.5, 2, (3, len(shift))).astype(np.float32)
        epsilon = float(random.uniform(1e-5, 0.1))
        scale = factor / np.sqrt(variance + epsilon)
        values = onnx.numpy_helper.to_array(kernel) / scale[:, None, None, None]
        kernel.CopyFrom(onnx.numpy_helper.from_array(values, kernel.name))
        last, node.output[0] = node.output[0], node.output[0] + "raw"
        del node.input[2]
        names = [f"{last}{part}" for part in ("factor", "shift", "mean", "variance")]
        inner = (factor, shift + mean * scale, mean, variance)
        for name, part in zip(names, inner, strict=True):
            graph.initializer.append(onnx.numpy_helper.from_array(part, name))
        norm = onnx.helper.make_node(
            "BatchNormalization", [node.output[0], *names], [last], epsilon=epsilon
        )
        nodes.append(norm)
    del graph.node[:]
    graph.node.extend(nodes)
    onnx.save(model, str(tmp_path / "norms.onnx"))
    x = torch.from_numpy(photo("img17.jpg")[64:416, 320:640]).permute(2, 0, 1)[None].float()
    with torch.inference_mode():
        [found], [expected] = (
            CenterFaceNet(path).eval()(x, Edges())
            for path in (tmp_path / "norms.onnx", weight("centerface.onnx"))
        )
    assert float(expected[:, 0].max()) > 0  # a face
    torch.testing.assert_close(found, expected, atol=1e-3, rtol=1e-4)


def test_another_network_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = tmp_path / ".deepface" / "weights"
    folder.mkdir(parents=True)
    monkeypatch.setenv("DEEPFACE_HOME", str(tmp_path))
    file = folder / "centerface.onnx"
    whole = weight("centerface.onnx").read_bytes()
    for content in (
        weight("face_detection_yunet_2023mar.onnx").read_bytes(),
        *(whole[: len(whole) // 2], whole[:-1], b"<html>not found</html>" * 9, b"\0", b""),
    ):
        file.write_bytes(content)
        with pytest.raises(WeightsError, match=r"centerface\.onnx"):  # by its hash
            CenterFaceDetector()
        with monkeypatch.context() as patch:
            patch.setenv("DEEPFACE_ALLOW_UNKNOWN_WEIGHTS", "centerface.onnx")
            with pytest.raises(WeightsError, match=r"centerface\.onnx"):  # by what is in it
                CenterFaceDetector()
