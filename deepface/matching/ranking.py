"""Which faces of a gallery are closest to others: exact, at the speed of one matrix product.

Cosines of all pairs come from one product in float32. Float32 cannot settle the sixth digit of a
distance, but its error has a bound: what the bound cannot rule out is computed again in float64.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from deepface.errors import InvalidArgument
from deepface.matching.distance import Metric, check_metric_or_function, find_distance
from deepface.runtime.execution.device import resolve_device

if TYPE_CHECKING:
    import torch

#: Digits of a distance, as in :func:`deepface.matching.distance.find_distance`.
_DIGITS = 6
#: How far rounding moves one, at most, and more than that.
ROUNDING = 10.0**-_DIGITS
#: Below this length a vector has no direction that float32 could hold on to.
_SHORTEST = 1e-6


class Ranked(NamedTuple):
    """Rows of the gallery, closest first, and how far each is: ``(n,)`` both.

    Equal distances stand in the order of the gallery.
    """

    rows: NDArray[np.intp]
    distances: NDArray[np.float64]


class Ranking:
    """Vectors that others are compared with.

    Args:
        embedding: ``(n, d)`` float.
        has_embedding: ``(n,)`` bool; the others are at distance infinity from everything.
    """

    #: Numbers that are worked on at a time: 32 MB as float64.
    block = 4_000_000
    #: From so many numbers on, a gallery is worth its place on the GPU.
    gpu_pays = 4_000_000

    def __init__(self, embedding: NDArray[Any], has_embedding: NDArray[np.bool_]) -> None:
        self._embedding = embedding
        self._missing = ~has_embedding
        self._norms = np.empty(len(embedding))
        self._units: NDArray[np.float32] = np.empty(embedding.shape, dtype=np.float32)
        for rows in _blocks(len(embedding), embedding.shape[1], self.block):
            vectors = embedding[rows].astype(np.float64)
            self._norms[rows] = np.linalg.norm(vectors, axis=1)
            self._units[rows] = _unit(vectors, self._norms[rows])
        self._on_device: dict[torch.device, torch.Tensor] = {}

    def closest(
        self,
        probes: NDArray[Any],
        metric: str | Metric,
        threshold: float = math.inf,
        k: int | None = None,
        device: str | None = None,
        *,
        stacked: bool = False,
        ties: bool = False,
    ) -> Iterator[Ranked]:
        """The rows within ``threshold`` of each probe, the ``k`` closest of them.

        Args:
            probes: ``(m, d)`` float.
            metric: one of :data:`deepface.matching.distance.METRICS`, or a function of two
                vectors.
            threshold: largest distance, itself included.
            k: at most so many rows; ``None`` for all.
            device: where the product runs; the default is a GPU where there is one and the
                gallery is large.
            stacked: a function is given the gallery ``(n, d)`` and some probes ``(m, d)`` at once
                and gives ``(m, n)``, instead of pair by pair.
            ties: more than ``k`` rows, where others are as far as the last of them.

        Yields:
            One :class:`Ranked` per probe.

        Raises:
            UnimplementedError: an unknown metric.
            InvalidArgument: a function that does not give ``(m, n)`` numbers.
        """
        check_metric_or_function(metric)
        count = len(self._embedding) if k is None else min(k, len(self._embedding))
        if callable(metric):
            every = np.arange(len(self._embedding))
            compare = self._stacked if stacked else self._paired
            for part in _blocks(len(probes), len(self._embedding), self.block):
                for distances in compare(probes[part], metric):
                    yield _sorted(every, distances, threshold, count, ties)
            return
        for part in _blocks(len(probes), len(self._embedding), self.block):
            block = np.asarray(probes[part], dtype=np.float64)
            norms = np.linalg.norm(block, axis=1)
            for probe, norm, cosines in zip(
                block, norms, self._cosines(_unit(block, norms), device), strict=True
            ):
                rows = self._candidates(cosines, float(norm), metric, threshold, count)
                yield _sorted(rows, self._exact(probe, rows, metric), threshold, count, ties)

    def _cosines(self, units: NDArray[np.float32], device: str | None) -> NDArray[np.float32]:
        """``(m, n)``: each entry within :meth:`_cosine_error` of the true cosine."""
        if self._units.size >= self.gpu_pays and (target := resolve_device(device)).type == "cuda":
            import torch

            from deepface.runtime.execution.tf32 import exact_float32

            if target not in self._on_device:
                self._on_device[target] = torch.from_numpy(self._units).to(target)
            with exact_float32():
                found = torch.from_numpy(units).to(target) @ self._on_device[target].T
            return found.cpu().numpy()
        return units @ self._units.T

    def _cosine_error(self) -> float:
        """Higham, Accuracy and Stability of Numerical Algorithms, 3.1, for vectors of length 1.

        Any order of summation; two more roundings for each vector's scaling.
        """
        bound: float = (self._units.shape[1] + 8) * 2.0**-24
        return bound

    def _candidates(
        self, cosines: NDArray[np.float32], norm: float, metric: str, threshold: float, count: int
    ) -> NDArray[np.intp]:
        """Rows among which are all those that belong in the result.

        Each row has a key that grows with its distance, and is off by at most its slack; the
        slack also covers the rounding of distances, so that ties are decided by exact values.
        """
        error = self._cosine_error()
        key: NDArray[np.float64] = -cosines.astype(np.float64)
        slack: Any = np.full(len(key), error + 4 * ROUNDING)
        if metric == "euclidean":
            lengths = self._norms
            squares = lengths**2 + norm**2
            key = squares + 2 * norm * lengths * key
            # The error is multiplied by twice the lengths: no more than the squares together.
            slack = squares * error + 2 * (norm + lengths) * ROUNDING
        limit = key_limit(metric, threshold)
        unsure = (self._norms < _SHORTEST) | (norm < _SHORTEST)
        key[unsure], slack[unsure] = 0, np.inf
        key[self._missing], slack[self._missing] = np.inf, 0
        if count < len(key):
            worst = np.partition(key + slack, count - 1)[count - 1] if count else -np.inf
            limit = min(limit, float(worst))
        return np.flatnonzero(key - slack <= limit)

    def _exact(self, probe: NDArray[np.float64], rows: NDArray[np.intp], metric: str) -> Any:
        """Distances in float64, as :func:`find_distance` gives them for two vectors."""
        distances = np.empty(len(rows))
        for part in _blocks(len(rows), len(probe), self.block):
            distances[part] = _distances(probe, self._embedding[rows[part]], metric)
        distances[self._missing[rows]] = np.inf
        return distances

    def _paired(self, probes: NDArray[Any], metric: Metric) -> Iterator[NDArray[np.float64]]:
        """A metric of the caller's own, pair by pair."""
        for probe in probes:
            yield np.array(
                [
                    np.inf if missing else float(find_distance(vector, probe, metric))
                    for vector, missing in zip(self._embedding, self._missing, strict=True)
                ],
                dtype=np.float64,
            )

    def _stacked(self, probes: NDArray[Any], metric: Metric) -> NDArray[np.float64]:
        """A metric of the caller's own, all pairs at once."""
        vectors = self._embedding[~self._missing]
        shape = (len(probes), len(vectors))
        distances = np.full((len(probes), len(self._missing)), np.inf)
        found = np.asarray(find_distance(vectors, probes, metric))
        if found.shape != shape or found.dtype.kind not in "fiub":
            raise InvalidArgument(
                f"the metric was given the gallery's vectors {vectors.shape} and {len(probes)} of "
                f"other faces {probes.shape}: it must give an array of numbers of shape {shape}, "
                f"but gave {found.dtype} of shape {found.shape}. With return_type='pandas' it is "
                "called pair by pair."
            )
        distances[:, ~self._missing] = found
        return distances


def _blocks(count: int, width: int, block: int) -> Iterator[slice]:
    """``count`` rows of ``width`` numbers each, so many at a time."""
    step = max(1, block // max(1, width))
    for start in range(0, count, step):
        yield slice(start, start + step)


def _distances(probe: NDArray[np.float64], vectors: NDArray[Any], metric: str) -> Any:
    """From one vector ``(d,)`` to each of ``(n, d)``: ``(n,)``."""
    vectors = vectors.astype(np.float64, copy=False)
    if metric == "euclidean":
        return np.round(np.linalg.norm(vectors - probe, axis=1), _DIGITS)
    norms, norm = np.linalg.norm(vectors, axis=1), np.linalg.norm(probe)
    if metric == "euclidean_l2":
        units = vectors / (norms + 1e-10)[:, None]
        return np.round(np.linalg.norm(units - probe / (norm + 1e-10), axis=1), _DIGITS)
    with np.errstate(invalid="ignore"):  # a vector of zeros has no direction: far from all
        cosine = np.nan_to_num(vectors @ probe / (norms * norm), nan=-np.inf)
    if metric == "cosine":
        return np.round(np.maximum(1 - cosine, 0), _DIGITS)
    return np.round(np.arccos(np.clip(cosine, -1, 1)) / np.pi, _DIGITS)


def _sorted(
    rows: NDArray[np.intp],
    distances: NDArray[np.float64],
    threshold: float,
    count: int,
    ties: bool,
) -> Ranked:
    within = distances <= threshold
    rows, distances = rows[within], distances[within]
    order = np.argsort(distances, kind="stable")
    rows, distances = rows[order], distances[order]
    if ties and 0 < count < len(rows):
        count = int(np.searchsorted(distances, distances[count - 1], side="right"))
    return Ranked(rows[:count], distances[:count])


def _unit(vectors: NDArray[Any], norms: NDArray[np.float64]) -> NDArray[np.float32]:
    """Vectors of length 1, for those that have a length."""
    return (vectors / np.maximum(norms, _SHORTEST)[:, None]).astype(np.float32)


def key_limit(metric: str, threshold: float) -> float:
    """The square of a Euclidean distance ``threshold``; for the others the negative cosine."""
    if metric == "euclidean":
        return threshold**2
    if metric == "cosine":
        return threshold - 1
    if metric == "euclidean_l2":
        return threshold**2 / 2 - 1
    return math.inf if threshold >= 1 else -math.cos(math.pi * max(threshold, 0))
