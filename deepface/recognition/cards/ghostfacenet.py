"""What is known of GhostFaceNet; see ``recognition/ghostfacenet.py`` for the model."""

from __future__ import annotations

from deepface.recognition.card import Curve, RecognitionCard
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
    curves={
        "cosine": Curve(
            -6.595823624282929,
            2.4180964556128584,
            1.155661,
            84.65757505749636,
            22.700531204915876,
            15.08427020899693,
            1.5101757980158446,
        ),
        "euclidean": Curve(
            -6.506709483088198,
            2.935230928728856,
            52.150135,
            73.09358661728027,
            24.63718600288871,
            16.513245368123492,
            2.7345457334612155,
        ),
        "euclidean_l2": Curve(
            -6.572852118241916,
            3.3068829731570824,
            1.520303,
            75.95533899593255,
            20.08886780040665,
            17.84278657570624,
            3.675727926946401,
        ),
        "angular": Curve(
            -5.588606771251277,
            0.48845693581021543,
            0.549751,
            39.92978715270581,
            16.49081504576138,
            16.143233933992967,
            7.018276839135204,
        ),
    },
)
