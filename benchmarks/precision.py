"""What lower precision does to what detectors find: boxes and confidences against float32."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks.arguments import add_output, add_pictures, names
from benchmarks.border import pairs
from benchmarks.pictures import pictures, read
from benchmarks.report import Report, Row

HELP = "boxes and confidences of detectors in lower precision against float32"
COLUMNS = {
    "detector": "detector",
    "precision": "precision",
    "faces": "faces in float32",
    "lost": "lost",
    "new": "new",
    "within": "share within 1 px",
    "farthest": "farthest, px",
    "confidence": "mean difference of confidence",
    "largest": "largest",
}
DETECTORS = (
    *("yolov8n", "yolov11n", "ssd", "retinaface-mobilenet0.25", "yunet", "centerface"),
    *("mtcnn", "fastmtcnn"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("--detector", type=names, default=list(DETECTORS), help="NAME[,NAME...]")
    parser.add_argument(
        "--precision", type=names, default=["bf16", "fp16"], help="of tf32, bf16, fp16"
    )
    add_pictures(parser)
    parser.add_argument("--device")
    add_output(parser)


def run(args: argparse.Namespace) -> int:
    """Compare, print, save."""
    from deepface.detection.registry import DETECTORS as KNOWN

    report = Report("precision", settings={"device": args.device})
    with pictures(args.images, args.limit) as found:
        images = [read(path) for path in found]
    for name in args.detector:
        try:
            exact: Any = KNOWN.build(name, args.device).detect_faces(images)
            for precision in args.precision:
                detector = KNOWN.build(name, args.device, precision=precision)
                row: Row = {"detector": name, "precision": precision, "pictures": len(images)}
                report.rows.append(row | compared(exact, detector.detect_faces(images)))
        except (ValueError, ImportError) as error:
            report.note(f"{name} skipped: {error}")
        report.save(args.out, args.tag)
    return report.finish(args, COLUMNS)


def compared(exact: Sequence[Sequence[Any]], found: Sequence[Sequence[Any]]) -> Row:
    """Faces of pictures that overlap by half or more, against each other."""
    pixels, confidences = [], []
    for faces, others in zip(exact, found, strict=True):
        a, b = ([(f.x, f.y, f.w, f.h) for f in some] for some in (faces, others))
        for i, j in pairs(a, b):
            pixels.append(max(abs(m - n) for m, n in zip(a[i], b[j], strict=True)))
            confidences.append(abs(faces[i].confidence - others[j].confidence))
    count = sum(map(len, exact))
    return {
        "faces": count,
        "lost": count - len(pixels),
        "new": sum(map(len, found)) - len(pixels),
        "within": round(float(np.mean(np.array(pixels) <= 1)), 4) if pixels else None,
        "farthest": max(pixels, default=None),
        "confidence": round(float(np.mean(confidences)), 5) if pixels else None,
        "largest": round(max(confidences), 4) if pixels else None,
    }
