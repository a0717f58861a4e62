"""Distances between embeddings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from deepface.arguments import one_of
from deepface.errors import InvalidEmbeddingsShapeError

METRICS = ("cosine", "angular", "euclidean", "euclidean_l2")
Metric = Callable[[Any, Any], Any]


def check_metric_or_function(metric: object) -> None:
    """Raise ``UnimplementedError`` for what is neither a function nor the name of a metric."""
    if not callable(metric):
        one_of("distance_metric", metric, METRICS)


def l2_normalize(x: ArrayLike, axis: int | None = None, epsilon: float = 1e-10) -> NDArray[Any]:
    """``x / (|x| + epsilon)`` along ``axis`` (over everything when it is ``None``)."""
    array = np.asarray(x)
    norm: NDArray[Any] = np.linalg.norm(array, axis=axis, keepdims=axis is not None)
    return array / (norm + epsilon)


def find_cosine_distance(source_representation: ArrayLike, test_representation: ArrayLike) -> Any:
    """``1 - cos`` of the angle between embeddings; not less than 0, whatever rounding makes of it.

    Args:
        source_representation: one embedding ``(d,)``, or ``(N, d)``.
        test_representation: one embedding ``(d,)``, or ``(M, d)``.

    Returns:
        A number for two embeddings, ``(M, N)`` for two stacks.
    """
    a, b = _pair(source_representation, test_representation)
    if a.ndim == 1:
        with np.errstate(invalid="ignore"):  # a vector of zeros has no direction: NaN
            cosine = np.dot(a, b) / (np.linalg.norm(a) * np.linalg.norm(b))
    else:
        cosine = l2_normalize(b, axis=1) @ l2_normalize(a, axis=1).T
    return np.maximum(1 - cosine, 0)


def find_angular_distance(source_representation: ArrayLike, test_representation: ArrayLike) -> Any:
    """The angle between embeddings as a fraction of a half turn; arguments as for cosine."""
    cosine = 1 - find_cosine_distance(source_representation, test_representation)
    return np.arccos(np.clip(cosine, -1.0, 1.0)) / np.pi


def find_euclidean_distance(
    source_representation: ArrayLike, test_representation: ArrayLike
) -> Any:
    """Length of the difference of embeddings; arguments as for cosine."""
    a, b = _pair(source_representation, test_representation)
    if a.ndim == 1:
        return np.linalg.norm(a - b)
    # Through the squares: one matrix product instead of a (M, N, d) array.
    squares = (b**2).sum(1)[:, None] + (a**2).sum(1)[None, :] - 2 * (b @ a.T)
    return np.sqrt(np.maximum(squares, 0))


def _find_euclidean_l2_distance(a: ArrayLike, b: ArrayLike) -> Any:
    first, second = _pair(a, b)  # float64 before they are scaled
    axis = None if first.ndim == 1 else 1
    return find_euclidean_distance(l2_normalize(first, axis), l2_normalize(second, axis))


#: The functions behind :data:`METRICS`; they do not round.
DISTANCES: dict[str, Metric] = {
    "cosine": find_cosine_distance,
    "angular": find_angular_distance,
    "euclidean": find_euclidean_distance,
    "euclidean_l2": _find_euclidean_l2_distance,
}


def find_distance(
    alpha_embedding: ArrayLike,
    beta_embedding: ArrayLike,
    distance_metric: str | Metric = "cosine",
) -> Any:
    """The distance of two embeddings, or of all pairs of two stacks.

    Args:
        alpha_embedding: ``(d,)`` or ``(N, d)``.
        beta_embedding: ``(d,)`` or ``(M, d)``.
        distance_metric: ``"cosine"``, ``"angular"``, ``"euclidean"``, ``"euclidean_l2"``, or a
            function of the two arrays, which are copies: floats in float64.

    Returns:
        A number, or ``(M, N)``; rounded to six digits unless the metric is a function.

    Raises:
        InvalidEmbeddingsShapeError: one of them is a single embedding and the other a stack.
        UnimplementedError: an unknown metric.
    """
    check_metric_or_function(distance_metric)
    if callable(distance_metric):
        return distance_metric(_lent(alpha_embedding), _lent(beta_embedding))
    return np.round(DISTANCES[distance_metric](alpha_embedding, beta_embedding), 6)


def _lent(embedding: ArrayLike) -> NDArray[Any]:
    """What a caller's function is given: a copy, which it may change, of floats in float64."""
    copy = np.array(embedding)
    return copy.astype(np.float64, copy=False) if copy.dtype.kind == "f" else copy


def _pair(a: ArrayLike, b: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    first, second = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if first.ndim != second.ndim or first.ndim not in (1, 2):
        raise InvalidEmbeddingsShapeError(
            "embeddings must both be 1-D (d,) or both 2-D (N, d), "
            f"but are of shapes {first.shape} and {second.shape}"
        )
    return first, second
