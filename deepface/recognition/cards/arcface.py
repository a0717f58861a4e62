"""What is known of ArcFace; see ``recognition/arcface.py`` for the model."""

from deepface.recognition.card import RecognitionCard
from deepface.recognition.curves import CURVES
from deepface.recognition.templates import ARCFACE
from deepface.runtime.weights.table import published

CARD = RecognitionCard(
    name="ArcFace",
    model="deepface.recognition.arcface:ArcFace",
    summary="ResNet34 with an angular margin.",
    files=(
        (
            published(
                "arcface_weights.pth",
                "MIT",
                tensors={
                    "backbone.conv1_conv.weight": (64, 3, 3, 3),
                    "embedding.running_var": (512,),
                },
            ),
            published(
                "arcface_weights.h5",
                "MIT",
                size=137_026_640,
                sha256="6336979c0c602cae08d1122a66f4dfb862d059bbcd8ef80306aef2b2249b0c93",
                layers=110,
            ),
            published("arcface_weights.onnx", "MIT"),
        ),
    ),
    input_shape=(112, 112),
    output_shape=512,
    cut=ARCFACE,
    thresholds={"cosine": 0.68, "euclidean": 4.15, "euclidean_l2": 1.13, "angular": 0.39},
    curves=CURVES["ArcFace"],
    minmax=(-2.945136308670044, 2.087090015411377),
)
