"""What becomes of the regions that a detector gives: which, in what order, with which eyes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest

from deepface.cropping.face_crops import detect_faces, extract_face
from deepface.cropping.landmarks import Template
from deepface.errors import UnimplementedError
from deepface.types import FacialAreaRegion
from tests.data import package_pictures
from tests.stand_ins import cached

PICTURE = np.zeros((200, 300, 3), np.uint8)
#: Widths and heights whose order differs from that of the areas.
SIZES = [(40, 40), (90, 10), (10, 150), (50, 50), (70, 20)]


class Told:
    """A detector that finds what it is told."""

    name = "told"

    def __init__(self, regions: list[FacialAreaRegion]) -> None:
        self._regions = regions

    def detect_faces(self, img: Any) -> list[FacialAreaRegion]:
        return self._regions


@pytest.mark.parametrize("count", [None, 1, 2, 3, 4, 5, 6])
def test_the_largest_faces(count: int | None) -> None:
    """All in the order of the detector; fewer by their area, the largest first."""
    regions = [FacialAreaRegion(9 * n, n, w, h) for n, (w, h) in enumerate(SIZES)]
    with cached("face_detector", "told", Told(regions)):
        found: Any = detect_faces("told", [PICTURE], align=False, max_faces=count)
    sizes = [(face.facial_area.w, face.facial_area.h) for face in found[0]]
    by_area = [(50, 50), (40, 40), (10, 150), (70, 20), (90, 10)]
    assert sizes == (SIZES if count is None or count >= 5 else by_area[:count])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("white", [1, 255])
def test_a_turned_crop_is_no_brighter_than_its_picture(white: int, dtype: Any) -> None:
    """Bicubic resampling overshoots at edges, of which floats would keep what bytes cannot."""
    rows, columns = np.indices((120, 120)) // 10
    picture = np.where((rows + columns) % 2, white, 0).astype(dtype)[..., None].repeat(3, 2)
    region = FacialAreaRegion(30, 30, 60, 60, left_eye=(75, 50), right_eye=(45, 40))
    with cached("face_detector", "told", Told([region])):
        found: Any = detect_faces("told", [picture])
    crop = found[0][0].img
    assert crop.min() == 0 and crop.max() == white and crop.dtype == dtype


def test_detectors_without_landmarks_are_told_at_once() -> None:
    """Not only where there is a face."""
    cut: Any = Template(((0.0, 0.0),) * 5, (112, 112))
    with (
        cached("face_detector", "told", Told([])),
        pytest.raises(UnimplementedError, match=r"the detector told does not.*that do: .*yunet"),
    ):
        detect_faces("told", [PICTURE], align="landmarks", face_cut=cut)


def test_eyes_are_looked_for_where_the_detector_did_not() -> None:
    picture = cv2.imread(str(package_pictures()[0]))
    assert picture is not None
    region = FacialAreaRegion(182, 59, 87, 114)
    for known in ({}, {"left_eye": (240, 110)}, {"right_eye": (210, 110)}):
        eyes = {"left_eye": (246, 103), "right_eye": (204, 100)} | known
        given: Any = replace(region, **known)  # type: ignore[arg-type]
        face = extract_face(given, picture, True, 0, 10, 20, "ssd").facial_area
        for name, (x, y) in eyes.items():
            abs_error = 0 if name in known else 4
            assert getattr(face, name) == pytest.approx((x - 10, y - 20), abs=abs_error)
    face = extract_face(region, picture, True, 0, 10, 20, "opencv").facial_area
    assert face.left_eye is face.right_eye is None
