"""What is known of opencv; see ``detection/haar`` for the detector."""

from __future__ import annotations

from deepface.detection.card import DetectorCard
from deepface.runtime.weights.table import WeightFile

_CASCADES = "https://github.com/opencv/opencv/raw/4.9.0/data/haarcascades"
#: They come with OpenCV; some packages of it leave them out.
FACES = WeightFile(
    "haarcascade_frontalface_default.xml",
    (f"{_CASCADES}/haarcascade_frontalface_default.xml",),
    "Intel (BSD-like)",
    size=930_127,
    sha256="0f7d4527844eb514d4a4948e822da90fbb16a34a0bbbbc6adc6498747a5aafb0",
)
EYES = WeightFile(
    "haarcascade_eye.xml",
    (f"{_CASCADES}/haarcascade_eye.xml",),
    "Intel (BSD-like)",
    size=341_406,
    sha256="71cc64fc305a355dc60067880f6fbbd43dd155bd63ee3844661a1bda34b2fd8c",
)

CARD = DetectorCard(
    name="opencv",
    model="deepface.detection.haar.opencv:OpenCvDetector",
    summary="OpenCV's Haar cascades, the default of the published library.",
    other_files=(FACES, EYES),
    needs_torch=False,
    landmarks=2,
    looks_for_eyes=True,
)
