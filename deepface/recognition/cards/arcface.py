"""What is known of ArcFace; see ``recognition/arcface.py`` for the model."""

from __future__ import annotations

from deepface.recognition.card import Curve, RecognitionCard
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
    curves={
        "cosine": Curve(
            -6.586150423868342,
            2.2617127737265186,
            1.22267,
            82.32544721731948,
            28.687745855666044,
            17.210359124614925,
            1.306796127659645,
        ),
        "euclidean": Curve(
            -5.370594347027345,
            0.6896763568574544,
            10.401334,
            43.042326442916284,
            19.048164749978937,
            18.682892152590245,
            0.9185346995033978,
        ),
        "euclidean_l2": Curve(
            -6.541948874098929,
            3.2628963901283585,
            1.563758,
            74.93505228104696,
            21.800168694491585,
            15.091078907730523,
            3.6296845343803894,
        ),
        "angular": Curve(
            -5.63344888288512,
            0.5682159222314143,
            0.571477,
            40.81365081792457,
            18.409621072962818,
            15.13985487535995,
            6.59169002231532,
        ),
    },
    minmax=(-2.945136308670044, 2.087090015411377),
)
