"""Gender, as Woman or Man.

Serengil and Ozpinar, HyperExtended LightFace (ICEET 2021).
"""

from __future__ import annotations

from typing import Any

from deepface.attributes.cards.gender import CARD
from deepface.attributes.model import FacialAttribute
from deepface.attributes.vgg import vgg_classifier
from deepface.runtime.execution.network import Network


class Gender(FacialAttribute):
    """Percent per label."""

    model_name = "Gender"
    labels = ("Woman", "Man")

    def _build(self, device: str | None, precision: str | None) -> Network:
        return vgg_classifier(CARD, len(self.labels), device, precision)

    def report(self, values: Any) -> dict[str, Any]:
        """``gender`` and ``dominant_gender``."""
        percent = (float(100 * value) for value in values)
        return {
            "gender": dict(zip(self.labels, percent, strict=True)),
            "dominant_gender": self.labels[int(values.argmax())],
        }
