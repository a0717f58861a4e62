"""What is known of OpenFace; see ``recognition/openface.py`` for the model."""

from __future__ import annotations

from deepface.recognition.card import Curve, RecognitionCard
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
    curves={
        "cosine": Curve(
            -2.932562678842587,
            -2.0582304636838518,
            0.884469,
            10.546657497687274,
            8.832401641007316,
            8.535900401000742,
            0.9452381276992784,
        ),
        "euclidean": Curve(
            -5.829345103053105,
            1.4390680732209533,
            1.330015,
            60.28549643159932,
            27.506182086242408,
            27.058382251505012,
            1.2245483461697035,
        ),
        "euclidean_l2": Curve(
            -5.82934526003372,
            1.4390681633867946,
            1.330015,
            60.28549793162577,
            27.506182591043363,
            27.058382739158215,
            1.224548265353685,
        ),
        "angular": Curve(
            -0.5288927551138177,
            -4.450627600247528,
            0.463143,
            1.109656206367124,
            1.0914425266009675,
            1.0887229955132125,
            0.9052858972210456,
        ),
    },
    minmax=(-0.34191709756851196, 0.26318004727363586),
)
