"""What is known of GhostFaceNet; see ``recognition/ghostfacenet.py`` for the model."""

from deepface.recognition.card import RecognitionCard
from deepface.recognition.curves import CURVES
from deepface.recognition.templates import ARCFACE
from deepface.runtime.weights.table import WeightFile, published

CARD = RecognitionCard(
    name="GhostFaceNet",
    model="deepface.recognition.ghostfacenet:GhostFaceNet",
    summary="GhostFaceNet v1: few parameters.",
    files=(
        (
            published(
                "ghostfacenet_v1.pth",
                "MIT",
                tensors={"stem.conv.weight": (20, 3, 3, 3), "pre_embedding.running_var": (512,)},
            ),
            WeightFile(
                "ghostfacenet_v1.h5",
                (
                    "https://github.com/HamadYA/GhostFaceNets/releases/download/"
                    "v1.2/GhostFaceNet_W1.3_S1_ArcFace.h5",
                ),
                "MIT",
                layers=219,
            ),
            published("ghostfacenet_v1.onnx", "MIT"),
        ),
    ),
    input_shape=(112, 112),
    output_shape=512,
    cut=ARCFACE,
    thresholds={"cosine": 0.65, "euclidean": 35.71, "euclidean_l2": 1.1, "angular": 0.38},
    curves=CURVES["GhostFaceNet"],
)
