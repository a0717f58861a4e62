"""Race, as the six groups of the FairFace training set that the published model distinguishes.

Serengil and Ozpinar, HyperExtended LightFace (ICEET 2021).
"""

from __future__ import annotations

from typing import Any

from deepface.attributes.cards.race import CARD
from deepface.attributes.model import FacialAttribute, percentages
from deepface.attributes.vgg import vgg_classifier
from deepface.runtime.execution.network import Network


class Race(FacialAttribute):
    """Percent per label."""

    model_name = "Race"
    labels = ("asian", "indian", "black", "white", "middle eastern", "latino hispanic")

    def _build(self, device: str | None, precision: str | None) -> Network:
        return vgg_classifier(CARD, len(self.labels), device, precision)

    def report(self, values: Any) -> dict[str, Any]:
        """``race`` and ``dominant_race``."""
        return {
            "race": percentages(self.labels, values),
            "dominant_race": self.labels[int(values.argmax())],
        }
