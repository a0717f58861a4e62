"""What is known of a detector."""

from __future__ import annotations

from dataclasses import dataclass

from deepface.runtime.card import Card


@dataclass(frozen=True, kw_only=True)
class DetectorCard(Card):
    """What is known of a detector.

    Attributes:
        landmarks: how many a face comes with: 0, 2 (eyes) or 5.
    """

    landmarks: int = 0
