"""Anti-spoofing models of users' own, written for the published library."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from deepface import DeepFace
from deepface.models.spoofing.FasNet import Fasnet
from deepface.modules import modeling
from deepface.types import Liveness


class Bright(Fasnet):  # type: ignore[misc]
    """Bright pictures are real."""

    def __init__(self) -> None:
        self.asked = 0

    def analyze(self, img: Any, facial_area: Any) -> tuple[bool, float]:
        self.asked += 1
        assert facial_area == (0, 0, img.shape[1] - 1, img.shape[0] - 1)
        return img.mean() > 100, 0.9


class StandIn:
    """No class of the library at all."""

    asked = 0
    analyze = Bright.analyze


class Batched(Bright):
    """What says more of a batch is asked for that."""

    def judge(self, faces: Sequence[Any]) -> list[Liveness]:
        return [Liveness(image.mean() > 100, 0.9) for image, _ in faces]


@pytest.mark.parametrize(("model", "asked"), [(Bright, 2), (StandIn, 2), (Batched, 0)])
def test_it_is_asked_through_analyze(model: type[Any], asked: int) -> None:
    built = modeling.cached_models.setdefault("spoofing", {})
    kept = built.get("Fasnet")
    built["Fasnet"] = own = model()
    try:
        pictures = [np.full((40, 50, 3), shade, np.uint8) for shade in (50, 200)]
        found: Any = DeepFace.extract_faces(pictures, detector_backend="skip", anti_spoofing=True)
    finally:
        del built["Fasnet"]
        if kept is not None:
            built["Fasnet"] = kept
    assert [faces[0]["is_real"] for faces in found] == [False, True]
    assert own.asked == asked


def test_analyze_may_ask_the_networks_above() -> None:
    class Twice(Batched):
        def analyze(self, img: Any, facial_area: Any) -> tuple[bool, float]:
            is_real, score = Fasnet.analyze(self, img, facial_area)
            return is_real, 2 * score

    assert Twice().analyze(np.full((40, 50, 3), 200, np.uint8), (0, 0, 49, 39)) == (True, 1.8)
