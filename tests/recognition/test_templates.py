"""How faces are cut as networks saw them in training."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from deepface.recognition.templates import ARCFACE, MTCNN_BOX, Margin, dlib_chip
from deepface.types import FacialAreaRegion

PICTURE = np.random.default_rng(5).integers(0, 256, (300, 400, 3), dtype=np.uint8)


@pytest.mark.parametrize("fraction", [0.0, 0.25, 1.0])
@pytest.mark.parametrize("box", [(100, 90, 50, 60), (80, 70, 120, 90), (120, 100, 70, 70)])
@pytest.mark.parametrize("size", [(160, 160), (70, 60)])
def test_a_box_with_a_margin(
    fraction: float, box: tuple[int, int, int, int], size: tuple[int, int]
) -> None:
    """The enlarged box about the same centre, averaged down or stretched; black outside."""
    x, y, w, h = box
    far = 1000
    padded = cv2.copyMakeBorder(PICTURE, far, far, far, far, cv2.BORDER_CONSTANT)
    for left, top in ((x, y), (x - 130, y), (x, y + 180)):  # inside and not
        dx, dy = round(w * fraction / 2), round(h * fraction / 2)
        rows = slice(far + top - dy, far + top + h + dy)
        whole = np.ascontiguousarray(padded[rows, far + left - dx : far + left + w + dx])
        kind = cv2.INTER_AREA if w > size[1] else cv2.INTER_LINEAR
        expected = cv2.resize(whole, size[::-1], interpolation=kind)
        (face,) = Margin(fraction, size).crops([PICTURE], [FacialAreaRegion(left, top, w, h)])
        np.testing.assert_array_equal(face, expected)
    (none,) = Margin(fraction, size).crops([PICTURE], [FacialAreaRegion(5, 5, 0, 9)])
    assert none.size == 0


def test_the_template_of_arcface_is_that_of_sphereface_in_the_middle_of_a_square() -> None:
    """SphereFace's pictures were 96 wide and 112 high (Liu et al., CVPR 2017)."""
    points = [
        (30.2946, 51.6963), (65.5318, 51.5014), (48.0252, 71.7366), (33.5493, 92.3655),
        (62.7299, 92.2041),
    ]  # fmt: skip
    assert ARCFACE.size == (112, 112)
    np.testing.assert_allclose(ARCFACE.points, np.add(points, ((112 - 96) / 2, 0)))


def test_mtcnn_left_a_fifth_of_margin() -> None:
    assert Margin(32 / (160 - 32), (160, 160)) == MTCNN_BOX


@pytest.mark.parametrize(("size", "padding"), [(150, 0.25), (96, 0.0)])
def test_the_chips_of_dlib(size: int, padding: float) -> None:
    """Eyes and mouth of the same height, the nose between them, and the padding around."""
    template = dlib_chip(size, padding)
    unit = np.array(dlib_chip(1, 0).points)
    right_eye, left_eye, nose, mouth_right, mouth_left = unit
    assert template.size == (size, size)
    np.testing.assert_allclose(template.points, (unit + padding) / (1 + 2 * padding) * size)
    assert unit.mean(0) == pytest.approx((0.5, 0.5), abs=0.02)
    assert nose.tolist() == [0.490127, 0.515625]  # the tip in dlib's mean face
    assert right_eye[1] == left_eye[1] and mouth_right[1] == mouth_left[1]
    for one, other in ((right_eye, left_eye), (mouth_right, mouth_left)):
        assert (one[0] + other[0]) / 2 == pytest.approx(nose[0], abs=1e-4)
