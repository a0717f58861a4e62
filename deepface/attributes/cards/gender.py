"""What is known of Gender; see ``attributes/gender.py`` for the model."""

from __future__ import annotations

from deepface.attributes.cards.vgg import vgg_files
from deepface.runtime.card import Card

CARD = Card(
    name="Gender",
    model="deepface.attributes.gender:Gender",
    summary="Woman or Man.",
    files=(
        vgg_files(
            "gender_model_weights",
            classes=2,
            sha256="45513ce5678549112d25ab85b1926fb65986507d49c674a3d04b2ba70dba2eb5",
        ),
    ),
)
