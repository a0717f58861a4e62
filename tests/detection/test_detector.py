"""The contract: one image, a list or a 4-D array; exactly one of two methods; checked input."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from deepface import DeepFace
from deepface.detection.canvas import Canvas
from deepface.detection.detector import Detector, face, threshold_from_env
from deepface.detection.registry import DETECTORS
from deepface.errors import DataTypeError, UnimplementedError
from deepface.types import FacialAreaRegion
from tests.stand_ins import cached

PICTURE = np.zeros((20, 30, 3), np.uint8)


class OneByOne(Detector):
    def _detect_one(self, canvas: Canvas) -> list[FacialAreaRegion]:
        return [FacialAreaRegion(0, 0, canvas.width, canvas.height)]


class Batched(Detector):
    def _detect_batch(self, canvases: Sequence[Canvas]) -> list[list[FacialAreaRegion]]:
        return [[FacialAreaRegion(0, 0, c.width, c.height)] for c in canvases]


class Published(Detector):
    """As scripts for the published library write it."""

    def detect_faces(self, img: Any) -> Any:
        assert img.ndim == 3
        return [FacialAreaRegion(0, 0, img.shape[1], img.shape[0])]


@pytest.mark.parametrize("cls", [OneByOne, Batched, Published])
def test_nesting(cls: type[Detector]) -> None:
    face = FacialAreaRegion(0, 0, 30, 20)
    detector = cls()
    assert detector.detect_faces(PICTURE) == [face]
    assert detector.detect_faces([PICTURE]) == [[face]]
    assert detector.detect_faces(np.stack([PICTURE, PICTURE])) == [[face], [face]]
    assert detector.detect_faces([]) == []


class Threaded(OneByOne):
    """Needs two threads: each picture waits for the other one."""

    threads = True

    def __init__(self) -> None:
        super().__init__()
        self.meeting = threading.Barrier(2, timeout=30)

    def _detect_one(self, canvas: Canvas) -> list[FacialAreaRegion]:
        self.meeting.wait()
        return super()._detect_one(canvas)


def test_pictures_of_a_list_are_spread_over_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cv2.getNumThreads", lambda: 2)
    found = Threaded().detect_faces([PICTURE[:, :width] for width in (30, 10, 20, 25)])
    assert [face.w for [face] in found] == [30, 10, 20, 25]
    assert not Threaded.batched


class Kinds(Detector):
    """Notes what each batch is made of."""

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[list[type]] = []

    def _detect_batch(self, canvases: Sequence[Canvas]) -> list[list[FacialAreaRegion]]:
        self.batches.append([type(canvas.image) for canvas in canvases])
        return [[FacialAreaRegion(0, 0, c.width, c.height)] for c in canvases]


@pytest.mark.parametrize("takes_tensors", [False, True])
def test_pictures_on_a_device_among_arrays(takes_tensors: bool) -> None:
    """What takes arrays only is given arrays; the others get each kind apart. The order is kept."""
    detector = Kinds()
    detector.takes_tensors = takes_tensors  # type: ignore[misc]
    there = torch.zeros((7, 9, 3), dtype=torch.uint8)
    found = detector.detect_canvases([Canvas(PICTURE), Canvas(there, 1, 2), Canvas(PICTURE)])
    assert [face.w for [face] in found] == [30, 13, 30]
    array, tensor = np.ndarray, torch.Tensor
    assert detector.batches == ([[array, array], [tensor]] if takes_tensors else [[array] * 3])


def test_which_of_the_two_can_be_asked() -> None:
    assert [OneByOne.batched, Batched.batched, Published.batched] == [False, True, False]


def test_both_or_none_is_an_error() -> None:
    with pytest.raises(TypeError, match="both _detect_batch and _detect_one"):
        type("Both", (Detector,), {"_detect_batch": None, "_detect_one": None})
    with pytest.raises(TypeError, match="neither"):
        type("Nothing", (Detector,), {})().detect_faces(PICTURE)


@pytest.mark.parametrize(
    "image", [PICTURE.astype(float), PICTURE[..., 0], np.zeros((5, 5, 4), np.uint8), "a.jpg"]
)
def test_wrong_input(image: Any) -> None:
    with pytest.raises(DataTypeError, match="BGR uint8 arrays"):
        OneByOne().detect_faces([PICTURE, image])


def test_threshold_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert threshold_from_env("DEEPFACE_TEST_THRESHOLD", 0.5) == 0.5
    monkeypatch.setenv("DEEPFACE_TEST_THRESHOLD", "0.25")
    assert threshold_from_env("DEEPFACE_TEST_THRESHOLD", 0.5) == 0.25
    for text in ("low", "nan", "inf", "1e400", " ", "²"):
        monkeypatch.setenv("DEEPFACE_TEST_THRESHOLD", text)
        with pytest.raises(ValueError, match=f"DEEPFACE_TEST_THRESHOLD='{text}' is not a number"):
            threshold_from_env("DEEPFACE_TEST_THRESHOLD", 0.5)


def test_unknown_names_and_options() -> None:
    with pytest.raises(UnimplementedError, match=r"face_detector/nobody\. Known names: opencv"):
        DETECTORS.build("nobody")
    with pytest.raises(UnimplementedError, match="opencv has no option 'min_face_size'"):
        DETECTORS.build("opencv", min_face_size=40)
    assert DETECTORS.build("opencv") is DETECTORS.build("opencv", min_face_size=None)


class Surer(Published):
    """Goes on from what a published class above it finds."""

    def detect_faces(self, img: Any) -> Any:
        (face,) = super().detect_faces(img)
        return [replace(face, confidence=0.5)]


class SurerThanOne(OneByOne):
    def detect_faces(self, img: Any) -> Any:  # type: ignore[override]
        (face,) = super().detect_faces(img)
        return [replace(face, confidence=0.5)]


class SurerThanBatched(Batched):
    def detect_faces(self, img: Any) -> Any:  # type: ignore[override]
        (face,) = super().detect_faces(img)
        return [replace(face, confidence=0.5)]


@pytest.mark.parametrize("cls", [Surer, SurerThanOne, SurerThanBatched])
def test_what_overrides_the_published_method_is_asked_and_may_ask_above(
    cls: type[Detector],
) -> None:
    detector, face = cls(), FacialAreaRegion(0, 0, 30, 20, confidence=0.5)
    assert detector.detect_canvases([Canvas(PICTURE), Canvas(PICTURE)]) == [[face], [face]]
    assert detector.detect_faces(PICTURE) == [face]
    assert detector.detect_faces([PICTURE, PICTURE]) == [[face], [face]]
    assert not cls.batched
    further = type("Further", (cls,), {})()
    assert further.detect_canvases([Canvas(PICTURE)]) == [[face]]
    back = type("Back", (cls,), {"_detect_batch": lambda self, canvases: [[] for _ in canvases]})()
    assert back.detect_canvases([Canvas(PICTURE)]) == [[]]


def test_one_at_a_time_replaces_a_batch_above() -> None:
    class One(Batched):
        def _detect_one(self, canvas: Canvas) -> list[FacialAreaRegion]:
            return []

    assert One().detect_faces([PICTURE]) == [[]] and not One.batched


@pytest.mark.parametrize("number", [float, np.float16, np.float32, np.float64, np.int64])
@pytest.mark.parametrize("base", [Detector, object])
@pytest.mark.parametrize("align", [True, False])
def test_numbers_of_any_kind_make_a_box(number: Any, base: type, align: bool) -> None:
    """Networks give floats; as published, a detector of a script's own may leave them at that."""

    class Own(base):  # type: ignore[misc]
        kind: Any = staticmethod(int)

        def detect_faces(self, img: Any) -> list[FacialAreaRegion]:
            x, y, w, h, *eyes = map(self.kind, (41.7, 33.2, 20.9, 18.6, 55, 40, 45, 41))
            left, right = eyes[:2], np.array(eyes[2:])
            return [FacialAreaRegion(x, y, w, h, left, right, self.kind(1))]  # type: ignore[arg-type]

    class Other(Own):
        kind = staticmethod(number)

    picture = np.random.default_rng(4).integers(0, 256, (60, 70, 3), np.uint8)
    results = []
    for cls in (Own, Other):
        with cached("face_detector", "own", cls()):
            options: Any = {"detector_backend": "own", "align": align, "expand_percentage": 7}
            results += [
                DeepFace.extract_faces(picture, **options, max_faces=1),
                *DeepFace.extract_faces([picture, picture], **options, anti_spoofing=False),
            ]
    for (one,) in results:
        assert repr(one["facial_area"]) == repr(results[0][0]["facial_area"])
        assert set(map(type, list(one["facial_area"].values())[:4])) == {int}
        np.testing.assert_array_equal(one["face"], results[0][0]["face"])


@pytest.mark.parametrize("count", range(6))
def test_a_face_has_the_landmarks_that_there_are(count: int) -> None:
    points = [(1.5, 2.25), (3.75, 4.5), (5, 6), (7, 8), (9, 10)][:count]
    found = face((1, 2, 3, 4), 0.5, points, round)
    eyes = {"right_eye": (2, 2), "left_eye": (4, 4)} if count > 1 else {}
    five = tuple(points) if count == 5 else None
    assert found == FacialAreaRegion(1, 2, 3, 4, confidence=0.5, five_points=five, **eyes)  # type: ignore[arg-type]
    assert count < 2 or face((1, 2, 3, 4), 0.5, points).left_eye == (3, 4)
