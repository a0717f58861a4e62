"""From a webcam, a URL or a video file to a window or another video file."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import cv2

from deepface._opencv import path_for_opencv
from deepface.arguments import whole
from deepface.errors import DeepFaceError, MissingPackageError
from deepface.images.paths import path_name
from deepface.images.video import Frame, iter_frames, open_video
from deepface.live.analysis import StreamAnalysis
from deepface.logger import get_logger
from deepface.runtime.safe_files import replacing_by_name
from deepface.types import Image

#: Frames of a file whose faces are found at a time. A webcam's come one by one: nobody waits.
_FILE_BATCH = 16
_WINDOW = "DeepFace"
#: Frames per second where a source does not say.
_DEFAULT_RATE = 20.0


def stream(
    analysis: StreamAnalysis,
    source: int | str | os.PathLike[str] = 0,
    output_path: str | os.PathLike[str] | None = None,
) -> None:
    """See :func:`deepface.DeepFace.stream`.

    A source that cannot be opened, or that breaks off, is an error in the log.
    """
    obstacle = _why_no_window()
    if obstacle is not None and output_path is None:
        raise obstacle
    if isinstance(source, (str, bytes, os.PathLike)):
        path = os.fsdecode(source)
        address: int | str = path_for_opencv(path)
        name: int | str = path_name(path)  # without a password
    else:
        path = ""
        address = name = whole("source, where it is no path or URL,", source, least=-1)
    is_file = os.path.isfile(path)  # noqa: PTH113 - false for what is too long for a path
    capture = open_video(path) if is_file else cv2.VideoCapture(address)
    try:
        if not capture.isOpened():
            get_logger().error(
                "video source %r cannot be opened: is it a webcam's number, a stream's URL or a "
                "video file, and is no other program using it?",
                name,
            )
            return
        analysis = analysis.prepare()
        rate = capture.get(cv2.CAP_PROP_FPS) or _DEFAULT_RATE
        frames = _file_frames(path) if is_file else _live_frames(capture, name)
        with ExitStack() as stack:
            record = None
            if output_path:
                record = stack.enter_context(_recorder(Path(output_path), rate))
            for picture in analysis.annotate(frames, _FILE_BATCH if is_file else 1):
                if record is not None:
                    record(picture)
                if obstacle is None and _shown(picture, rate if is_file else 0):
                    break
    finally:
        capture.release()
        if obstacle is None:
            cv2.destroyAllWindows()


def _file_frames(path: str) -> Iterator[Frame]:
    try:
        yield from iter_frames(path)
    except DeepFaceError as error:  # what came before it is shown and kept
        get_logger().error("%s", error)


def _live_frames(capture: cv2.VideoCapture, name: object) -> Iterator[Frame]:
    start, number = time.monotonic(), 0
    while True:
        taken, pixels = capture.read()
        if not taken:
            break
        yield Frame(pixels, "live", number, time.monotonic() - start)  # type: ignore[arg-type]
        number += 1
    if number:
        get_logger().info("video source %r has ended after %d frames", name, number)
    else:
        get_logger().error("video source %r was opened, but gives no picture", name)


@contextmanager
def _recorder(path: Path, rate: float) -> Iterator[Callable[[Image], None]]:
    """A function that appends a frame to an MPEG-4 file, which is made when the first one comes.

    The file has its name at the end, also where an error or Ctrl-C ends the recording.
    """
    recording = ExitStack()
    writers: list[cv2.VideoWriter] = []
    size = (0, 0)

    def record(picture: Image) -> None:
        nonlocal size
        if not writers:
            size = (picture.shape[1], picture.shape[0])
            writers.append(_open_writer(path, rate, size, recording))
        if (picture.shape[1], picture.shape[0]) != size:  # it would be left out without a word
            picture = cv2.resize(picture, size)  # type: ignore[assignment]
        writers[0].write(picture)

    try:
        yield record
    finally:
        recording.close()


def _open_writer(
    path: Path, rate: float, size: tuple[int, int], recording: ExitStack
) -> cv2.VideoWriter:
    refused = DeepFaceError(
        f"cannot write a video to {path}: does its folder exist, may it be written to, and does "
        "the name end in .mp4?"
    )
    with ExitStack() as opening:
        try:
            name = opening.enter_context(replacing_by_name(path))
        except OSError as error:
            raise refused from error
        writer = cv2.VideoWriter(
            path_for_opencv(name.absolute()), cv2.VideoWriter.fourcc(*"mp4v"), rate, size
        )
        if not writer.isOpened():
            raise refused
        opening.callback(writer.release)
        recording.enter_context(opening.pop_all())
    return writer


def _shown(picture: Image, rate: float) -> bool:
    """Show a frame for as long as it lasts; whether the viewer has pressed ``q``."""
    cv2.imshow(_WINDOW, picture)
    return (cv2.waitKey(max(1, round(1000 / rate)) if rate else 1) & 0xFF) == ord("q")


def _why_no_window() -> DeepFaceError | None:
    """What keeps OpenCV from opening a window, and what helps; ``None`` when nothing does."""
    otherwise = "Or pass output_path= to write a video instead."
    gui = next((x for x in cv2.getBuildInformation().splitlines() if x.strip()[:4] == "GUI:"), "")
    if gui.split()[-1:] == ["NONE"]:
        return MissingPackageError(
            "stream cannot open a window: this OpenCV was built without them. Replace it: "
            'pip uninstall opencv-python-headless, then pip install "opencv-python<5". ' + otherwise
        )
    # OpenCV's window library ends the whole process when it finds no display.
    if sys.platform.startswith("linux") and not (
        os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    ):
        return DeepFaceError(
            "stream cannot open a window: there is no display ($DISPLAY is not set). " + otherwise
        )
    return None
