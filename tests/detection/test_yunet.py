"""YuNet: what the published library finds, its threshold, its landmarks."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from deepface.detection.yunet import YuNetDetector
from deepface.errors import WeightsError
from tests.data import package_pictures, read, weight
from tests.detection.goldens import SMALL, all_names, assert_as_published


@pytest.fixture(scope="module")
def detector() -> YuNetDetector:
    weight("face_detection_yunet_2023mar.onnx")
    return YuNetDetector()


@pytest.mark.parametrize("align", [True, False])
def test_goldens(detector: YuNetDetector, align: bool) -> None:
    assert_as_published("yunet", SMALL, align)


@pytest.mark.heavy
@pytest.mark.parametrize("align", [True, False])
def test_all_goldens(detector: YuNetDetector, align: bool) -> None:
    """Each picture in one of the two ways: what differs between them is done by no detector."""
    assert_as_published("yunet", all_names()[align::2], align)


def test_threshold_is_read_at_each_call(
    detector: YuNetDetector, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, picture, _ = (read(path) for path in package_pictures())
    default = detector.detect_faces([picture])[0]
    monkeypatch.setenv("yunet_score_threshold", "0.3")
    more = detector.detect_faces([picture])[0]
    monkeypatch.setenv("yunet_score_threshold", "0.999")
    assert detector.detect_faces([picture]) == [[]]
    assert len(more) > len(default) > 0
    assert all((face.confidence or 0) >= 0.9 for face in default)
    monkeypatch.setenv("yunet_score_threshold", "high")
    with pytest.raises(ValueError, match="yunet_score_threshold='high'"):
        detector.detect_faces([picture])


def test_pictures_that_are_too_low_for_opencv_give_the_same_each_time(
    detector: YuNetDetector,
) -> None:
    random = np.random.default_rng(0)
    for size in ((7, 100), (13, 300), (31, 100), (32, 300), (300, 20), (1, 1)):
        image = random.integers(0, 256, (*size, 3), dtype=np.uint8)
        found = []
        for _ in range(8):
            _ = random.random(200_000) * 1e30  # what free memory may hold
            found += detector.detect_faces([image])
        assert found == [[]] * 8, size


def test_a_low_picture_is_seen_with_black_below_it(
    detector: YuNetDetector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("yunet_score_threshold", "0.1")
    whole = read(package_pictures()[0])[20:250, 90:350]
    low = np.zeros((30, 200, 3), np.uint8)
    low[:28, 100:132] = cv2.resize(whole, (32, 28), interpolation=cv2.INTER_AREA)
    below = np.zeros((70, 200, 3), np.uint8)
    faces = detector.detect_faces([low])[0]
    assert faces == detector.detect_faces([np.concatenate([low, below])[:64]])[0]
    assert any(95 <= face.x <= 125 and face.w < 50 for face in faces)


def test_a_face_that_leaves_the_picture_begins_at_its_edge(detector: YuNetDetector) -> None:
    portrait = read(package_pictures()[0])[80:, 205:]
    pictures = [np.ascontiguousarray(portrait), np.zeros((20, 20, 3), np.uint8)]
    for some in (pictures, pictures[:1]):  # by threads, and alone
        (face,) = detector.detect_faces(some)[0]
        assert (face.x, face.y) == (0, 0) and 55 < face.w < 80 and 85 < face.h < 110


def test_five_points(detector: YuNetDetector) -> None:
    picture = read(package_pictures()[1])  # wider than 640: shrunk
    faces = detector.detect_faces([picture])[0]
    assert faces
    for face in faces:
        assert face.five_points is not None and face.left_eye and face.right_eye
        right_eye, left_eye, nose, mouth_right, mouth_left = np.array(face.five_points)
        assert np.abs(right_eye - face.right_eye).max() < 4
        assert np.abs(left_eye - face.left_eye).max() < 4
        assert right_eye[0] < left_eye[0]
        assert max(right_eye[1], left_eye[1]) < nose[1] < min(mouth_right[1], mouth_left[1])
        assert (face.nose, face.mouth_left, face.mouth_right) == (None, None, None)


def test_missing_weights(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DEEPFACE_HOME", str(tmp_path))
    with pytest.raises(WeightsError, match=r"face_detection_yunet_2023mar\.onnx"):
        YuNetDetector()
