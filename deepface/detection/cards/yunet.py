"""What is known of yunet; see ``detection/yunet.py`` for the detector."""

from __future__ import annotations

from deepface.detection.card import DetectorCard
from deepface.runtime.weights.table import WeightFile

FILE = WeightFile(
    "face_detection_yunet_2023mar.onnx",
    (
        "https://github.com/opencv/opencv_zoo/raw/"
        "82b38c8f98e7b52aa171400f3e4c722352d0669f/models/face_detection_yunet/"
        "face_detection_yunet_2023mar.onnx",
    ),
    "MIT",
    size=232_589,
    sha256="8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4",
)
CARD = DetectorCard(
    name="yunet",
    model="deepface.detection.yunet:YuNetDetector",
    summary="75,000 weights: quick on a CPU.",
    files=((FILE,),),
    needs_torch=False,  # on a CPU
    landmarks=5,
)
