"""What is known of Emotion; see ``attributes/emotion.py`` for the model."""

from __future__ import annotations

from deepface.runtime.card import Card
from deepface.runtime.weights.table import published

CARD = Card(
    name="Emotion",
    model="deepface.attributes.emotion:Emotion",
    summary="Seven expressions.",
    files=(
        (
            published(
                "facial_expression_model_weights.pth",
                "MIT",
                tensors={"conv_1.weight": (64, 1, 5, 5), "fc_3.bias": (7,)},
            ),
            published(
                "facial_expression_model_weights.h5",
                "MIT",
                sha256="e8e8851d3fa05c001b1c27fd8841dfe08d7f82bb786a53ad8776725b7a1e824c",
                layers=8,
            ),
            published("facial_expression_model_weights.onnx", "MIT"),
        ),
    ),
)
