"""What is known of Buffalo_L; see ``recognition/buffalo_l.py`` for the model."""

from deepface.recognition.card import RecognitionCard
from deepface.recognition.templates import ARCFACE
from deepface.runtime.card import ONNX_RUNTIME
from deepface.runtime.weights.table import WeightFile

CARD = RecognitionCard(
    name="Buffalo_L",
    model="deepface.recognition.buffalo_l:BuffaloL",
    summary="ResNet50 of InsightFace.",
    files=(
        (
            WeightFile(
                "buffalo_l/webface_r50.onnx",
                (
                    "https://"
                    "drive.google.com/uc?export=download&confirm=pbef&id=1N0GL-8ehw_bz2eZQWz2b0A5XBdXdxZhg",
                ),
                "non-commercial (InsightFace)",
            ),
        ),
    ),
    package=ONNX_RUNTIME,
    input_shape=(112, 112),
    output_shape=512,
    cut=ARCFACE,
    thresholds={"cosine": 0.55, "euclidean": 0.6, "euclidean_l2": 1.1, "angular": 0.45},
)
