"""No picture is too small, too narrow or too long, for any detector, border, alignment or box."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from deepface import DeepFace
from deepface.cropping import alignment, landmarks
from deepface.detection.detector import Detector
from deepface.detection.registry import DETECTORS
from deepface.errors import MissingPackageError, WeightsError
from deepface.pipeline import FacePipeline
from deepface.types import FIVE_POINTS, FacialAreaRegion
from tests.images.pictures import picture
from tests.stand_ins import ColorModel, cached

SIZES = [
    *((1, 1), (1, 2), (2, 1), (3, 3), (1, 31), (1, 500), (500, 1), (641, 1), (31, 33)),
    *((1, 1300), (1, 10_000), (10_000, 1), (2, 10_000)),
]


@pytest.fixture(params=DETECTORS.entries)
def detector(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    try:
        DETECTORS.build(name)
    except (MissingPackageError, WeightsError) as error:
        pytest.skip(str(error).splitlines()[0])
    return name


@pytest.mark.parametrize("border", [0, 0.5])
def test_any_size_for_any_detector(detector: str, border: float) -> None:
    images = [picture(*size) for size in SIZES]
    for align in (True, False) if border else (True,):
        find = FacePipeline(detector, enforce_detection=False, border=border, align=align)
        for size, faces in zip(SIZES, find(images), strict=True):
            for face in faces:
                assert face["face"].size, (size, border, align)


Points = list[tuple[float, float]]
Box = tuple[int, int, int, int]


def _spread(box: Box) -> Points:
    x, y, w, h = box
    places = [(0.3, 0.3), (0.7, 0.35), (0.5, 0.5), (0.3, 0.7), (0.7, 0.7)]
    return [(x + across * w, y + down * h) for across, down in places]


#: Where a detector that errs may see the landmarks of a box.
LANDMARKS: dict[str, Callable[[Box], Points]] = {
    "in their places": _spread,
    "all in one": lambda box: [(box[0], box[1])] * 5,
    "almost in one": lambda box: [(box[0] + i * 1e-7, box[1]) for i in range(5)],
    "far apart": lambda box: [(box[0] + (-1) ** i * 1e6, box[1] + i) for i in range(5)],
    "far away": lambda box: [(x + 1e6, y) for x, y in _spread(box)],
    "upside down": lambda box: _spread(box)[::-1],
}


class Odd(Detector):
    """Sees faces everywhere."""

    name = "odd"
    landmarks = 5

    def __init__(self, points: Callable[[Box], Points], eyes: bool) -> None:
        super().__init__()
        self._points, self._eyes = points, eyes

    def _detect_one(self, canvas: Any) -> list[FacialAreaRegion]:
        height, width = canvas.image.shape[:2]
        left, top = canvas.left, canvas.top
        boxes: list[Box] = [
            (left, top, width, height),
            (0, 0, canvas.width, canvas.height),
            (left - 5, top - 7, width + 9, height + 20),
            (left + width // 2, top + height // 2, 0, 0),
            (left, top, width, 0),
            (left, top, -3, -2),
            (canvas.width + 5, canvas.height + 5, 10, 10),
            (-50, -50, 10, 10),
            (left + width - 1, top + height - 1, 2, 2),
            (left, top, 1, height),
        ]
        return [self._face(box) for box in boxes]

    def _face(self, box: Box) -> FacialAreaRegion:
        points = self._points(box)
        whole = [(int(x), int(y)) for x, y in points]
        named: dict[str, Any] = dict(zip(FIVE_POINTS, whole, strict=True)) if self._eyes else {}
        return FacialAreaRegion(*box, confidence=0.9, five_points=tuple(points), **named)


@pytest.fixture
def models() -> Iterator[None]:
    with (
        cached("facial_recognition", "Facenet", ColorModel()),  # cuts a box with a margin
        cached("facial_recognition", "ArcFace", ColorModel()),  # cuts by a template
    ):
        yield


@pytest.mark.parametrize("where", LANDMARKS)
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("eyes", [True, False])
def test_any_box_of_any_size(where: str, dtype: Any, eyes: bool, models: None) -> None:
    images = [picture(*size).astype(dtype) for size in SIZES]
    with cached("face_detector", "odd", Odd(LANDMARKS[where], eyes)):
        for border, expand in ((0, 0), (0.5, 50), (2, 400)):
            settings: dict[str, Any] = {"border": border, "expand_percentage": expand}
            for align in (True, False):
                for faces in FacePipeline("odd", align=align, **settings)(images):
                    assert faces
                    assert all(face["face"].size for face in faces)
            for model in ("Facenet", "ArcFace"):
                embed = FacePipeline("odd", model, align="landmarks", return_face=True, **settings)
                for faces in embed(images):
                    assert all(np.isfinite(face["face"]).all() for face in faces)


@pytest.mark.parametrize("size", [(1, 40_000), (40_000, 1), (3, 70_000)])
def test_longer_than_opencv_turns(size: tuple[int, int], models: None) -> None:
    """Pictures within the limits have sides that OpenCV's warps refuse."""
    with cached("face_detector", "odd", Odd(_spread, eyes=True)):
        image = picture(*size)
        assert DeepFace.extract_faces(image, "odd", border=0)
        for model in ("Facenet", "ArcFace"):
            assert FacePipeline("odd", model, align="landmarks", border=0)(image)
    matrix, angle = alignment.rotation_wrt_eyes((9, alignment.LONGEST + 1), (5, 5), (1, 2))
    assert (matrix, angle) == (None, 0.0)


def test_a_long_picture_is_cut_as_any_other() -> None:
    """Only the part around a face is turned."""
    image = picture(300, 400)
    template = landmarks.Template(tuple((20.0 * i, 3.0 * i * i) for i in range(5)), (112, 96))
    faces = []
    for scale in (0.3, 1, 1.7, 5):
        for x, y in ((150, 100), (-30, 280), (395, -20)):
            points = tuple((x + 20 * i * scale, y + 3.1 * i * i * scale) for i in range(5))
            faces.append(FacialAreaRegion(0, 0, 1, 1, five_points=points))
    expected = template.crops([image] * len(faces), faces)
    long = np.pad(image, ((0, alignment.LONGEST), (0, 0), (0, 0)))  # as what is outside
    for found, whole in zip(template.crops([long] * len(faces), faces), expected, strict=True):
        np.testing.assert_array_equal(found, whole)


def test_landmarks_apart_take_no_memory() -> None:
    """A face as wide as a country is black: nothing of its size is made."""
    image: NDArray[np.uint8] = picture(40, 30)
    template = landmarks.Template(tuple((20.0 * i, 3.0 * i * i) for i in range(5)), (112, 112))
    for reach in (1e3, 1e5, 1e9, 1e15):
        points = tuple((reach * i, reach * math.sin(i)) for i in range(5))
        (crop,) = template.crops([image], [FacialAreaRegion(0, 0, 1, 1, five_points=points)])
        assert crop.shape == (112, 112, 3)


@pytest.mark.parametrize("size", SIZES)
def test_liveness_of_any_size(size: tuple[int, int]) -> None:
    try:
        faces = DeepFace.extract_faces(picture(*size), "skip", anti_spoofing=True)
    except WeightsError as error:
        pytest.skip(str(error).splitlines()[0])
    assert 0 <= faces[0]["antispoof_score"] <= 1
