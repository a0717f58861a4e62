"""What is known of the YOLO detectors; see ``detection/yolo`` for them."""

from __future__ import annotations

from typing import Any

from deepface.detection.card import DetectorCard
from deepface.runtime.card import Package
from deepface.runtime.weights.table import WeightFile

ULTRALYTICS = Package("ultralytics", "pip install ultralytics")
_YAPALAB = "https://github.com/YapaLab/yolo-face/releases/download/1.0.0"
_AKANAMETOV = "https://github.com/akanametov/yolo-face/releases/download/1.0.0"


def _card(name: str, url: str, **others: Any) -> DetectorCard:
    file = WeightFile(f"{name}-face.pt", (url,), "GPL/AGPL")
    return DetectorCard(
        name=name,
        model="deepface.detection.yolo.detector:YoloDetector",
        arguments={"variant": name},
        files=((file,),),
        package=ULTRALYTICS,
        **others,
    )


def _without_points(name: str, folder: str) -> DetectorCard:
    summary = "YOLOv8, YOLO11 or YOLO12, from nano to large, without key points."
    return _card(name, f"{folder}/{name}-face.pt", summary=summary)


YOLOV8N = _card(
    "yolov8n",
    "https://drive.google.com/uc?id=1qcr9DbgsX3ryrz2uU8w4Xm3cOrRywXqb",
    summary="YOLOv8 nano with key points of the face.",
    landmarks=5,
    aliases=("yolov8",),
)
CARDS = (
    YOLOV8N,
    _without_points("yolov8m", _YAPALAB),
    _without_points("yolov8l", _YAPALAB),
    _without_points("yolov11n", _AKANAMETOV),
    _without_points("yolov11s", _AKANAMETOV),
    _without_points("yolov11m", _AKANAMETOV),
    _without_points("yolov11l", _YAPALAB),
    _without_points("yolov12n", _YAPALAB),
    _without_points("yolov12s", _YAPALAB),
    _without_points("yolov12m", _YAPALAB),
    _without_points("yolov12l", _YAPALAB),
)
