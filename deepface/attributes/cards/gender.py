"""What is known of Gender; see ``attributes/gender.py`` for the model."""

from __future__ import annotations

from deepface.runtime.card import Card
from deepface.runtime.weights.table import published

CARD = Card(
    name="Gender",
    model="deepface.attributes.gender:Gender",
    summary="Woman or Man.",
    files=(
        (
            published(
                "gender_model_weights.pth",
                "non-commercial (Oxford VGG-Face)",
                tensors={
                    "backbone.conv1_1.weight": (64, 3, 3, 3),
                    "predictions.bias": (2,),
                },
            ),
            published(
                "gender_model_weights.h5",
                "non-commercial (Oxford VGG-Face)",
                sha256="45513ce5678549112d25ab85b1926fb65986507d49c674a3d04b2ba70dba2eb5",
                layers=16,
            ),
            published("gender_model_weights.onnx", "non-commercial (Oxford VGG-Face)"),
        ),
    ),
)
