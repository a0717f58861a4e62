"""Attribute models by name."""

from __future__ import annotations

from deepface.attributes.model import FacialAttribute
from deepface.runtime.models import Entry, Registry

ATTRIBUTES: Registry[FacialAttribute] = Registry(
    "facial_attribute",
    {
        name: Entry(f"deepface.attributes.{name.lower()}:{name}")
        for name in ("Emotion", "Age", "Gender", "Race")
    },
)
