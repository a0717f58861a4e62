"""Alignment, against golden values of the published library."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from deepface.cropping import alignment
from deepface.cropping.face_crops import extract_face
from deepface.detection.canvas import cut
from deepface.types import Box, FacialAreaRegion, Point
from tests.data import golden

PICTURE = np.random.default_rng(7).integers(1, 256, (60, 80, 3)).astype(np.uint8)


def functions(name: str) -> Any:
    return golden("functions.json")[name]


def test_angle_of_the_eye_line() -> None:
    for left_eye, right_eye, expected in functions("align_angle"):
        _, angle = alignment.align_img_wrt_eyes(PICTURE, tuple(left_eye), tuple(right_eye))
        assert angle == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("shape", [(40, 90), (90, 40), (41, 61)])
@pytest.mark.parametrize("right_eye", [(5, 9), (30, 1)])
def test_the_middle_of_a_picture_stays_where_it_is(
    shape: tuple[int, int], right_eye: Point
) -> None:
    height, width = shape
    picture = np.zeros((*shape, 3), np.uint8)
    picture[height // 2, width // 2] = 255
    rotated, angle = alignment.align_img_wrt_eyes(picture, (5, 20), right_eye)
    assert angle
    np.testing.assert_array_equal(np.argwhere(rotated[..., 0] == 255), [[height // 2, width // 2]])


def test_projected_box() -> None:
    cases = functions("project_facial_area")
    assert len(cases) == 28
    for box, angle, size, expected in cases:
        assert alignment.project_facial_area(tuple(box), angle, tuple(size)) == tuple(expected)
    for angle in (0, 360, -720):  # a box that need not move is not even clipped
        assert alignment.project_facial_area((-9, 5, 70, 90), angle, (60, 80)) == (-9, 5, 70, 90)


def test_sub_image_size() -> None:
    for case in functions("extract_sub_image"):
        sub, rx, ry = alignment.extract_sub_image(PICTURE, tuple(case["facial_area"]))
        assert [list(sub.shape), rx, ry] == [case["shape"], case["rx"], case["ry"]]
        x, y, w, h = case["facial_area"]
        np.testing.assert_array_equal(sub, cut(PICTURE, x - rx, y - ry, w + 2 * rx, h + 2 * ry))


def test_face_box_and_size() -> None:
    for case in functions("extract_face"):
        x, y, w, h = case["in"]
        eyes: Any = {k: case[k] and tuple(case[k]) for k in ("left_eye", "right_eye")}
        face = extract_face(
            FacialAreaRegion(x, y, w, h, **eyes),
            PICTURE,
            case["align"],
            case["expand"],
            width_border=0,
            height_border=0,
            detector_backend="opencv",
        )
        area = face.facial_area
        assert [area.x, area.y, area.w, area.h] == case["out"]
        assert list(face.img.shape) == case["img_shape"]


def test_a_border_is_taken_off_each_way() -> None:
    face = extract_face(FacialAreaRegion(20, 30, 10, 12), PICTURE, False, 0, 3, 7, "opencv")
    assert (face.facial_area.x, face.facial_area.y) == (17, 23)


@given(st.integers(-100, 100), st.integers(-100, 100), st.integers(0, 150), st.integers(0, 150))
def test_cut_equals_a_slice_of_the_padded_picture(x: int, y: int, w: int, h: int) -> None:
    padded = cv2.copyMakeBorder(PICTURE, 100, 250, 100, 250, cv2.BORDER_CONSTANT, value=0)
    expected = padded[y + 100 : y + 100 + h, x + 100 : x + 100 + w]
    np.testing.assert_array_equal(cut(PICTURE, x, y, w, h), expected)


def expanded(box: Box, percentage: int, width: int, height: int) -> Box:
    left, right = (3, 4), (1, 2)
    region = FacialAreaRegion(*box, left, right)
    face = alignment.expand_region(region, percentage, width, height)
    assert (face.left_eye, face.right_eye) == (left, right)
    return face.x, face.y, face.w, face.h


@given(
    st.integers(-40, 110),
    st.integers(-30, 80),
    st.integers(1, 80),
    st.integers(1, 60),
    st.sampled_from([0, 20, 100]),
)
def test_expanded_box_lies_inside(x: int, y: int, w: int, h: int, percentage: int) -> None:
    left, top, width, height = expanded((x, y, w, h), percentage, 80, 60)
    assert left >= 0
    assert top >= 0
    assert width >= 0
    assert height >= 0
    if width:
        assert left + width <= 80
    if height:
        assert top + height <= 60


@given(st.integers(1, 400), st.integers(1, 400), st.integers(0, 200))
def test_a_box_is_expanded_about_its_centre(w: int, h: int, percentage: int) -> None:
    left, top, width, height = expanded((500, 600, w, h), percentage, 2000, 2000)
    assert (width, height) == (w + w * percentage // 100, h + h * percentage // 100)
    assert (left, top) == (500 - (width - w) // 2, 600 - (height - h) // 2)


@pytest.mark.parametrize(
    ("point", "expected"),
    [
        *[(None, False), ((0, 0), True), ((79, 59), True), ((80, 10), False), ((10, -1), False)],
        *[([1.5, 2], True), (np.array([1, 2]), True), ((np.nan, 1), False)],
        *[
            (odd, False)
            for odd in ((), (1,), (1, 2, 3), "12", 5, {1: 2}, np.array(5), np.ones((1, 2)))
        ],
    ],
)
def test_valid_landmark(point: object, expected: bool) -> None:
    assert alignment.is_valid_landmark(point, 80, 60) is expected


def test_level_eyes_change_nothing() -> None:
    rotated, angle = alignment.align_img_wrt_eyes(PICTURE, (50, 20), (30, 20))
    assert angle == 0
    np.testing.assert_array_equal(rotated, PICTURE)


def test_rotation_levels_the_eyes() -> None:
    picture = np.zeros((200, 200, 3), np.uint8)
    cv2.circle(picture, (130, 110), 4, (255, 0, 0), -1)  # the left eye, lower
    cv2.circle(picture, (70, 80), 4, (0, 255, 0), -1)
    rotated, angle = alignment.align_img_wrt_eyes(picture, (130, 110), (70, 80))
    left = np.argwhere(rotated[:, :, 0] > 128).mean(0)
    right = np.argwhere(rotated[:, :, 1] > 128).mean(0)
    assert angle > 0
    assert left[0] == pytest.approx(right[0], abs=0.5)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
@given(
    box=st.tuples(*[st.integers(-40, 90)] * 2, *[st.integers(0, 70)] * 2),
    eyes=st.tuples(*[st.tuples(st.integers(-20, 100), st.integers(-20, 100))] * 2),
    channels=st.sampled_from([1, 3]),
)
@example(box=(20, 30, 1, 40), eyes=((40, 30), (20, 50)), channels=3)
@example(box=(20, 30, 0, 40), eyes=((40, 30), (20, 50)), channels=3)
@example(box=(20, 30, 40, 0), eyes=((40, 30), (20, 50)), channels=1)
def test_a_crop_is_cut_out_of_the_whole_turned_part(
    dtype: type, box: tuple[int, ...], eyes: tuple[Point, Point], channels: int
) -> None:
    """Bit for bit, although only the crop's own pixels are turned."""
    x, y, w, h = box
    picture: Any = PICTURE[..., :channels].astype(dtype)
    region = FacialAreaRegion(x, y, w, h, left_eye=eyes[0], right_eye=eyes[1])
    found = alignment.aligned_crop(picture, region)
    sub, rx, ry = alignment.extract_sub_image(picture, (x, y, w, h))
    rotated, angle = alignment.align_img_wrt_eyes(sub, region.left_eye, region.right_eye)
    x1, y1, x2, y2 = alignment.project_facial_area(
        (rx, ry, rx + w, ry + h), angle, (sub.shape[0], sub.shape[1])
    )
    expected = rotated[y1:y2, x1:x2]
    assert found.shape[:2] == expected.shape[:2]
    np.testing.assert_array_equal(found.ravel(), expected.ravel())
