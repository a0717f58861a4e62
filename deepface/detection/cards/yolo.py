"""What is known of the YOLO detectors; see ``detection/yolo`` for them."""

from __future__ import annotations

from deepface.detection.card import DetectorCard
from deepface.runtime.card import Package
from deepface.runtime.weights.table import WeightFile

ULTRALYTICS = Package("ultralytics", "pip install ultralytics")
_YAPALAB = "https://github.com/YapaLab/yolo-face/releases/download/1.0.0"
_AKANAMETOV = "https://github.com/akanametov/yolo-face/releases/download/1.0.0"


def _card(name: str, folder: str) -> DetectorCard:
    file = WeightFile(f"{name}-face.pt", (f"{folder}/{name}-face.pt",), "GPL/AGPL")
    return DetectorCard(
        name=name,
        model="deepface.detection.yolo.detector:YoloDetector",
        arguments={"variant": name},
        summary="YOLOv8, YOLO11 or YOLO12, from nano to large, without key points.",
        files=((file,),),
        package=ULTRALYTICS,
    )


YOLOV8N = DetectorCard(
    name="yolov8n",
    model="deepface.detection.yolo.detector:YoloDetector",
    arguments={"variant": "yolov8n"},
    summary="YOLOv8 nano with key points of the face.",
    files=(
        (
            WeightFile(
                "yolov8n-face.pt",
                ("https://drive.google.com/uc?id=1qcr9DbgsX3ryrz2uU8w4Xm3cOrRywXqb",),
                "GPL/AGPL",
            ),
        ),
    ),
    package=ULTRALYTICS,
    landmarks=5,
    aliases=("yolov8",),
)
CARDS = (
    YOLOV8N,
    _card("yolov8m", _YAPALAB),
    _card("yolov8l", _YAPALAB),
    _card("yolov11n", _AKANAMETOV),
    _card("yolov11s", _AKANAMETOV),
    _card("yolov11m", _AKANAMETOV),
    _card("yolov11l", _YAPALAB),
    _card("yolov12n", _YAPALAB),
    _card("yolov12s", _YAPALAB),
    _card("yolov12m", _YAPALAB),
    _card("yolov12l", _YAPALAB),
)
