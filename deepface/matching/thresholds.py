"""When two faces count as the same person: the published thresholds, per model and metric."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from deepface.errors import UnimplementedError
from deepface.recognition.registry import RECOGNIZERS

#: ``distance <= THRESHOLDS[model][metric]`` verifies; a script may change what is here.
THRESHOLDS: dict[str, dict[str, float]] = {
    name: dict(card.thresholds) for name, card in RECOGNIZERS.own.items()
}


def find_threshold(
    model_name: str,
    distance_metric: str | Callable[[Any, Any], Any] = "cosine",
    *,
    align: Any = True,
) -> float:
    """The distance up to which two faces are the same person.

    A metric of the caller's own has no threshold here: 0.0.

    Args:
        model_name: a recognition model.
        distance_metric: a metric's name, or a function.
        align: how the faces were cut; ``"landmarks"`` has thresholds of its own.

    Raises:
        UnimplementedError: an unknown model or metric.
    """
    if callable(distance_metric):
        return 0.0
    card = RECOGNIZERS.find(model_name)
    known = THRESHOLDS.get(model_name) if isinstance(model_name, str) else None
    thresholds: Mapping[str, float] = known or (card and card.thresholds) or {}
    if not thresholds:
        raise UnimplementedError(
            f"there is no threshold for model {model_name!r}; models: {', '.join(THRESHOLDS)}"
        )
    if align == "landmarks" and card is not None:
        thresholds = card.landmark_thresholds or thresholds
    if not isinstance(distance_metric, str) or distance_metric not in thresholds:
        raise UnimplementedError(
            f"there is no threshold for metric {distance_metric!r}; "
            f"metrics: {', '.join(thresholds)}"
        )
    return thresholds[distance_metric]
