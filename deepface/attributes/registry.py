"""Attribute models by name."""

from __future__ import annotations

from typing import Any

from deepface.attributes.cards import age, emotion, gender, race
from deepface.attributes.model import FacialAttribute, described_one_by_one
from deepface.runtime.card import Card
from deepface.runtime.models import Registry
from deepface.types import Pixels

ATTRIBUTES: Registry[FacialAttribute, Card] = Registry(
    "facial_attribute", (emotion.CARD, age.CARD, gender.CARD, race.CARD), Card
)


def describe(model: Any, name: str, faces: Pixels) -> list[dict[str, Any]]:
    """What ``analyze`` reports of faces; see :meth:`FacialAttribute.describe`.

    What a script has put in the place of the model ``name`` may have ``predict`` only.
    """
    silent = getattr(type(model), "report", None) is FacialAttribute.report
    if hasattr(model, "describe") and not silent:
        described: list[dict[str, Any]] = model.describe(faces)
        return described
    ours = ATTRIBUTES.entry(name).load()
    return described_one_by_one(model, object.__new__(ours).report, faces)
