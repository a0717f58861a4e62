"""Is a batch the same as single pictures? The largest difference per detector and model.

Law 1 of the design in figures: the same pictures one by one and in one list of mixed sizes.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

from benchmarks.arguments import add_made_weights, add_output, add_pictures, names
from benchmarks.pictures import pictures, read
from benchmarks.report import Report, Row
from benchmarks.stand_in_home import recognition_stand_in

HELP = "largest difference between a batch and single pictures, per detector and model"
COLUMNS = {
    "name": "detector or model",
    "pictures": "pictures",
    "faces": "faces",
    "unequal_boxes": "unequal boxes or landmarks",
    "confidence": "largest difference of confidence",
    "relative": "largest relative difference of a vector",
}
DETECTORS = (
    *("opencv", "ssd", "mtcnn", "fastmtcnn", "dlib", "yunet"),
    *("yolov8n", "yolov11n", "retinaface-mobilenet0.25"),
)
MODELS = (
    *("VGG-Face", "Facenet", "Facenet512", "OpenFace", "DeepFace", "DeepID"),
    *("ArcFace", "GhostFaceNet", "Dlib"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("--detector", type=names, default=list(DETECTORS), help="NAME[,NAME...]")
    parser.add_argument("--model", type=names, default=list(MODELS), help="NAME[,NAME...]")
    add_pictures(parser)
    parser.add_argument("--device")
    add_made_weights(parser)
    add_output(parser)


def run(args: argparse.Namespace) -> int:
    """Measure, print, save; exit code 1 when a law is broken."""
    report = Report("differences", settings={"device": args.device})
    with pictures(args.images, args.limit) as found:
        images = [read(path) for path in found]
        for name in args.detector:
            try:
                report.rows.append({"name": name} | detector_difference(name, images, args.device))
            except (ValueError, ImportError) as error:
                report.note(f"{name} skipped: {error}")
        for name in args.model:
            try:
                with recognition_stand_in(args.stand_ins, name):
                    row = model_difference(name, images, args.device)
                report.rows.append({"name": name} | row)
            except (ValueError, ImportError) as error:
                report.note(f"{name} skipped: {error}")
    return report.finish(args, COLUMNS)


def detector_difference(name: str, images: list[Any], device: str | None = None) -> Row:
    """The faces of each picture alone against those of the list."""
    from deepface.detection.registry import DETECTORS as KNOWN

    detector = KNOWN.build(name, device)
    batch = detector.detect_faces(images)
    unequal, confidence, faces = 0, 0.0, 0
    for image, together in zip(images, batch, strict=True):
        alone: Any = detector.detect_faces(image)
        faces += len(alone)
        unequal += abs(len(alone) - len(together))
        for a, b in zip(alone, together, strict=False):
            unequal += _integers(a) != _integers(b)
            confidence = max(confidence, abs((a.confidence or 0) - (b.confidence or 0)))
    return {
        "pictures": len(images),
        "faces": faces,
        "unequal_boxes": unequal,
        "confidence": float(confidence),
    }


def _integers(face: Any) -> tuple[Any, ...]:
    landmarks = (face.left_eye, face.right_eye, face.nose, face.mouth_left, face.mouth_right)
    return (face.x, face.y, face.w, face.h, *landmarks)


def model_difference(name: str, images: list[Any], device: str | None = None) -> Row:
    """The vectors of each picture alone against those of the list, detection left out."""
    from deepface.pipeline import FacePipeline

    pipeline = FacePipeline("skip", name, device=device)
    largest = 0.0
    for image, together in zip(images, pipeline(images), strict=True):
        [alone], [other] = pipeline(image), together
        a, b = np.array(alone["embedding"]), np.array(other["embedding"])
        largest = max(largest, float(np.linalg.norm(a - b) / np.linalg.norm(a)))
    return {"pictures": len(images), "faces": len(images), "relative": largest}
