"""Anti-spoofing models by name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from deepface.runtime.card import Card
from deepface.runtime.models import Registry
from deepface.spoofing.cards import fasnet
from deepface.types import Box, Liveness, Pixels, on_host

if TYPE_CHECKING:
    from deepface.spoofing.fasnet import FasNet

#: The only one so far.
LIVENESS = fasnet.CARD.name
SPOOF_DETECTORS: Registry[FasNet, Card] = Registry("spoofing", (fasnet.CARD,), Card)


def judge(model: Any, faces: Sequence[tuple[Pixels, Box]]) -> list[Liveness]:
    """Judge faces; see :meth:`deepface.spoofing.fasnet.FasNet.judge`.

    A subclass that overrides the published ``analyze``, or what a script has put in the place of
    the model, is asked through it, a face at a time.
    """
    for cls in type(model).__mro__:
        if "judge" in vars(cls):
            judged: list[Liveness] = model.judge(faces)
            return judged
        if "analyze" in vars(cls):
            break
    verdicts = [model.analyze(on_host(image), box) for image, box in faces]
    return [Liveness(bool(is_real), score) for is_real, score in verdicts]
