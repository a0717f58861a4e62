"""Anti-spoofing models by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deepface.runtime.models import Entry, Registry

if TYPE_CHECKING:
    from deepface.spoofing.fasnet import FasNet

SPOOF_DETECTORS: Registry[FasNet] = Registry(
    "spoofing", {"Fasnet": Entry("deepface.spoofing.fasnet:FasNet")}
)
