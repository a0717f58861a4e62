"""What is known of Age; see ``attributes/age.py`` for the model."""

from __future__ import annotations

from deepface.runtime.card import Card
from deepface.runtime.weights.table import published

CARD = Card(
    name="Age",
    model="deepface.attributes.age:Age",
    summary="Apparent age in years.",
    files=(
        (
            published(
                "age_model_weights.pth",
                "non-commercial (Oxford VGG-Face)",
                tensors={
                    "backbone.conv1_1.weight": (64, 3, 3, 3),
                    "predictions.bias": (101,),
                },
            ),
            published(
                "age_model_weights.h5",
                "non-commercial (Oxford VGG-Face)",
                size=538_771_776,
                sha256="0aeff75734bfe794113756d2bfd0ac823d51e9422c8961125b570871d3c2b114",
                layers=16,
            ),
            published("age_model_weights.onnx", "non-commercial (Oxford VGG-Face)"),
        ),
    ),
)
