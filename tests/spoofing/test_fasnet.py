"""FasNet against the published library's verdicts, and on boxes at the edge."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepface import DeepFace
from deepface.spoofing.fasnet import FasNet, surroundings
from deepface.spoofing.registry import SPOOF_DETECTORS
from tests.data import data, golden, photo, weight


@pytest.fixture(scope="module")
def fasnet() -> FasNet:
    weight("2.7_80x80_MiniFASNetV2.pth")
    weight("4_0_0_80x80_MiniFASNetV1SE.pth")
    return SPOOF_DETECTORS.build("Fasnet")


def faces_of_photos() -> list[tuple[Any, Any, dict[str, Any]]]:
    images = golden("parity", "golden_spoofing.json")["images"]
    names = sorted(images)[:16]
    return [
        (photo(name.removeprefix("photos/")), tuple(face["facial_area"]), face)
        for name in names
        for face in images[name]
    ]


def test_golden_verdicts_in_one_batch(fasnet: FasNet) -> None:
    faces = faces_of_photos()
    assert len(faces) >= 16
    verdicts = fasnet.judge([(image, area) for image, area, _ in faces])
    for verdict, (_, _, expected) in zip(verdicts, faces, strict=True):
        assert verdict.is_real is expected["is_real"]
        assert verdict.score == pytest.approx(expected["antispoof_score"], abs=1e-4)


def test_batch_equals_single(fasnet: FasNet) -> None:
    faces = [(image, area) for image, area, _ in faces_of_photos()[:5]]
    for verdict, (image, area) in zip(fasnet.judge(faces), faces, strict=True):
        is_real, score = fasnet.analyze(image, area)
        assert is_real is verdict.is_real
        assert score == pytest.approx(verdict.score, abs=1e-6)
    assert fasnet.judge([]) == []


def test_golden_rectangles() -> None:
    for width, height, box, scale, expected in golden("spec", "golden_functions.json")[
        "fasnet_box"
    ]:
        assert surroundings(width, height, tuple(box), scale) == tuple(expected)


SIZES = st.integers(1, 300)


@given(
    SIZES, SIZES, st.integers(-400, 400), st.integers(-400, 400), st.integers(0, 500),
    st.integers(0, 500), st.sampled_from([2.7, 4.0]),
)  # fmt: skip
def test_the_rectangle_lies_inside(
    width: int, height: int, x: int, y: int, w: int, h: int, scale: float
) -> None:
    left, top, right, bottom = surroundings(width, height, (x, y, w, h), scale)
    assert 0 <= left <= right < width
    assert 0 <= top <= bottom < height


@pytest.mark.parametrize("box", [(0, 0, 0, 0), (90, 90, 10, 10), (-50, -50, 300, 300)])
def test_boxes_at_the_edge_do_not_crash(fasnet: FasNet, box: tuple[int, int, int, int]) -> None:
    picture = np.full((100, 100, 3), 127, np.uint8)
    assert 0 < fasnet.judge([(picture, box)])[0].score <= 1


def test_extract_faces(fasnet: FasNet) -> None:
    name = "img1.jpg"
    expected = golden("parity", "golden_spoofing.json")["images"][f"photos/{name}"]
    path = data("images", "photos", name)
    for faces in (
        DeepFace.extract_faces(path, anti_spoofing=True),
        DeepFace.extract_faces([path], anti_spoofing=True)[0],
    ):
        assert [face["is_real"] for face in faces] == [face["is_real"] for face in expected]
        assert faces[0]["antispoof_score"] == pytest.approx(
            expected[0]["antispoof_score"], abs=1e-4
        )
