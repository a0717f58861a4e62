"""How sure a decision is, in percent: a logistic curve per model and metric, as published."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from deepface.recognition.registry import RECOGNIZERS

#: Of the fields of :class:`deepface.recognition.card.Curve`, in their order.
_PUBLISHED_NAMES = (
    *("w", "b", "normalizer"),
    *("denorm_max_true", "denorm_min_true", "denorm_max_false", "denorm_min_false"),
)
#: The published curves under the published names.
CONFIDENCES: dict[str, dict[str, dict[str, float]]] = {
    model: {
        metric: dict(zip(_PUBLISHED_NAMES, curve, strict=True))
        for metric, curve in card.curves.items()
    }
    for model, card in RECOGNIZERS.own.items()
    if card.curves
}


def find_confidence(
    distance: float,
    model_name: str,
    verified: bool,
    distance_metric: str | Callable[[Any, Any], Any] = "cosine",
    *,
    align: Any = True,
) -> float:
    """How sure a decision is: 51 to 100 for the same person, 0 to 49 for different ones.

    Args:
        distance: between the two faces.
        model_name: the recognition model.
        verified: the decision.
        distance_metric: a metric's name, or the caller's own function.
        align: how the faces were cut; ``"landmarks"`` has curves of its own.

    Returns:
        Percent, rounded to two digits. Without a curve for the model and metric 51 or 49.
    """
    if distance <= 0:
        return 100.0 if verified else 0.0
    card = RECOGNIZERS.find(model_name)
    curve = None
    if card is not None and not callable(distance_metric):
        curves = (align == "landmarks" and card.landmark_curves) or card.curves
        curve = curves.get(distance_metric)
    if curve is None:
        return 51 if verified else 49
    scaled = distance / curve.normalizer if curve.normalizer > 1 else distance
    # Written with the exponential that cannot overflow for large distances.
    z = curve.weight * scaled + curve.bias
    value = 100 * (1 / (1 + math.exp(-z)) if z >= 0 else math.exp(z) / (1 + math.exp(z)))
    if verified:
        low, high = curve.min_true, curve.max_true
        new_low, new_high = max(51, low), 100.0
    else:
        low, high = curve.min_false, curve.max_false
        new_low, new_high = 0.0, min(49, int(high))
    value = (value - low) / (high - low) * (new_high - new_low) + new_low
    value = max(51, value) if verified else min(49, value)
    return round(max(0, min(100, value)), 2)
