"""Apparent age: a softmax over the years 0 to 100, its mean is the age.

Serengil and Ozpinar, HyperExtended LightFace (ICEET 2021); trained on IMDB-WIKI.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepface.attributes.cards.age import CARD
from deepface.attributes.model import FacialAttribute
from deepface.attributes.vgg import vgg_classifier
from deepface.runtime.execution.network import Network

_YEARS = np.arange(101)


class Age(FacialAttribute):
    """Years."""

    model_name = "Age"

    def _build(self, device: str | None, precision: str | None) -> Network:
        return vgg_classifier(CARD, len(_YEARS), device, precision)

    def report(self, values: Any) -> dict[str, Any]:
        """``age``: whole years."""
        return {"age": int(values)}

    def predict(self, img: NDArray[Any] | Sequence[NDArray[Any]]) -> Any:
        """As in the base class, but the age itself: a float, or ``(n,)`` for several faces."""
        return (super().predict(img) * _YEARS).sum(-1)
