"""From a detected box to an upright crop: expand, cut, rotate, project, crop.

The numbers are those of the published library, pixel for pixel on a CPU. The black border that
it adds around a picture is never drawn here: what lies outside a picture is black either way.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from deepface.detection.canvas import cut
from deepface.images.turn import turned_part
from deepface.types import Box, FacialAreaRegion, Point, Rectangle

Array = NDArray[Any]
#: The longest side in pixels that OpenCV's warps take.
LONGEST = (1 << 15) - 2


def extract_sub_image(img: Array, facial_area: Box) -> tuple[Array, int, int]:
    """The box ``(x, y, w, h)`` with half its size more on every side, black outside ``img``.

    Returns the sub-image and what was added to the left and to the top, in pixels.
    """
    x, y, w, h = facial_area
    relative_x, relative_y = int(0.5 * w), int(0.5 * h)
    sub: Array = cut(img, x - relative_x, y - relative_y, w + 2 * relative_x, h + 2 * relative_y)
    return sub, relative_x, relative_y


def align_img_wrt_eyes(
    img: Array, left_eye: Point | None, right_eye: Point | None
) -> tuple[Array, float]:
    """Rotate ``img`` about its centre so that the line between the eyes becomes horizontal.

    Returns the rotated image, of the same size with black corners, and the angle in degrees.
    Without both eyes, without an area, or above :data:`LONGEST`, the image comes back as it is,
    with angle 0.
    """
    height, width = img.shape[:2]
    rotation, angle = rotation_wrt_eyes((height, width), left_eye, right_eye)
    if rotation is None:
        return img, angle
    return cv2.warpAffine(img, rotation, (width, height), flags=cv2.INTER_CUBIC), angle


def rotation_wrt_eyes(
    size: tuple[int, int], left_eye: Point | None, right_eye: Point | None
) -> tuple[NDArray[np.float64] | None, float]:
    """The matrix ``(2, 3)`` and the angle of :func:`align_img_wrt_eyes`.

    ``size`` is the image's height and width; there is no matrix where it comes back as it is. That
    is also so above :data:`LONGEST`.
    """
    if left_eye is None or right_eye is None or 0 in size or max(size) > LONGEST:
        return None, 0.0
    angle = math.degrees(math.atan2(left_eye[1] - right_eye[1], left_eye[0] - right_eye[0]))
    matrix = cv2.getRotationMatrix2D((size[1] // 2, size[0] // 2), angle, 1.0)
    return matrix, angle  # type: ignore[return-value]


def project_facial_area(facial_area: Box, angle: float, size: tuple[int, int]) -> Box:
    """Where a box is after its image was rotated by ``angle``.

    Args:
        facial_area: corners ``(x1, y1, x2, y2)`` before the rotation.
        angle: in degrees, as :func:`align_img_wrt_eyes` gives it.
        size: ``(height, width)`` of the image.

    Returns:
        Corners of a box of the same size around the rotated centre, clipped to the image.
    """
    theta = math.radians(math.fmod(angle, 360))
    if theta == 0:
        return facial_area
    height, width = size
    x1, y1, x2, y2 = facial_area
    x = x1 + (x2 - x1) / 2 - width / 2
    y = y1 + (y2 - y1) / 2 - height / 2
    new_x = x * math.cos(theta) + y * math.sin(theta) + width / 2
    new_y = -x * math.sin(theta) + y * math.cos(theta) + height / 2
    left, top = new_x - (x2 - x1) / 2, new_y - (y2 - y1) / 2
    right, bottom = new_x + (x2 - x1) / 2, new_y + (y2 - y1) / 2
    return (
        max(int(left), 0),
        max(int(top), 0),
        min(int(right), width),
        min(int(bottom), height),
    )


def is_valid_landmark(coord: object, width: int, height: int) -> bool:
    """Whether a landmark is a pair of numbers inside an image of that size."""
    if isinstance(coord, np.ndarray):
        coord = coord.tolist()
    if not isinstance(coord, (tuple, list)) or len(coord) != 2:
        return False
    x, y = coord
    return bool(0 <= x < width and 0 <= y < height)


def expand_region(
    region: FacialAreaRegion, percentage: int, width: int, height: int
) -> FacialAreaRegion:
    """A face whose box has grown about its centre, clipped to its image; landmarks stay.

    Args:
        region: its box may lie partly outside, and be of floats where a script's own detector
            found it; what is returned is in whole pixels.
        percentage: 20 makes the box 20 % wider and higher; 0 clips only.
        width: of the image (with its border, where it has one), in pixels.
        height: likewise.
    """
    x, y, w, h = int(region.x), int(region.y), int(region.w), int(region.h)
    if percentage > 0:
        expanded_w = w + int(w * percentage / 100)
        expanded_h = h + int(h * percentage / 100)
        x = max(0, x - int((expanded_w - w) / 2))
        y = max(0, y - int((expanded_h - h) / 2))
        w, h = min(width - x, expanded_w), min(height - y, expanded_h)
    left, top = max(0, x), max(0, y)
    right, bottom = min(width, x + w), min(height, y + h)
    return replace(region, x=left, y=top, w=max(0, right - left), h=max(0, bottom - top))


def upright(
    region: FacialAreaRegion,
) -> tuple[Rectangle, NDArray[np.float64] | None, Box]:
    """How a face is turned upright, by the line of its eyes.

    Returns:
        Of its picture the part that is turned, see :func:`extract_sub_image`; the matrix
        :func:`rotation_wrt_eyes` for it; and the corners of the face in what comes out.
    """
    across, down = int(0.5 * region.w), int(0.5 * region.h)
    part = Rectangle(
        region.y - down,
        region.x - across,
        max(0, region.h + 2 * down),
        max(0, region.w + 2 * across),
    )
    size = (part.height, part.width)
    matrix, angle = rotation_wrt_eyes(size, region.left_eye, region.right_eye)
    corners = (across, down, across + region.w, down + region.h)
    return part, matrix, project_facial_area(corners, angle, size)


def aligned_crop(img: Array, region: FacialAreaRegion) -> Array:
    """The face upright: sub-image, rotation by the eye line, projected box, crop.

    Args:
        img: the picture without border.
        region: a face in pixels of that picture; its box may reach outside.
    """
    part, rotation, (x1, y1, x2, y2) = upright(region)
    sub: Array = cut(img, part.left, part.top, part.width, part.height)
    if rotation is None:
        return sub[y1:y2, x1:x2]
    # The sub-image has four times the pixels: of turning one with all of it most would be wasted.
    return turned_part(sub, rotation, x1, y1, x2, y2)
