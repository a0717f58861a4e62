"""Drawing on frames: boxes, lines of text, the picture of who was recognised."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from deepface.logger import printable
from deepface.types import Image

_LIVE, _DONE, _SPOOF = (67, 67, 67), (80, 200, 80), (40, 40, 220)
_WHITE, _BLACK = (255, 255, 255), (0, 0, 0)
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_LINE = 20
#: Height and width of the picture of who was recognised.
_THUMBNAIL = 112


def mark_live(frame: Image, faces: Sequence[dict[str, Any]], frames_left: int) -> Image:
    """A copy of a frame with its faces, and how many frames are left until they are analysed."""
    canvas = frame.copy()
    for face in faces:
        area = face["facial_area"]
        _box(canvas, area, _LIVE)
        _text(canvas, str(frames_left), area["x"] + area["w"] // 4, area["y"] + area["h"] // 2, 2.0)
    return canvas


def mark_results(
    frame: Image,
    faces: Sequence[dict[str, Any]],
    lines: Sequence[Sequence[str]],
    people: Sequence[Image | None],
) -> Image:
    """A copy of a frame with its faces, beside each its lines and who was recognised."""
    canvas = frame.copy()
    for face, texts, person in zip(faces, lines, people, strict=True):
        area = face["facial_area"]
        _box(canvas, area, _DONE if face.get("is_real", True) else _SPOOF)
        top, left = area["y"], area["x"] + area["w"] + 5
        if person is not None:
            _paste(canvas, cv2.resize(person, (_THUMBNAIL, _THUMBNAIL)), left, top)  # type: ignore[arg-type]
            top += _THUMBNAIL
        for number, text in enumerate(texts, start=1):
            _text(canvas, text, left, top + number * _LINE, 0.5)
    return canvas


def _box(canvas: Image, area: dict[str, Any], color: tuple[int, int, int]) -> None:
    corner = (area["x"] + area["w"], area["y"] + area["h"])
    cv2.rectangle(canvas, (area["x"], area["y"]), corner, color, 2)


def _text(canvas: Image, text: str, x: int, y: int, scale: float) -> None:
    """White on black, moved into the picture where it would leave it."""
    text = printable(text)  # of a file whose name is not UTF-8, OpenCV would end the whole process
    (width, _), _ = cv2.getTextSize(text, _FONT, scale, 1)
    place = (max(0, min(x, canvas.shape[1] - width)), min(y, canvas.shape[0] - 4))
    for color, thickness in ((_BLACK, 3), (_WHITE, 1)):
        cv2.putText(canvas, text, place, _FONT, scale, color, thickness, cv2.LINE_AA)


def _paste(canvas: Image, picture: np.ndarray[Any, Any], x: int, y: int) -> None:
    """As much of ``picture`` as the canvas has room for."""
    height, width = picture.shape[:2]
    x, y = max(0, min(x, canvas.shape[1] - width)), max(0, min(y, canvas.shape[0] - height))
    room = canvas[y : y + height, x : x + width]
    room[:] = picture[: room.shape[0], : room.shape[1]]
