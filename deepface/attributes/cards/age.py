"""What is known of Age; see ``attributes/age.py`` for the model."""

from __future__ import annotations

from deepface.attributes.cards.vgg import vgg_files
from deepface.runtime.card import Card

CARD = Card(
    name="Age",
    model="deepface.attributes.age:Age",
    summary="Apparent age in years.",
    files=(
        vgg_files(
            "age_model_weights",
            classes=101,
            sha256="0aeff75734bfe794113756d2bfd0ac823d51e9422c8961125b570871d3c2b114",
            size=538_771_776,
        ),
    ),
)
