"""Gender, as Woman or Man.

Serengil and Ozpinar, HyperExtended LightFace (ICEET 2021).
"""

from __future__ import annotations

from typing import Any

from deepface.attributes.model import FacialAttribute
from deepface.attributes.vgg import vgg_classifier
from deepface.runtime.execution.network import Network
from deepface.types import Pixels


class Gender(FacialAttribute):
    """Percent per label."""

    model_name = "Gender"
    labels = ("Woman", "Man")

    def _build(self, device: str | None, precision: str | None) -> Network:
        files = ("gender_model_weights.pth", "gender_model_weights.h5")
        return vgg_classifier(len(self.labels), files, device, precision)

    def describe(self, faces: Pixels) -> list[dict[str, Any]]:
        """``gender`` and ``dominant_gender``."""
        return [
            {
                "gender": {
                    label: float(100 * value)
                    for label, value in zip(self.labels, values, strict=True)
                },
                "dominant_gender": self.labels[int(values.argmax())],
            }
            for values in self.probabilities(faces)
        ]
