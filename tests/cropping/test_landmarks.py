"""Alignment by five landmarks."""

from __future__ import annotations

import tracemalloc

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepface.cropping.landmarks import Template, similarity_transforms
from deepface.types import FacialAreaRegion

POINTS = ((38.0, 52.0), (74.0, 52.0), (56.0, 72.0), (42.0, 92.0), (71.0, 92.0))
TEMPLATE = Template(POINTS, (112, 112))


def smooth_picture(height: int, width: int) -> np.ndarray:  # type: ignore[type-arg]
    rng = np.random.default_rng(1)
    small = rng.integers(0, 256, (height // 40, width // 40, 3)).astype(np.uint8)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)


def moved(scale: float, degrees: float, shift: tuple[float, float]) -> np.ndarray:  # type: ignore[type-arg]
    angle = np.deg2rad(degrees)
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return np.array(POINTS) @ turn.T + shift


@given(st.floats(0.005, 8), st.floats(-180, 180), st.floats(-300, 900), st.floats(-300, 900))
def test_transform_brings_landmarks_onto_the_template(
    scale: float, degrees: float, x: float, y: float
) -> None:
    landmarks = moved(scale, degrees, (x, y))
    (matrix,) = similarity_transforms(landmarks[None], np.array(POINTS))
    np.testing.assert_allclose(landmarks @ matrix[:, :2].T + matrix[:, 2], POINTS, atol=1e-6)


def test_transform_is_the_least_squares_one() -> None:
    landmarks = moved(1.7, 20, (30, 40)) + np.random.default_rng(0).normal(0, 2, (5, 2))
    (matrix,) = similarity_transforms(landmarks[None], np.array(POINTS))

    def cost(m: np.ndarray) -> float:  # type: ignore[type-arg]
        return float(((landmarks @ m[:, :2].T + m[:, 2] - POINTS) ** 2).sum())

    best = cost(matrix)
    for da, db, dx, dy in np.random.default_rng(1).normal(0, 1e-2, (200, 4)):
        change = np.array([[da, -db, dx], [db, da, dy]])
        assert cost(matrix + change) >= best


@pytest.mark.parametrize("scale", [0.6, 1.0, 3.3, 7.0])
def test_warp_shows_the_landmarks_where_the_template_has_them(scale: float) -> None:
    """Bright dots on the landmarks come out on the template's points, at any size of face."""
    picture = np.zeros((1100, 1100, 3), np.uint8)
    landmarks = moved(scale, 15, (200, 60))
    for point in landmarks:
        cv2.circle(picture, tuple(round(v) for v in point), max(2, int(3 * scale)), (255,) * 3, -1)
    region = FacialAreaRegion(0, 0, 10, 10, five_points=tuple(map(tuple, landmarks.tolist())))
    (face,) = TEMPLATE.crops([picture], [region])
    assert face.shape == (112, 112, 3)
    count, _, _, centres = cv2.connectedComponentsWithStats((face[..., 0] > 100).astype(np.uint8))
    assert count == 6
    for centre in centres[1:]:
        assert np.linalg.norm(np.array(POINTS) - centre, axis=1).min() < 1.2


def test_averaging_down_keeps_the_place() -> None:
    """A large face through the averaging path equals a plain warp where nothing is too fine."""
    picture = smooth_picture(1600, 1000)
    landmarks = moved(5.0, -10, (300, 1000))
    region = FacialAreaRegion(0, 0, 10, 10, five_points=tuple(map(tuple, landmarks.tolist())))
    (face,) = TEMPLATE.crops([picture], [region])
    (matrix,) = similarity_transforms(landmarks[None], np.array(POINTS))
    plain = cv2.warpAffine(picture, matrix, (112, 112), flags=cv2.INTER_LINEAR)
    difference = np.abs(face.astype(int) - plain.astype(int))
    assert difference.mean() < 1.0
    shifted = np.abs(face[:, 1:].astype(int) - plain[:, :-1].astype(int))
    assert shifted.mean() > 2 * difference.mean()


@pytest.mark.parametrize("degrees", [0, 45, 90, 140])
@pytest.mark.parametrize("scale", [4.2, 6.5, 9.0])
def test_a_large_face_is_averaged(scale: float, degrees: float) -> None:
    """A chequered one is grey: none of its pixels is picked alone."""
    picture = np.repeat((np.indices((1700, 1700)).sum(0) % 2 * 255)[..., None], 3, -1)
    landmarks = moved(scale, degrees, (0, 0))
    landmarks += 850 - landmarks.mean(0)
    region = FacialAreaRegion(0, 0, 10, 10, five_points=tuple(map(tuple, landmarks.tolist())))
    (face,) = TEMPLATE.crops([picture.astype(np.uint8)], [region])
    assert abs(face - 127.5).max() < 16


def test_a_small_face_is_sharp() -> None:
    picture = np.random.default_rng(3).integers(0, 256, (200, 300, 3), dtype=np.uint8)
    landmarks = moved(1.3, 20, (40, 20))
    region = FacialAreaRegion(0, 0, 10, 10, five_points=tuple(map(tuple, landmarks.tolist())))
    (face,) = TEMPLATE.crops([picture], [region])
    (matrix,) = similarity_transforms(landmarks[None], np.array(POINTS))
    np.testing.assert_array_equal(face, cv2.warpAffine(picture, matrix, (112, 112)))


def test_what_is_outside_of_the_picture_takes_no_memory() -> None:
    picture = smooth_picture(120, 120)
    landmarks = moved(60, 0, (-2000, -2000))
    region = FacialAreaRegion(0, 0, 10, 10, five_points=tuple(map(tuple, landmarks.tolist())))
    tracemalloc.start()
    try:
        (face,) = TEMPLATE.crops([picture], [region])
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert face.any() and most < 1_000_000


@pytest.mark.parametrize(
    "points", [moved(9, 0, (2000, 0)), moved(1, 0, (0, -500)), moved(0, 0, (5, 5))]
)
def test_a_face_outside_of_the_picture_or_without_extent_is_black(points: np.ndarray) -> None:  # type: ignore[type-arg]
    region = FacialAreaRegion(0, 0, 10, 10, five_points=tuple(map(tuple, points.tolist())))
    (face,) = TEMPLATE.crops([np.full((90, 120, 3), 255, np.uint8)], [region])
    assert face.shape == (112, 112, 3) and face.dtype == np.uint8 and not face.any()


@pytest.mark.parametrize(("times", "shown"), [(80, True), (110, False)])
def test_a_picture_that_is_less_than_a_pixel_of_the_face_is_black(times: int, shown: bool) -> None:
    points = moved(times, 0, (50 - 56 * times, 50 - 56 * times))  # the picture is in its middle
    region = FacialAreaRegion(0, 0, 10, 10, five_points=tuple(map(tuple, points.tolist())))
    (face,) = TEMPLATE.crops([np.full((100, 100, 3), 255, np.uint8)], [region])
    assert face.any() == shown


def test_empty_and_wrong() -> None:
    assert TEMPLATE.crops([], []) == []
    with pytest.raises(ValueError, match="5 points, not 2"):
        Template(((1, 1), (2, 2)), (112, 112))
