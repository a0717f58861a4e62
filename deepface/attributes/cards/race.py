"""What is known of Race; see ``attributes/race.py`` for the model."""

from __future__ import annotations

from deepface.runtime.card import Card
from deepface.runtime.weights.table import published

CARD = Card(
    name="Race",
    model="deepface.attributes.race:Race",
    summary="Six groups.",
    files=(
        (
            published(
                "race_model_single_batch.pth",
                "non-commercial (Oxford VGG-Face)",
                tensors={
                    "backbone.conv1_1.weight": (64, 3, 3, 3),
                    "predictions.bias": (6,),
                },
            ),
            published(
                "race_model_single_batch.h5",
                "non-commercial (Oxford VGG-Face)",
                sha256="eb22b28b1f6dfce65b64040af4e86003a5edccb169a1a338470dde270b6f5e54",
                layers=16,
            ),
            published("race_model_single_batch.onnx", "non-commercial (Oxford VGG-Face)"),
        ),
    ),
)
