"""BlazeFace (Bazarevsky et al., 2019) by MediaPipe's tasks API."""

from __future__ import annotations

import os
from functools import partial
from typing import Any

from deepface.detection.canvas import Canvas
from deepface.detection.cards.mediapipe import CARD, FULL_RANGE, SHORT_RANGE
from deepface.detection.detector import Detector, threshold_from_env
from deepface.errors import MissingPackageError, UnimplementedError
from deepface.runtime.concurrency.object_pool import ObjectPool
from deepface.runtime.weights.damage import reading
from deepface.runtime.weights.store import ensure_weight
from deepface.runtime.weights.trial import check_by_trial
from deepface.types import FacialAreaRegion, Point

#: What ``MEDIAPIPE_MODEL_SELECTION`` chooses from.
_MODELS = {"0": SHORT_RANGE, "1": FULL_RANGE}

_IMPORTS = "from mediapipe.tasks.python import BaseOptions, vision"
_TRIAL = """
    base = BaseOptions(model_asset_path=path)
    vision.FaceDetector.create_from_options(vision.FaceDetectorOptions(base_options=base))
""".strip()


class MediaPipeDetector(Detector):
    """MediaPipe's ``FaceDetector``; it is shown BGR, though it expects RGB, as published.

    Environment, read when it is built: ``MEDIAPIPE_MIN_DETECTION_CONFIDENCE`` (0.7) and
    ``MEDIAPIPE_MODEL_SELECTION`` (0: faces within two metres; 1: within five).
    """

    card = CARD

    def __init__(self, device: str | None = None) -> None:
        super().__init__(device)
        try:
            from mediapipe import Image, ImageFormat
            from mediapipe.tasks.python import BaseOptions
            from mediapipe.tasks.python.vision import FaceDetector, FaceDetectorOptions
        except ImportError as error:
            raise MissingPackageError(
                f"the detector mediapipe needs the package mediapipe ({error}): "
                "pip install --no-deps mediapipe && pip install absl-py flatbuffers"
            ) from error
        selection = os.environ.get("MEDIAPIPE_MODEL_SELECTION") or "0"
        if selection not in _MODELS:
            raise UnimplementedError(
                f"environment variable MEDIAPIPE_MODEL_SELECTION={selection!r}: must be 0 or 1"
            )
        file = _MODELS[selection]
        path = ensure_weight(file)
        check_by_trial(path, file, _IMPORTS, _TRIAL)
        options = FaceDetectorOptions(
            base_options=BaseOptions(model_asset_path=str(path)),
            min_detection_confidence=threshold_from_env("MEDIAPIPE_MIN_DETECTION_CONFIDENCE", 0.7),
        )
        self._wrap: Any = partial(Image, ImageFormat.SRGB)
        self._detectors: ObjectPool[Any] = ObjectPool(
            lambda: FaceDetector.create_from_options(options)
        )
        with reading(path, "MediaPipe model"), self._detectors.borrow():
            pass  # one is made now, and fails now

    def _detect_one(self, canvas: Canvas) -> list[FacialAreaRegion]:
        image = self._wrap(canvas.pixels())
        with self._detectors.borrow() as detector:
            result = detector.detect(image)
        return [_region(detection, canvas) for detection in result.detections]


def _region(detection: Any, canvas: Canvas) -> FacialAreaRegion:
    """Boxes come in pixels; points in fractions of the canvas, the person's right eye first."""

    def pixels(point: Any) -> Point:
        return int(point.x * canvas.width), int(point.y * canvas.height)

    box = detection.bounding_box
    right_eye, left_eye = detection.keypoints[:2]
    return FacialAreaRegion(
        *(box.origin_x, box.origin_y, box.width, box.height),
        left_eye=pixels(left_eye),
        right_eye=pixels(right_eye),
        confidence=detection.categories[0].score,
    )
