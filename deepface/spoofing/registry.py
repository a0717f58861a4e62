"""Anti-spoofing models by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deepface.runtime.card import Card
from deepface.runtime.models import Registry
from deepface.spoofing.cards import fasnet

if TYPE_CHECKING:
    from deepface.spoofing.fasnet import FasNet

SPOOF_DETECTORS: Registry[FasNet, Card] = Registry("spoofing", (fasnet.CARD,), Card)
