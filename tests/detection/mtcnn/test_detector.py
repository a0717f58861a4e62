"""MTCNN: weights, the pyramid without its border, crops, and the packages' own results."""

from __future__ import annotations

import importlib.util
import json
import pickle
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from io import BytesIO
from itertools import cycle
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch.nn import functional

from deepface.detection.canvas import Canvas
from deepface.detection.detector import Detector
from deepface.detection.mtcnn import pyramid
from deepface.detection.mtcnn.axes import (
    AveragedRows,
    Axis,
    exact_axis,
    whole_axis,
    windows_of,
)
from deepface.detection.mtcnn.crops import AreaCrops, BilinearCrops
from deepface.detection.mtcnn.detector import Candidates, FastMtcnnDetector, MtcnnDetector
from deepface.detection.mtcnn.networks import WINDOW, ArrayListReader, PNet, read_weights
from deepface.detection.mtcnn.pyramid import MEAN, SCALE, averaged, shrunk, transposed
from deepface.detection.ragged import RaggedEdges, cells_beyond
from deepface.errors import MissingPackageError
from deepface.types import FacialAreaRegion, Image
from tests.data import DATA, data, golden, package_pictures, photo, read
from tests.interpreted import interpreted

BOTH = pytest.mark.parametrize("name", ["mtcnn", "fastmtcnn"])


@cache
def detector(name: str) -> Detector:
    return {"mtcnn": MtcnnDetector, "fastmtcnn": FastMtcnnDetector}[name](device="cpu")


@cache
def pictures() -> list[Image]:
    """A portrait, two and four people, and a crop with odd sides; small, for speed."""
    found = []
    for path, width in zip(package_pictures(), (256, 400, 300), strict=True):
        image = read(path)
        size = (width, round(width * image.shape[0] / image.shape[1]))
        found.append(np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8))
    return [*found, np.ascontiguousarray(found[0][:173, 31:222])]


def assert_same(found: Sequence[FacialAreaRegion], expected: Sequence[FacialAreaRegion]) -> None:
    assert len(found) == len(expected)
    for face, wanted in zip(found, expected, strict=True):
        assert (face.x, face.y, face.w, face.h) == (wanted.x, wanted.y, wanted.w, wanted.h)
        assert (face.left_eye, face.right_eye) == (wanted.left_eye, wanted.right_eye)
        assert face.confidence == pytest.approx(wanted.confidence, abs=1e-6)
        np.testing.assert_allclose(
            np.array(face.five_points), np.array(wanted.five_points), atol=1e-3
        )


def test_weights_need_neither_the_package_nor_tensorflow() -> None:
    code = (
        "import sys; from deepface.detection.mtcnn.detector import MtcnnDetector;"
        "MtcnnDetector('cpu');"
        "bad = {'mtcnn', 'tensorflow', 'keras', 'joblib', 'facenet_pytorch'} & set(sys.modules);"
        "sys.exit(str(bad) if bad else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_weight_file_cannot_run_anything() -> None:
    class Harmful:
        def __reduce__(self) -> tuple[Any, ...]:
            return print, ("run",)

    source = BytesIO(pickle.dumps([Harmful()]))
    with pytest.raises(pickle.UnpicklingError, match=r"builtins\.print"):
        ArrayListReader(source).load()


def test_missing_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingPackageError, match="pip install mtcnn") as caught:
        read_weights("pnet")
    assert isinstance(caught.value, ImportError)
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize("size", [(12, 12), (13, 12), (12, 15), (16, 17)])
def test_black_is_no_face(size: tuple[int, int]) -> None:
    """Windows of the border alone, also those over the edge, need not be looked at."""
    network = PNet.loaded().eval()
    with torch.inference_mode():
        logits = network(torch.full((1, 3, *size), -127.5 / 128))[..., 0]
    assert logits.sigmoid().max() < 0.01


@pytest.mark.parametrize("level", [37, 60, 95])
def test_levels_are_the_area_resize(level: int) -> None:
    image = pictures()[0][:96, :96]
    stack = torch.from_numpy(image)[None].float()

    exact = exact_axis(96, 0, 96, level)
    ours = averaged(transposed(averaged(transposed(stack), exact)), exact)[0]
    theirs = cv2.resize(image.astype(np.float32), (level, level), interpolation=cv2.INTER_AREA)
    np.testing.assert_allclose(ours, theirs, atol=0.02)

    whole = whole_axis(96, 0, 96, level)
    ours = averaged(transposed(averaged(transposed(stack), whole)), whole)
    pooled = functional.interpolate(stack.permute(0, 3, 1, 2), (level, level), mode="area")
    torch.testing.assert_close(ours, pooled.permute(0, 2, 3, 1), atol=1e-3, rtol=0)


@pytest.mark.parametrize("axis", [exact_axis, whole_axis])
@pytest.mark.parametrize(("size", "level"), [(100, 117), (101, 50), (40, 31), (3, 12)])
def test_a_cut_is_part_of_the_level(axis: Any, size: int, level: int) -> None:
    """The cut level equals the same rows of the padded picture's, and all others are black."""
    border = size // 2
    picture = torch.rand((1, size, 5, 3)) * 255
    padded = functional.pad(picture, (0, 0, 0, 0, border, border))
    length = size + 2 * border
    level = min(level, length)
    if level < WINDOW:
        length, padded = 12, functional.pad(picture, (0, 0, 0, 0, 4, 12 - 4 - size))
        border, level = 4, 12
    part, full = axis(length, border, size, level), axis(length, 0, length, level)
    ours, whole = averaged(picture, part), averaged(padded, full)
    assert part.first % 2 == 0
    end = part.first + ours.shape[1]
    torch.testing.assert_close(ours, whole[:, part.first : end], atol=1e-3, rtol=0)
    # Whatever is left out lies further from the picture than a window reaches.
    light = whole[0].amax((1, 2)).nonzero()
    assert part.first == 0 or light.min() >= part.first + WINDOW - 2
    assert end == level or light.max() < end - WINDOW + 2


def rows(arrays: AveragedRows) -> AveragedRows:
    return AveragedRows(*map(torch.from_numpy, vars(arrays).values()))


@pytest.mark.parametrize("axis", [exact_axis, whole_axis])
def test_levels_by_kernels(axis: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are the operators'; bit for bit where no sum is rounded: of pairs and of fours."""
    kernels = interpreted("deepface.detection.mtcnn.kernels", monkeypatch)
    stack = torch.randint(0, 256, (3, 48, 96, 3), generator=torch.Generator().manual_seed(1))
    stack = stack.to(torch.uint8)
    sizes = [(48, 96), (37, 64), (20, 31)]
    axes: list[tuple[list[Axis | None], list[Axis | None]]] = [
        (
            [axis(2 * w, w // 2, w, int(1.2 * w)) for _, w in sizes],
            [axis(h, 0, h, h // 2 + 3) for h, _ in sizes],
        ),
        ([axis(96, 0, 96, 48), None, None], [axis(48, 0, 48, 12), None, None]),
    ]
    both = [
        (rows(AveragedRows.of(across, 96)), rows(AveragedRows.of(down, 48, SCALE)))
        for across, down in axes
    ]
    expected = list(shrunk(stack, both))
    monkeypatch.setattr(pyramid, "level_kernels", lambda device: kernels)
    found = list(shrunk(stack, both))
    torch.testing.assert_close(found[0], expected[0], atol=1e-6, rtol=0)
    assert torch.equal(found[1], expected[1])
    assert (found[1][1:] == -MEAN).all()


@BOTH
@pytest.mark.parametrize("border", [0.5, 0.3])
def test_leaving_out_the_border_changes_nothing(name: str, border: float) -> None:
    """The main claim: the canvas with a black border gives what the padded picture gives."""
    canvases = [Canvas.with_border(image, border) for image in pictures()]
    found = detector(name).detect_canvases(canvases)
    padded = detector(name).detect_canvases([Canvas(canvas.pixels()) for canvas in canvases])
    assert [len(faces) > 0 for faces in found] == [True] * len(canvases)
    for faces, expected in zip(found, padded, strict=True):
        assert_same(faces, expected)


def test_bilinear_crops_spelled_out() -> None:
    image = pictures()[1]
    canvas = Canvas.with_border(image, 0.1)
    height, width = canvas.shape
    pixels = canvas.pixels().astype(np.float64)
    boxes = np.array(
        [[60.3, 40.8, 151.2, 131.7], [-20.0, -9.5, 30.0, 40.5], [380.0, 150, 500, 270]]
    )
    crops = BilinearCrops([torch.from_numpy(image)], torch.tensor(BilinearCrops.facts([canvas])))
    ours = crops.cut(torch.zeros(3, dtype=torch.int64), torch.from_numpy(boxes), 24).numpy()
    for box, crop in zip(boxes, ours, strict=True):
        x1, y1, x2, y2 = box / [width, height, width, height]
        for row in (0, 7, 23):
            for column in (0, 12, 23):
                y = (y1 + (y2 - y1) * row / 23) * (height - 1)
                x = (x1 + (x2 - x1) * column / 23) * (width - 1)
                expected = np.zeros(3)
                if 0 <= y <= height - 1 and 0 <= x <= width - 1:
                    top, left = int(y), int(x)
                    down, right = min(top + 1, height - 1), min(left + 1, width - 1)
                    above = pixels[top, left] * (left + 1 - x) + pixels[top, right] * (x - left)
                    below = pixels[down, left] * (left + 1 - x) + pixels[down, right] * (x - left)
                    expected = (above * (top + 1 - y) + below * (y - top) - 127.5) / 128
                np.testing.assert_allclose(crop[:, row, column], expected, atol=1e-4)


def test_area_crops_spelled_out() -> None:
    images = pictures()[:2]
    canvases = [Canvas.with_border(image, 0.1) for image in images]
    boxes = np.array(
        [[60.3, 40.8, 151.2, 131.7], [-20.0, -9.5, 30.0, 40.5], [9.0, 8.0, 15.0, 14.9]]
    )
    facts = torch.tensor(AreaCrops.facts(canvases))
    crops = AreaCrops([torch.from_numpy(image) for image in images], facts)
    image = torch.tensor([1, 0, 1])
    ours = crops.cut(image, torch.from_numpy(boxes), 24)
    for position, box, crop in zip(image.tolist(), boxes, ours, strict=True):
        padded = torch.from_numpy(canvases[position].pixels()).permute(2, 0, 1)[None].float()
        x1, y1, x2, y2 = box.astype(int)
        part = padded[:, :, max(y1, 1) - 1 : y2, max(x1, 1) - 1 : x2]
        expected = (functional.interpolate(part, (24, 24), mode="area")[0] - 127.5) / 128
        torch.testing.assert_close(crop, expected, atol=1e-5, rtol=0)


@BOTH
def test_nothing_to_find(name: str) -> None:
    """Pictures too small for a face, without area, and all black, between pictures with faces."""
    portrait = pictures()[0]
    shapes = [(1, 1), (10, 300), (19, 19), (20, 20), (25, 300), (0, 40), (300, 200)]
    odd = [np.zeros((*shape, 3), np.uint8) for shape in shapes]
    found = detector(name).detect_faces([portrait, *odd, portrait])
    assert found[1:-1] == [[]] * len(odd)
    assert len(found[0]) == 1
    assert_same(found[-1], found[0])
    for border in (0.0, 0.5):
        assert detector(name).detect_canvases([Canvas.with_border(odd[0], border)]) == [[]]


@BOTH
def test_of_two_faces_one_in_the_other_the_surer_one_stays(name: str) -> None:
    """However small the inner one is: at the end, overlap is a share of the smaller box.

    In MTCNN as facenet-pytorch has it, boxes include the pixels that they end at: of the last one,
    three of four columns lie in the first one, and else two of three.
    """
    boxes = torch.tensor(
        [[10.0, 10, 110, 110], [40, 40, 60, 60], [200, 200, 230, 230], [108, 40, 111, 60]]
    )
    logits = torch.tensor([3.0, 2, 1, 0])
    found = Candidates(torch.zeros(4, dtype=torch.long), boxes, logits, boxes)
    cascade = detector(name)
    assert isinstance(cascade, MtcnnDetector | FastMtcnnDetector)
    assert cascade.rank(found).tolist() == [0, 2, 3][: 2 if name == "fastmtcnn" else 3]


@BOTH
def test_neighbours_and_strips_change_nothing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    images = [*pictures(), pictures()[0][:, ::-1].copy(), pictures()[0]]
    canvases = [Canvas.with_border(image, 0.5) for image in images]
    singles = [detector(name).detect_canvases([canvas])[0] for canvas in canvases]
    together = detector(name).detect_canvases(canvases)
    monkeypatch.setattr(detector(name), "level_pixels", 20_000)  # many strips per level
    in_strips = detector(name).detect_canvases(canvases)
    assert sum(map(len, singles)) > len(canvases)
    for single, member, strip in zip(singles, together, in_strips, strict=True):
        assert_same(member, single)
        assert_same(strip, single)


@BOTH
def test_faces_are_the_persons_own_way_round(name: str) -> None:
    (face,) = detector(name).detect_faces([pictures()[0]])[0]
    assert face.left_eye and face.right_eye and face.five_points
    right_eye, left_eye, nose, mouth_right, mouth_left = face.five_points
    assert face.left_eye[0] > face.right_eye[0]
    assert left_eye[0] > nose[0] > right_eye[0]
    assert mouth_left[0] > mouth_right[0]
    assert mouth_left[1] > nose[1] > left_eye[1]
    assert abs(left_eye[0] - face.left_eye[0]) < 1
    assert {type(v) for v in (face.x, face.w, face.left_eye[1])} == {int}
    assert face.nose is None  # as published: only the eyes are in the result


def _in_picture(canvas: Canvas, face: FacialAreaRegion) -> tuple[list[int], float]:
    """Box as ``extract_faces`` reports it, and the eyes, and the confidence."""
    height, width = canvas.image.shape[:2]
    left, top = max(0, face.x) - canvas.left, max(0, face.y) - canvas.top
    right, bottom = min(canvas.width, face.x + face.w), min(canvas.height, face.y + face.h)
    x, y = max(0, left), max(0, top)
    w = min(width - x - 1, right - canvas.left - left)
    h = min(height - y - 1, bottom - canvas.top - top)
    assert face.left_eye and face.right_eye and face.confidence
    eyes = [
        c - o
        for e in (face.left_eye, face.right_eye)
        for c, o in zip(e, (canvas.left, canvas.top), strict=True)
    ]
    return [x, y, w, h, *eyes], face.confidence


@pytest.mark.heavy
@BOTH
def test_published_results(name: str) -> None:
    """At least 99 % of the published faces, within a pixel; photographs up to 0.8 megapixels.

    Each picture in one of the two ways: what differs between them is done by no detector.
    """
    total = 0
    missing = []
    small = [
        (file, facts)
        for file, facts in golden("detection.json")["images"].items()
        if facts["shape"][0] * facts["shape"][1] <= 0.8e6
    ]
    for (file, facts), border in zip(small, cycle((0.5, 0.0))):
        canvas = Canvas.with_border(photo(file), border)
        found = [_in_picture(canvas, face) for face in detector(name).detect_canvases([canvas])[0]]
        for face in facts[f"{name}/align={border > 0}"]:
            area = face["facial_area"]
            if face["confidence"] == 0:  # no face: the whole picture
                assert not found, file
                continue
            box = [area[key] for key in "xywh"]
            eyes = [c for eye in ("left_eye", "right_eye") for c in area[eye] or (np.nan, np.nan)]
            total += 1
            wanted = np.array(box + eyes, float)
            if not any(
                np.nanmax(np.abs(np.array(values) - wanted)) <= 1
                and abs(round(confidence, 2) - face["confidence"]) < 0.011
                for values, confidence in found
            ):
                missing.append((file, box))
    assert total > 20
    assert len(missing) <= 0.01 * total, missing


def test_what_facenet_pytorch_finds() -> None:
    """All faces within a pixel: photographs and crowds, with and without border, on their side.

    Live, and of all pictures, this is ``make parity``. Numbers: x, y, w, h, right eye, left eye.
    """
    file = Path(__file__).with_name("golden_fastmtcnn.json")
    for key, expected in json.loads(file.read_text()).items():
        name, turned, border = key.split(", ")
        folder = "photos" if (DATA / "images" / "photos" / name).exists() else "crowd"
        image = read(data("images", folder, name))
        if turned == "turned":
            image = np.ascontiguousarray(image.transpose(1, 0, 2))
        canvas = Canvas.with_border(image, float(border.split()[1]))
        found = {
            (f.x, f.y, f.w, f.h, *f.right_eye, *f.left_eye): f.confidence
            for f in detector("fastmtcnn").detect_canvases([canvas])[0]
            if f.right_eye and f.left_eye
        }
        assert len(found) == len(expected), key
        for *numbers, confidence in expected:
            nearest = min(found, key=lambda face: np.abs(np.subtract(face, numbers)).max())
            assert np.abs(np.subtract(nearest, numbers)).max() <= 1, (key, numbers)
            assert found.pop(nearest) == pytest.approx(confidence, abs=1e-3), (key, numbers)


@BOTH
def test_sizes_and_borders_in_one_stack(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a GPU: every remainder of the strides, levels that some pictures lack, strips."""
    portrait = pictures()[0]
    images = [portrait[: 200 - 7 * n, 20 : 200 + 5 * n] for n in range(9)]
    images += [portrait[:30, :25], portrait[:1], portrait[:0], np.zeros((90, 11, 3), np.uint8)]
    canvases = [
        Canvas.with_border(np.ascontiguousarray(image), border)
        for number, image in enumerate(images)
        for border in (0.0, 0.5, 0.3)[number % 2 :]
    ]
    expected = [detector(name).detect_canvases([canvas])[0] for canvas in canvases]
    assert sum(map(len, expected)) > 5
    monkeypatch.setattr(detector(name), "launches", 2**24)
    for pixels in (2**18, 20_000):
        monkeypatch.setattr(detector(name), "level_pixels", pixels)
        for found, wanted in zip(detector(name).detect_canvases(canvases), expected, strict=True):
            assert_same(found, wanted)


@pytest.mark.parametrize("size", [(17, 23), (18, 23), (17, 24), (18, 24), (12, 12), (13, 30)])
def test_windows_at_the_end_of_a_smaller_level(size: tuple[int, int]) -> None:
    """A window that reaches over the edge sees what it sees where the level is alone."""
    network = PNet.loaded().eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    height, width = size
    level = torch.rand((1, 24, 31, 3), generator=torch.Generator().manual_seed(3)) * 2 - 1
    level = level.permute(0, 3, 1, 2)
    cells = torch.from_numpy(cells_beyond([(height - 2, width - 2)], (22, 29), 1))
    rows, columns = windows_of(height), windows_of(width)
    with torch.inference_mode():
        alone = network(level[:, :, :height, :width])
        edges = RaggedEdges([(height - 2, width - 2)], (22, 29), {1: cells})
        inside = network(level, edges)[:, :rows, :columns]
        forgotten = network(level)[:, :rows, :columns]
    torch.testing.assert_close(inside, alone, atol=1e-5, rtol=1e-5)
    odd = height % 2 or width % 2
    assert bool(odd) == (float((forgotten - alone).abs().max()) > 1e-3)
