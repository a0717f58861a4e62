"""What happens to the faces of a stream, frame by frame."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import cv2

from deepface.arguments import number, truth
from deepface.errors import DeepFaceError, EmptyDatasource
from deepface.images.load import load_image
from deepface.images.video import Frame
from deepface.live import overlay
from deepface.logger import get_logger
from deepface.matching.distance import Metric
from deepface.pipeline.face_pipeline import FacePipeline
from deepface.pipeline.find import find
from deepface.pipeline.options import DEFAULT_DETECTOR, DEFAULT_MODEL
from deepface.runtime.safe_files import write
from deepface.search.query import Query
from deepface.types import Image

#: Faces up to so many pixels wide are ignored: the published library's limit.
_SMALLEST_WIDTH = 130


@dataclass(frozen=True)
class StreamAnalysis:
    """What happens to the faces of a stream.

    Faces are followed for ``frame_threshold`` frames in a row; then the frame stands still for
    ``time_threshold`` seconds with what was found out about them: age, gender and emotion where
    ``enable_face_analysis`` is on, and the closest face of the gallery ``db_path``.
    """

    detector_backend: str = DEFAULT_DETECTOR
    model_name: str = DEFAULT_MODEL
    distance_metric: str | Metric = "cosine"
    db_path: str = ""
    enable_face_analysis: bool = True
    time_threshold: float = 5
    frame_threshold: int = 5
    anti_spoofing: bool = False
    device: str | None = None
    debug: bool = False

    def __post_init__(self) -> None:
        for name in ("time_threshold", "frame_threshold"):
            object.__setattr__(self, name, max(1, number(name, getattr(self, name))))
        for name in ("enable_face_analysis", "anti_spoofing", "debug"):
            object.__setattr__(self, name, truth(name, getattr(self, name)))
        # Which refuse what they do not know before the camera is opened.
        FacePipeline(self.detector_backend, self.model_name, device=self.device)
        if self.db_path:
            Query(self.distance_metric)

    def prepare(self) -> StreamAnalysis:
        """Build the gallery and the models before the first frame, and say what is missing."""
        if self.enable_face_analysis:
            self._attributes([])
        if not self.db_path:
            return self
        try:
            self._search([], refresh=True)
        except EmptyDatasource as error:
            get_logger().warning("nobody will be recognised: %s", error)
            return StreamAnalysis(**{**vars(self), "db_path": ""})
        return self

    def annotate(self, frames: Iterable[Frame], batch_size: int) -> Iterator[Image]:
        """The frames as a viewer sees them, as many as come in.

        Args:
            frames: with times that rise.
            batch_size: frames whose faces are found at a time.
        """
        frames = iter(frames)
        until, streak, number = -math.inf, 0, 0
        frozen: Any = None  # what is shown until then
        while chunk := list(islice(frames, batch_size)):
            moving = [frame for frame in chunk if frame.seconds >= until]
            yield from [frozen] * (len(chunk) - len(moving))  # which need no faces
            for frame, faces in zip(moving, self._faces(moving), strict=True):
                if frame.seconds < until:
                    yield frozen
                    continue
                streak = streak + 1 if faces else 0
                if streak < self.frame_threshold:
                    yield overlay.mark_live(frame.pixels, faces, self.frame_threshold - streak)
                    continue
                frozen = self._results(frame.pixels, faces)
                until, streak = frame.seconds + self.time_threshold, 0
                if self.debug:
                    _write_faces(faces, f"freezed_{number}")
                number += 1
                yield frozen

    def _faces(self, frames: list[Frame]) -> list[list[dict[str, Any]]]:
        if not frames:
            return []
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
            for faces in find_them([frame.pixels for frame in frames])
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


def _write_faces(faces: list[dict[str, Any]], name: str) -> None:
    for index, face in enumerate(faces):
        _, encoded = cv2.imencode(".jpg", face["face"])
        write(Path(f"{name}_{index}.jpg"), encoded.tobytes())


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
