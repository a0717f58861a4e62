"""Attribute models by name."""

from __future__ import annotations

from deepface.attributes.cards import age, emotion, gender, race
from deepface.attributes.model import FacialAttribute
from deepface.runtime.card import Card
from deepface.runtime.models import Registry

ATTRIBUTES: Registry[FacialAttribute, Card] = Registry(
    "facial_attribute", (emotion.CARD, age.CARD, gender.CARD, race.CARD), Card
)
