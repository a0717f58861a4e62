"""What is known of a detector."""

from __future__ import annotations

from dataclasses import dataclass

from deepface.runtime.card import Card


@dataclass(frozen=True, kw_only=True)
class DetectorCard(Card):
    """What is known of a detector.

    Attributes:
        needs_torch: whether it runs in PyTorch.
        landmarks: how many a face comes with: 0, 2 (eyes) or 5.
        looks_for_eyes: whether it has looked for eyes by the cascade that finds those which the
            others leave open.
    """

    needs_torch: bool = True
    landmarks: int = 0
    looks_for_eyes: bool = False
