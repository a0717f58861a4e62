"""Detectors by name."""

from __future__ import annotations

from deepface.detection.card import DetectorCard
from deepface.detection.cards import (
    centerface,
    dlib,
    mediapipe,
    mtcnn,
    opencv,
    retinaface,
    ssd,
    yolo,
    yunet,
)
from deepface.detection.detector import Detector
from deepface.runtime.models import Registry

DETECTORS: Registry[Detector, DetectorCard] = Registry(
    "face_detector",
    (
        opencv.CARD,
        ssd.CARD,
        mtcnn.MTCNN,
        mtcnn.FAST_MTCNN,
        dlib.CARD,
        mediapipe.CARD,
        *yolo.CARDS,
        retinaface.RETINAFACE,
        retinaface.MOBILENET,
        retinaface.RESNET50,
        yunet.CARD,
        centerface.CARD,
    ),
    DetectorCard,
    group="deepface.detectors",
    extra_names=", skip",
)
