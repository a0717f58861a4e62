"""Attribute networks whose answers can be told beforehand, by a face's mean brightness."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from deepface.attributes.age import Age
from deepface.attributes.gender import Gender
from deepface.runtime.models import cached_models


class FixedAge(Age):
    """Half the brightness in years."""

    def __init__(self) -> None:
        """Without a network."""

    def probabilities(self, faces: Any) -> Any:
        years = (np.asarray(faces).mean((1, 2, 3)) * 50).astype(int)
        return np.eye(101, dtype=np.float32)[years]


class FixedGender(Gender):
    """As probable as bright."""

    def __init__(self) -> None:
        """Without a network."""

    def probabilities(self, faces: Any) -> Any:
        first = np.asarray(faces).mean((1, 2, 3))
        return np.stack([first, 1 - first], axis=1).astype(np.float32)


def cached_attributes(monkeypatch: pytest.MonkeyPatch, **models: Any) -> None:
    """These are the attribute models for one test."""
    for name, model in models.items():
        monkeypatch.setitem(cached_models.setdefault("facial_attribute", {}), name, model)
