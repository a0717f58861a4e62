"""Video files as pictures: every n-th frame, with its time."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2

from deepface.errors import DeepFaceError, ImgNotFound
from deepface.types import Image

_SUFFIXES = (
    ".avi",
    ".flv",
    ".m4v",
    ".mkv",
    ".mov",
    ".mp4",
    ".mpeg",
    ".mpg",
    ".ts",
    ".webm",
    ".wmv",
)


@dataclass(frozen=True)
class Frame:
    """A frame of a video: BGR ``uint8`` pixels, position (the first is 0) and time in seconds."""

    pixels: Image
    video: str
    number: int
    seconds: float

    @property
    def name(self) -> str:
        """What messages and results call it, e.g. ``clip.mp4#120``."""
        return f"{self.video}#{self.number}"


@dataclass(frozen=True)
class BrokenVideo:
    """Stands among pictures for a video that cannot be read."""

    name: str
    error: Exception


def is_video(source: object) -> bool:
    """Whether ``source`` is a path whose suffix is that of a video file."""
    return isinstance(source, (str, os.PathLike)) and os.fsdecode(source).lower().endswith(
        _SUFFIXES
    )


def iter_frames(path: str | os.PathLike[str], every: int = 1) -> Iterator[Frame]:
    """The frames 0, ``every``, 2 ``every``, ... of a video file, read by OpenCV.

    Raises:
        ImgNotFound: there is no such file.
        DeepFaceError: OpenCV finds no video in it.
    """
    if every < 1:
        raise ValueError(f"every must be at least 1, but it is {every}")
    name = os.fsdecode(path)
    if not Path(path).is_file():
        raise ImgNotFound(f"Confirm that {name} exists")
    video = cv2.VideoCapture(name)
    try:
        number = 0
        while video.grab():
            if number % every == 0:
                # Before retrieve(): OpenCV gives the time of the frame that was grabbed last.
                seconds = video.get(cv2.CAP_PROP_POS_MSEC) / 1000
                decoded, pixels = video.retrieve()
                if decoded:
                    yield Frame(pixels, name, number, seconds)  # type: ignore[arg-type]
            number += 1
    finally:
        video.release()
    if number == 0:
        raise DeepFaceError(f"{name} is no video that OpenCV can read, or it holds no frame")
