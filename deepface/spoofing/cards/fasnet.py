"""What is known of Fasnet; see ``spoofing/fasnet.py`` for the model."""

from __future__ import annotations

from deepface.runtime.card import Card
from deepface.runtime.weights.table import WeightFile, published

_MINIVISION = (
    "https://github.com/minivision-ai/Silent-Face-Anti-Spoofing/raw/"
    "f679b7c96ad407d1114182847d3e0c20619a76d0/resources/anti_spoof_models"
)

CARD = Card(
    name="Fasnet",
    model="deepface.spoofing.fasnet:FasNet",
    summary="Two MiniFASNets look at the face and its surroundings, and vote.",
    files=(
        (
            WeightFile(
                "2.7_80x80_MiniFASNetV2.pth",
                (f"{_MINIVISION}/2.7_80x80_MiniFASNetV2.pth",),
                "Apache-2.0",
                size=1_849_453,
                sha256="a5eb02e1843f19b5386b953cc4c9f011c3f985d0ee2bb9819eea9a142099bec0",
            ),
            published("2.7_80x80_MiniFASNetV2.h5", "Apache-2.0", layers=134),
            published("2.7_80x80_MiniFASNetV2.onnx", "Apache-2.0"),
        ),
        (
            WeightFile(
                "4_0_0_80x80_MiniFASNetV1SE.pth",
                (f"{_MINIVISION}/4_0_0_80x80_MiniFASNetV1SE.pth",),
                "Apache-2.0",
                size=1_856_130,
                sha256="84ee1d37d96894d5e82de5a57df044ef80a58be2b218b5ed7cdfd875ec2f5990",
            ),
            published("4_0_0_80x80_MiniFASNetV1SE.h5", "Apache-2.0", layers=146),
            published("4_0_0_80x80_MiniFASNetV1SE.onnx", "Apache-2.0"),
        ),
    ),
)
