"""Video files as pictures: every n-th frame, with its time."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

import cv2

from deepface._opencv import path_for_opencv
from deepface.arguments import whole
from deepface.errors import DeepFaceError, as_ours
from deepface.images.limits import check_pixels
from deepface.images.paths import LONGEST_PATH, open_file, path_name, path_of
from deepface.logger import get_logger
from deepface.types import Image

_SUFFIXES = (
    ".3g2", ".3gp", ".asf", ".avi", ".divx", ".dv", ".f4v", ".flv", ".h264", ".h265", ".hevc",
    ".ivf", ".m1v", ".m2t", ".m2ts", ".m2v", ".m4v", ".mjpeg", ".mjpg", ".mkv", ".mov", ".mp4",
    ".mpe", ".mpeg", ".mpg", ".mpv", ".mts", ".mxf", ".nut", ".ogm", ".ogv", ".qt", ".rm", ".rmvb",
    ".ts", ".vob", ".webm", ".wmv", ".y4m",
)  # fmt: skip
#: OpenCV's readers that are no readers of videos: the first takes a name for a pattern of pictures'
#: names, the second decodes pictures of any size; both step in where FFmpeg refuses a file.
_NO_READERS = (cv2.CAP_IMAGES, cv2.CAP_OPENCV_MJPEG)


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
    path = path_of(source)
    return path is not None and len(path) <= LONGEST_PATH and path.lower().endswith(_SUFFIXES)


def iter_frames(path: str | os.PathLike[str], every: int = 1) -> Iterator[Frame]:
    """The frames 0, ``every``, 2 ``every``, ... of a video file, read by OpenCV.

    A warning is logged where the file ends before it says, or a frame cannot be decoded.

    Raises:
        ImgNotFound: there is no such file.
        ImageTooLarge: a frame has more pixels than a picture may have.
        DeepFaceError: OpenCV finds no video in it.
    """
    every = whole("every", every)
    text = os.fsdecode(path)
    name = path_name(text)
    open_file(text).close()  # which tells what is wrong with it
    video = open_video(text)
    try:
        expected = int(video.get(cv2.CAP_PROP_FRAME_COUNT))
        width, height = video.get(cv2.CAP_PROP_FRAME_WIDTH), video.get(cv2.CAP_PROP_FRAME_HEIGHT)
        check_pixels(int(width), int(height), name)
        number = lost = 0
        while video.grab():
            if number % every == 0:
                # Before retrieve(): OpenCV gives the time of the frame that was grabbed last.
                seconds = video.get(cv2.CAP_PROP_POS_MSEC) / 1000
                decoded, pixels = video.retrieve()
                if decoded:
                    check_pixels(pixels.shape[1], pixels.shape[0], name)  # they may change size
                    yield Frame(pixels, name, number, seconds)  # type: ignore[arg-type]
                else:
                    lost += 1
            number += 1
    except cv2.error as error:
        raise as_ours(error, f"Exception while reading {name}") from error
    finally:
        video.release()
    if number == 0:
        raise DeepFaceError(f"{name} is no video that OpenCV can read, or it holds no frame")
    if lost:
        get_logger().warning("%s: %d frames could not be decoded", name, lost)
    # Many formats only estimate their number, from their duration.
    if number < expected - max(2, expected // 20):
        get_logger().warning(
            "%s ends after %d frames of %d or so: it is cut off or damaged", name, number, expected
        )


def open_video(path: str) -> cv2.VideoCapture:
    """A video file by the first of OpenCV's readers that takes it; it need not be open then.

    Raises:
        DeepFaceError: its name is not UTF-8.
    """
    # An absolute path: FFmpeg would take "10:30:00.mp4" for an address.
    path = path_for_opencv(os.path.abspath(path))  # noqa: PTH100 - Path.resolve would follow links
    video = cv2.VideoCapture()
    for reader in cv2.videoio_registry.getStreamBackends():
        if reader not in _NO_READERS and video.open(path, reader):
            break
    return video
