"""What is known of OpenFace; see ``recognition/openface.py`` for the model."""

from deepface.recognition.card import RecognitionCard
from deepface.recognition.curves import CURVES
from deepface.runtime.weights.table import published

CARD = RecognitionCard(
    name="OpenFace",
    model="deepface.recognition.openface:OpenFace",
    summary="nn4.small2: small and old.",
    files=(
        (
            published(
                "openface_weights.pth",
                "Apache-2.0",
                tensors={"conv1.conv.weight": (64, 3, 7, 7), "dense_layer.bias": (128,)},
            ),
            published(
                "openface_weights.h5",
                "Apache-2.0",
                sha256="5b41897ec6dd762cee20575eee54ed4d719a78cb982b2080a87dc14887d88a7a",
                layers=75,
            ),
            published("openface_weights.onnx", "Apache-2.0"),
        ),
    ),
    input_shape=(96, 96),
    output_shape=128,
    thresholds={"cosine": 0.1, "euclidean": 0.55, "euclidean_l2": 0.55, "angular": 0.11},
    curves=CURVES["OpenFace"],
    minmax=(-0.34191709756851196, 0.26318004727363586),
)
