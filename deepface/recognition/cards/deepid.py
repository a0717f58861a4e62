"""What is known of DeepID; see ``recognition/deepid.py`` for the model."""

from deepface.recognition.card import RecognitionCard
from deepface.recognition.curves import CURVES
from deepface.runtime.weights.table import published

CARD = RecognitionCard(
    name="DeepID",
    model="deepface.recognition.deepid:DeepId",
    summary="A very small network of 2014.",
    published_name="DeepId",
    files=(
        (
            published(
                "deepid_weights.pth",
                None,
                tensors={"Conv1.weight": (20, 3, 4, 4), "fc12.bias": (160,)},
            ),
            published("deepid_keras_weights.h5", None, layers=6),
            published("deepid_weights.onnx", None),
        ),
    ),
    input_shape=(47, 55),
    output_shape=160,
    thresholds={"cosine": 0.015, "euclidean": 45, "euclidean_l2": 0.17, "angular": 0.04},
    curves=CURVES["DeepID"],
    minmax=(0.0, 127.86836242675781),
)
