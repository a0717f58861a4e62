"""What is drawn, pixel by pixel, in the middle of a frame and at its edges."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest

from deepface.live import overlay
from deepface.types import Image

HEIGHT, WIDTH = 240, 320
GREY, GREEN, RED = (67, 67, 67), (80, 200, 80), (40, 40, 220)


def frame() -> Image:
    return np.full((HEIGHT, WIDTH, 3), 130, np.uint8)


def put(canvas: Image, text: str, x: int, y: int, scale: float) -> None:
    """White, on a black that is a pixel wider on each side."""
    for color, thickness in (((0, 0, 0), 3), ((255, 255, 255), 1)):
        cv2.putText(
            *(canvas, text, (x, y), cv2.FONT_HERSHEY_SIMPLEX, scale, color, thickness, cv2.LINE_AA)
        )


def width_of(text: str, scale: float) -> int:
    return cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)[0][0]


def face(x: int, y: int, w: int, h: int, **more: Any) -> dict[str, Any]:
    return {"facial_area": {"x": x, "y": y, "w": w, "h": h}, **more}


#: Of ``x, y, w, h``; where the number of frames stands, if it is as wide as told.
NUMBERS: dict[tuple[int, int, int, int], Callable[[int], tuple[int, int]]] = {
    (40, 60, 100, 120): lambda width: (65, 120),
    (-60, 60, 120, 100): lambda width: (0, 110),
    (300, 60, 80, 100): lambda width: (WIDTH - width, 110),
    (40, 200, 100, 120): lambda width: (65, HEIGHT - 4),
}


@pytest.mark.parametrize("area", NUMBERS)
@pytest.mark.parametrize("left", [1, 12])
def test_frames_that_are_left(area: tuple[int, int, int, int], left: int) -> None:
    x, y, w, h = area
    expected = frame()
    cv2.rectangle(expected, (x, y), (x + w, y + h), GREY, 2)
    put(expected, str(left), *NUMBERS[area](width_of(str(left), 2.0)), 2.0)
    before = frame()
    np.testing.assert_array_equal(overlay.mark_live(before, [face(*area)], left), expected)
    np.testing.assert_array_equal(before, frame())


@pytest.mark.parametrize("color", [GREEN, RED])
def test_lines_stand_beside_a_face(color: tuple[int, int, int]) -> None:
    expected = frame()
    cv2.rectangle(expected, (20, 30), (120, 140), color, 2)
    put(expected, "Woman, 31", 125, 50, 0.5)
    put(expected, "happy", 125, 70, 0.5)
    cv2.rectangle(expected, (290, 220), (310, 235), color, 2)
    put(expected, "sad", WIDTH - width_of("sad", 0.5), HEIGHT - 4, 0.5)
    more = {} if color == GREEN else {"is_real": False}
    faces = [face(20, 30, 100, 110, **more), face(290, 220, 20, 15, **more)]
    lines = [["Woman, 31", "happy"], ["sad"]]
    np.testing.assert_array_equal(
        overlay.mark_results(frame(), faces, lines, [None, None]), expected
    )


#: Of ``x, y, w, h``; the left and upper edge of the person's picture.
THUMBNAILS = {
    (20, 30, 100, 110): (125, 30),
    (250, 30, 60, 60): (WIDTH - 112, 30),
    (20, 200, 100, 30): (125, HEIGHT - 112),
    (-90, -20, 60, 60): (0, 0),
}


@pytest.mark.parametrize("area", THUMBNAILS)
def test_who_was_recognised_stands_above_the_lines(area: tuple[int, int, int, int]) -> None:
    x, y, w, h = area
    left, top = THUMBNAILS[area]
    person = np.random.default_rng(0).integers(0, 256, (50, 40, 3), np.uint8)
    expected = frame()
    cv2.rectangle(expected, (x, y), (x + w, y + h), GREEN, 2)
    expected[top : top + 112, left : left + 112] = cv2.resize(person, (112, 112))
    at = max(0, min(x + w + 5, WIDTH - width_of("somebody", 0.5)))
    put(expected, "somebody", at, min(y + 112 + 20, HEIGHT - 4), 0.5)
    marked = overlay.mark_results(frame(), [face(*area)], [["somebody"]], [person])
    np.testing.assert_array_equal(marked, expected)


def test_a_frame_smaller_than_the_picture_shows_what_it_has_room_for() -> None:
    person = np.random.default_rng(0).integers(0, 256, (112, 112, 3), np.uint8)
    small = np.zeros((60, 90, 3), np.uint8)
    marked = overlay.mark_results(small, [face(-20, -20, 5, 5)], [[]], [person])
    np.testing.assert_array_equal(marked, person[:60, :90])
