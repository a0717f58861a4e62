"""The opencv detector: equal to ``detectMultiScale3``, in a fixed order, errors said aloud."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from deepface.detection.canvas import Canvas
from deepface.detection.haar import cascade
from deepface.detection.haar.opencv import OpenCvDetector, find_eyes
from deepface.errors import MissingPackageError
from deepface.types import FacialAreaRegion, Image
from tests.data import golden, package_pictures, read
from tests.detection.goldens import SMALL, all_names, assert_as_published

FOLDER = Path(cv2.__file__).parent / "data"
FACES = cv2.CascadeClassifier(str(FOLDER / "haarcascade_frontalface_default.xml"))
EYES = cv2.CascadeClassifier(str(FOLDER / "haarcascade_eye.xml"))


@pytest.fixture(scope="module")
def detector() -> OpenCvDetector:
    return OpenCvDetector()


@pytest.fixture
def threads() -> Iterator[None]:
    """Puts OpenCV's number of threads back."""
    before = cv2.getNumThreads()
    yield
    cv2.setNumThreads(before)


def shrunk(path: Path, longest: int) -> Image:
    image = read(path)
    factor = longest / max(image.shape[:2])
    return cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)  # type: ignore[return-value]


@pytest.fixture(scope="module")
def pictures() -> list[Image]:
    """A portrait, two men, a street; odd sizes, for the last row and column of each level."""
    portrait, several, street = package_pictures()
    return [shrunk(portrait, 301), shrunk(several, 637)[:, 3:], shrunk(street, 501)[1:]]


def by_opencv(image: Image) -> list[tuple[Any, ...]]:
    """Boxes, eyes and confidence by OpenCV's own loop over scales, as the published library."""
    found = []
    boxes, _, weights = FACES.detectMultiScale3(image, 1.1, 10, outputRejectLevels=True)
    for (x, y, w, h), weight in zip(boxes, weights, strict=True):
        left, right = eyes_by_opencv(image[y : y + h, x : x + w])
        found.append(
            (
                *(int(x), int(y), int(w), int(h)),
                left and (x + left[0], y + left[1]),
                right and (x + right[0], y + right[1]),
                (100 - float(weight)) / 100,
            )
        )
    return sorted(found, key=str)


def eyes_by_opencv(crop: Image) -> tuple[Any, Any]:
    boxes = EYES.detectMultiScale(cv2.cvtColor(crop, cv2.COLOR_BGR2GRAY), 1.1, 10)
    largest = sorted(boxes, key=lambda box: box[2] * box[3], reverse=True)[:2]
    if len(largest) < 2:
        return None, None
    right, left = (
        (int(x + w / 2), int(y + h / 2)) for x, y, w, h in sorted(largest, key=lambda box: box[0])
    )
    return left, right


def rows(faces: list[FacialAreaRegion]) -> list[tuple[Any, ...]]:
    return [(f.x, f.y, f.w, f.h, f.left_eye, f.right_eye, f.confidence) for f in faces]


@pytest.mark.parametrize("border", [0.0, 0.07, 0.5])
def test_equal_to_opencv(detector: OpenCvDetector, pictures: list[Image], border: float) -> None:
    canvases = [Canvas.with_border(picture, border) for picture in pictures]
    found = detector.detect_canvases(canvases)
    assert sum(len(faces) for faces in found) >= 3
    for canvas, faces in zip(canvases, found, strict=True):
        assert sorted(rows(faces), key=str) == by_opencv(canvas.pixels())


@pytest.mark.parametrize("align", [True, False])
def test_goldens(align: bool) -> None:
    assert_as_published("opencv", SMALL, align, in_order=False)


@pytest.mark.heavy
@pytest.mark.parametrize("align", [True, False])
def test_all_goldens(align: bool) -> None:
    """Each picture in one of the two ways: what differs between them is done by no detector.

    But for those that ``test_golden_opencv.py`` looks at, in both, and two large ones beside
    which there are others as large.
    """
    others = {*golden("opencv.json")["images"], "img40", "img41"}
    names = [name for name in all_names() if name.removesuffix(".jpg") not in others]
    assert_as_published("opencv", names[align::2], align, in_order=False)


@pytest.mark.parametrize("shape", [(1, 1), (23, 300), (24, 24), (25, 49)])
def test_tiny_pictures(detector: OpenCvDetector, shape: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3)).astype(np.uint8)
    assert rows(detector.detect_faces(image)) == by_opencv(image)  # type: ignore[arg-type]


def heads(pictures: list[Image], sizes: tuple[int, ...]) -> Image:
    """The portrait's head, side by side in several sizes."""
    head = pictures[0][0:150, 60:210]
    wall = np.zeros((max(sizes), sum(sizes), 3), np.uint8)
    for size, left in zip(sizes, np.cumsum((0, *sizes)), strict=False):
        wall[:size, left : left + size] = cv2.resize(head, (size, size))
    return wall


def test_surest_first_on_any_number_of_threads(
    detector: OpenCvDetector, pictures: list[Image], threads: None
) -> None:
    wall = heads(pictures, (130, 150, 170, 110))
    results = []
    for count in (1, 2, 5):
        cv2.setNumThreads(count)
        results.append(rows(detector.detect_faces(wall)))  # type: ignore[arg-type]
        results.append(rows(detector.detect_faces([wall] * 6)[5]))
    assert len(results[0]) == 4
    assert all(result == results[0] for result in results)
    confidences = [row[-1] for row in results[0]]
    assert confidences == sorted(confidences)


def test_a_list_of_mixed_sizes_keeps_its_order(
    detector: OpenCvDetector, pictures: list[Image]
) -> None:
    walls = [heads(pictures, sizes) for sizes in ((130,), (110, 150), (170,), (100,))]
    assert [len(faces) for faces in detector.detect_faces(walls)] == [1, 2, 1, 1]
    found = detector.detect_faces(walls)
    assert [rows(faces) for faces in found] == [
        rows(detector.detect_faces([wall])[0]) for wall in walls
    ]


def test_find_eyes(detector: OpenCvDetector, pictures: list[Image]) -> None:
    crops = [
        picture[face.y : face.y + face.h, face.x : face.x + face.w]
        for picture in pictures
        for face in detector.detect_faces(picture)
        if isinstance(face, FacialAreaRegion)
    ]
    crops += [pictures[0], np.zeros((40, 0, 3), np.uint8), np.zeros((3, 5, 3), np.uint8)]
    eyes = find_eyes(crops)
    assert eyes == [find_eyes([crop])[0] for crop in crops]
    assert eyes[:-2] == [eyes_by_opencv(crop) for crop in crops[:-2]]
    assert eyes[-2:] == [(None, None)] * 2
    assert find_eyes([]) == []
    pairs = [(left, right) for left, right in eyes if left and right]
    assert pairs
    assert all(left[0] > right[0] for left, right in pairs)


def test_eyes_of_one_size(
    pictures: list[Image], threads: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of several pairs, that is taken which OpenCV finds first on one thread."""
    wall = heads(pictures, (160, 160))
    crops = [wall, np.ascontiguousarray(wall[:, ::-1]), np.concatenate([wall, wall])]
    cv2.setNumThreads(1)
    expected = [eyes_by_opencv(crop) for crop in crops]
    assert all(left and right for left, right in expected)
    for implementation, count in (
        ("torch", 1),
        ("numba", 2),
        ("opencv", 1),
        ("opencv", 2),
        ("opencv", 5),
    ):
        cv2.setNumThreads(count)
        monkeypatch.setenv("DEEPFACE_HAAR", implementation)
        assert [find_eyes([crop], "cpu")[0] for crop in crops] == expected


def test_opencv_without_cascades(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(cv2, "CascadeClassifier")
    with pytest.raises(MissingPackageError, match=r'pip install "opencv-python<5"') as caught:
        OpenCvDetector()
    assert isinstance(caught.value, ValueError)
    assert isinstance(caught.value, ImportError)


def test_opencv_without_the_cascade_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """They are taken from the weights folder, and downloaded into it, then."""
    monkeypatch.setattr("cv2.data.haarcascades", str(tmp_path))
    monkeypatch.setattr(cascade, "ensure_weight", lambda file: FOLDER / file.name)
    assert cascade.Cascade("haarcascade_eye.xml").window == 20
    monkeypatch.delattr(cv2, "data")
    assert cascade.Cascade("haarcascade_frontalface_default.xml").window == 24


#: Half of the threads make the others' process import torch, which takes a second.
COLD = """
import sys, threading
from concurrent.futures import ThreadPoolExecutor
from deepface import DeepFace

together = threading.Barrier(8)

def find(number):
    together.wait()
    faces = DeepFace.extract_faces(sys.argv[1], "opencv" if number % 2 else "mtcnn", "empty")
    return [[face["facial_area"] for face in faces], [face["face"].sum() for face in faces]]

with ThreadPoolExecutor(8) as pool:
    found = list(pool.map(find, range(8)))
together = threading.Barrier(1)
assert found == [find(0), find(1)] * 4, found
"""


def test_threads_that_begin_together_in_a_fresh_process(tmp_path: Path) -> None:
    picture = tmp_path / "a.png"
    assert cv2.imwrite(str(picture), shrunk(package_pictures()[0], 301))
    done = subprocess.run(
        [sys.executable, "-c", COLD, str(picture)], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
