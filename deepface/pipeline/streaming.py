"""Faces of a webcam or a video, analysed and recognised while it runs: ``stream``."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import cv2

from deepface.errors import DeepFaceError, EmptyDatasource, MissingPackageError
from deepface.images.load import load_image
from deepface.images.video import Frame, iter_frames
from deepface.logger import get_logger
from deepface.matching.distance import Metric
from deepface.pipeline import overlay
from deepface.pipeline.face_pipeline import FacePipeline
from deepface.pipeline.find import find
from deepface.search.query import Query
from deepface.types import Image

#: Faces up to so many pixels wide are ignored: the published library's limit.
_SMALLEST_WIDTH = 130
#: Frames of a file whose faces are found at a time. A webcam's come one by one: nobody waits.
_FILE_BATCH = 16
_WINDOW = "DeepFace"
#: Frames per second where a source does not say.
_DEFAULT_RATE = 20.0


@dataclass(frozen=True)
class Analysis:
    """What happens to the faces of a stream.

    Faces are followed for ``frame_threshold`` frames in a row; then the frame stands still for
    ``time_threshold`` seconds with what was found out about them: age, gender and emotion where
    ``enable_face_analysis`` is on, and the closest face of the gallery ``db_path``.
    """

    detector_backend: str = "opencv"
    model_name: str = "VGG-Face"
    distance_metric: str | Metric = "cosine"
    db_path: str = ""
    enable_face_analysis: bool = True
    time_threshold: float = 5
    frame_threshold: int = 5
    anti_spoofing: bool = False
    device: str | None = None
    debug: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "time_threshold", max(1, self.time_threshold))
        object.__setattr__(self, "frame_threshold", max(1, self.frame_threshold))

    def prepare(self) -> Analysis:
        """Build the gallery and the models before the first frame, and say what is missing."""
        if self.enable_face_analysis:
            self._attributes([])
        if not self.db_path:
            return self
        try:
            self._search([], refresh=True)
        except EmptyDatasource as error:
            get_logger().warning("nobody will be recognised: %s", error)
            return Analysis(**{**vars(self), "db_path": ""})
        return self

    def annotate(self, frames: Iterable[Frame], batch_size: int) -> Iterator[Image]:
        """The frames as a viewer sees them, as many as come in.

        Args:
            frames: with times that rise.
            batch_size: frames whose faces are found at a time.
        """
        frames = iter(frames)
        frozen: Image | None = None
        until, streak, number = 0.0, 0, 0
        while chunk := list(islice(frames, batch_size)):
            found: list[list[dict[str, Any]]] = []
            for position, frame in enumerate(chunk):
                if frozen is not None and frame.seconds < until:
                    yield frozen
                    continue
                frozen = None
                if not found:  # those before stood still, and need no faces
                    found = [[]] * position + self._faces([f.pixels for f in chunk[position:]])
                faces = found[position]
                streak = streak + 1 if faces else 0
                if streak < self.frame_threshold:
                    yield overlay.mark_live(frame.pixels, faces, self.frame_threshold - streak)
                    continue
                frozen = self._results(frame.pixels, faces)
                until, streak = frame.seconds + self.time_threshold, 0
                if self.debug:
                    for index, face in enumerate(faces):
                        cv2.imwrite(f"freezed_{number}_{index}.jpg", face["face"])
                number += 1
                yield frozen

    def _faces(self, frames: list[Image]) -> list[list[dict[str, Any]]]:
        find_them = FacePipeline(
            self.detector_backend,
            anti_spoofing=self.anti_spoofing,
            enforce_detection="empty",
            color_face="bgr",
            normalize_face=False,
            device=self.device,
        )
        return [
            [face for face in faces if face["facial_area"]["w"] > _SMALLEST_WIDTH]
            for faces in find_them(frames)
        ]

    def _results(self, frame: Image, faces: list[dict[str, Any]]) -> Image:
        crops = [face["face"] for face in faces]
        lines: list[list[str]] = [[] for _ in faces]
        people: list[Image | None] = [None for _ in faces]
        if self.enable_face_analysis:
            for texts, described in zip(lines, self._attributes(crops), strict=True):
                texts += [
                    f"{described['dominant_gender']}, {described['age']:.0f}",
                    str(described["dominant_emotion"]),
                ]
        if self.db_path:
            for position, match in enumerate(self._search(crops)):
                if match is not None:
                    lines[position].insert(0, Path(match["identity"]).stem)
                    people[position] = _picture_of(match)
        for texts, face in zip(lines, faces, strict=True):
            if not face.get("is_real", True):
                texts.insert(0, "not a real face")
        return overlay.mark_results(frame, faces, lines, people)

    def _attributes(self, crops: list[Image]) -> list[dict[str, Any]]:
        actions = ("age", "gender", "emotion")
        if not crops:  # only build them
            from deepface.attributes.registry import ATTRIBUTES
            from deepface.pipeline.options import ACTIONS

            for action in actions:
                ATTRIBUTES.build(ACTIONS[action], self.device)
            return []
        analyze = FacePipeline("skip", actions=actions, device=self.device)
        return [faces[0] for faces in analyze(crops)]

    def _search(self, crops: list[Image], refresh: bool = False) -> list[dict[str, Any] | None]:
        """The closest person of the gallery for each face, where one is close enough."""
        embed = FacePipeline(
            self.detector_backend, self.model_name, enforce_detection=False, device=self.device
        )
        query = Query(self.distance_metric, return_type="dict")
        found = find(
            embed, crops, self.db_path, query, silent=not refresh, refresh_database=refresh
        )
        return [next((row for rows in tables for row in rows), None) for tables in found]


def _picture_of(match: dict[str, Any]) -> Image | None:
    """The face of a match, cut out of its file; ``None`` when that is gone."""
    try:
        picture, _ = load_image(match["identity"])
    except DeepFaceError as error:
        get_logger().warning("no picture of who was recognised: %s", error)
        return None
    x, y, w, h = (max(0, int(match[f"target_{side}"])) for side in "xywh")
    face = picture[y : y + h, x : x + w]
    return face if face.size else None  # type: ignore[return-value]


def stream(
    analysis: Analysis,
    source: int | str | os.PathLike[str] = 0,
    output_path: str | os.PathLike[str] | None = None,
) -> None:
    """See :func:`deepface.DeepFace.stream`."""
    obstacle = _why_no_window()
    if obstacle is not None and output_path is None:
        raise obstacle
    live = isinstance(source, int) or not Path(source).is_file()
    capture = cv2.VideoCapture(source if isinstance(source, int) else os.fsdecode(source))
    try:
        if not capture.isOpened():
            get_logger().error(
                "video source %r cannot be opened: is it a webcam's number, a stream's URL or a "
                "video file, and is no other program using it?",
                source,
            )
            return
        analysis = analysis.prepare()
        rate = capture.get(cv2.CAP_PROP_FPS) or _DEFAULT_RATE
        frames = _live_frames(capture) if live else iter_frames(str(source))
        with contextlib.ExitStack() as stack:
            write = stack.enter_context(_writer(output_path, rate)) if output_path else None
            for picture in analysis.annotate(frames, 1 if live else _FILE_BATCH):
                if write is not None:
                    write(picture)
                if obstacle is None and _shown(picture, 0 if live else rate):
                    break
    finally:
        capture.release()
        if obstacle is None:
            cv2.destroyAllWindows()


def _live_frames(capture: cv2.VideoCapture) -> Iterator[Frame]:
    start, number = time.monotonic(), 0
    while True:
        taken, pixels = capture.read()
        if not taken:
            return
        yield Frame(pixels, "live", number, time.monotonic() - start)  # type: ignore[arg-type]
        number += 1


@contextlib.contextmanager
def _writer(path: str | os.PathLike[str], rate: float) -> Iterator[Any]:
    """A function that appends a frame to an MPEG-4 file, which is made when the first one comes."""
    name = os.fsdecode(path)
    writers: list[cv2.VideoWriter] = []

    def write(picture: Image) -> None:
        if not writers:
            size = (picture.shape[1], picture.shape[0])
            writers.append(cv2.VideoWriter(name, cv2.VideoWriter.fourcc(*"mp4v"), rate, size))
            if not writers[0].isOpened():
                raise DeepFaceError(
                    f"cannot write a video to {name}: does its folder exist, may it be written "
                    "to, and does the name end in .mp4?"
                )
        writers[0].write(picture)

    try:
        yield write
    finally:
        for writer in writers:
            writer.release()


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
