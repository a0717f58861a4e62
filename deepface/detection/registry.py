"""Detectors by name."""

from __future__ import annotations

from typing import Any

from deepface.detection.detector import Detector
from deepface.runtime.models import Entry, Registry


def _entry(path: str, **arguments: Any) -> Entry:
    return Entry(f"deepface.detection.{path}", arguments)


_YOLO = (
    *("yolov8n", "yolov8m", "yolov8l"),
    *("yolov11n", "yolov11s", "yolov11m", "yolov11l"),
    *("yolov12n", "yolov12s", "yolov12m", "yolov12l"),
)

DETECTORS: Registry[Detector] = Registry(
    "face_detector",
    {
        "opencv": _entry("haar.opencv:OpenCvDetector"),
        "ssd": _entry("ssd:SsdDetector"),
        "mtcnn": _entry("mtcnn.detector:MtcnnDetector"),
        "fastmtcnn": _entry("mtcnn.detector:FastMtcnnDetector"),
        "dlib": _entry("dlib:DlibDetector"),
        "mediapipe": _entry("mediapipe:MediaPipeDetector"),
        **{name: _entry("yolo.detector:YoloDetector", variant=name) for name in _YOLO},
        "retinaface": _entry("retinaface.detector:RetinaFaceDetector"),
        "retinaface-mobilenet0.25": _entry("retinaface.pytorch:RetinaFaceMobileNetDetector"),
        "retinaface-resnet50": _entry("retinaface.pytorch:RetinaFaceResNet50Detector"),
        "yunet": _entry("yunet:YuNetDetector"),
        "centerface": _entry("centerface:CenterFaceDetector"),
    },
    extra_names=", skip",
    aliases={"yolov8": "yolov8n"},
)
