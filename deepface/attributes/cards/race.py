"""What is known of Race; see ``attributes/race.py`` for the model."""

from __future__ import annotations

from deepface.attributes.cards.vgg import vgg_files
from deepface.runtime.card import Card

CARD = Card(
    name="Race",
    model="deepface.attributes.race:Race",
    summary="Six groups.",
    files=(
        vgg_files(
            "race_model_single_batch",
            classes=6,
            sha256="eb22b28b1f6dfce65b64040af4e86003a5edccb169a1a338470dde270b6f5e54",
        ),
    ),
)
