"""Scaling of embeddings after the network, as published: lists give lists, arrays give arrays."""

from __future__ import annotations

from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from deepface.recognition.registry import RECOGNIZERS

E = TypeVar("E", list[Any], NDArray[Any])
#: Smallest and largest value of a model's vectors, by its name; published as ``minmax_values``.
MINMAX: dict[str, tuple[float, float]] = {
    name: card.minmax for name, card in RECOGNIZERS.own.items() if card.minmax is not None
}


def normalize_embedding_minmax(model_name: str, embeddings: E) -> E:
    """Clamp to the model's range and scale to [0, 1]; unchanged for a model without a range.

    Args:
        model_name: a recognition model.
        embeddings: one ``(d,)`` or several ``(n, d)``.
    """
    array = np.asarray(embeddings, dtype=np.float64)
    card = None if model_name in MINMAX else RECOGNIZERS.find(model_name)
    limits = card.minmax if card is not None else MINMAX.get(model_name)
    if limits is not None:
        low, high = limits
        array = (np.clip(array, low, high) - low) / (high - low)
    return _like(embeddings, array)


def normalize_embedding_l2(embeddings: E) -> E:
    """Scale each embedding ``(d,)`` or ``(n, d)`` to length 1."""
    array = np.asarray(embeddings, dtype=np.float64)
    norm = np.linalg.norm(array, axis=-1, keepdims=True)
    return _like(embeddings, array / (norm + 1e-10))


def _like(embeddings: E, array: NDArray[np.float64]) -> E:
    return cast("E", array.tolist() if isinstance(embeddings, list) else array)
