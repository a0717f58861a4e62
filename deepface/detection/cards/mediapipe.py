"""What is known of mediapipe; see ``detection/mediapipe.py`` for the detector."""

from __future__ import annotations

from deepface.detection.card import DetectorCard
from deepface.runtime.card import Package
from deepface.runtime.weights.table import WeightFile

_MODELS = "https://storage.googleapis.com/mediapipe-models/face_detector"
SHORT_RANGE = WeightFile(
    "blaze_face_short_range.tflite",
    (f"{_MODELS}/blaze_face_short_range/float16/1/blaze_face_short_range.tflite",),
    "Apache-2.0",
    size=229_746,
    sha256="b4578f35940bf5a1a655214a1cce5cab13eba73c1297cd78e1a04c2380b0152f",
)
#: Of an environment variable.
FULL_RANGE = WeightFile(
    "blaze_face_full_range.tflite",
    (f"{_MODELS}/blaze_face_full_range/float16/1/blaze_face_full_range.tflite",),
    "Apache-2.0",
)

CARD = DetectorCard(
    name="mediapipe",
    model="deepface.detection.mediapipe:MediaPipeDetector",
    summary="BlazeFace by MediaPipe, for faces within two metres.",
    files=((SHORT_RANGE,),),
    other_files=(FULL_RANGE,),
    # By its dependencies it would bring a second OpenCV wheel that overwrites the first.
    package=Package(
        "mediapipe", "pip install --no-deps mediapipe && pip install absl-py flatbuffers"
    ),
    needs_torch=False,
    landmarks=2,
)
