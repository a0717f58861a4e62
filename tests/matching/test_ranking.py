"""Ranking against distances computed pair by pair in float64."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from deepface.errors import InvalidArgument
from deepface.matching.distance import METRICS, find_distance
from deepface.matching.ranking import Ranking


def gallery(seed: int, count: int = 120, length: int = 32, scale: float = 1) -> NDArray[Any]:
    """Random vectors of many lengths, copies of some, and some that differ in the last digits.

    One is of no length, and one of hardly any.
    """
    generator = np.random.default_rng(seed)
    vectors = generator.standard_normal((count, length)) * generator.uniform(0.1, 3, (count, 1))
    vectors[10:20] = vectors[:10]
    vectors[20:40] = vectors[0] + generator.standard_normal((20, length)) * 1e-6
    vectors *= scale
    vectors[40] = 0
    vectors[41] *= 1e-7 / np.linalg.norm(vectors[41])
    return vectors.astype(np.float32)


def brute_force(
    vectors: NDArray[Any],
    there: NDArray[np.bool_],
    probe: NDArray[Any],
    metric: str,
    threshold: float,
    k: int | None,
    ties: bool = False,
) -> list[tuple[int, float]]:
    found = []
    for row, vector in enumerate(vectors):
        with np.errstate(invalid="ignore"):
            distance = float(find_distance(vector, probe, metric)) if there[row] else math.inf
        if math.isnan(distance):  # the angle to a vector of zeros
            distance = math.inf if metric == "cosine" else 1.0
        if distance <= threshold:
            found.append((row, distance))
    found.sort(key=lambda item: item[1])
    if ties and k and k < len(found):
        k = sum(distance <= found[k - 1][1] for _, distance in found)
    return found[:k]


class InBlocks(Ranking):
    """Several blocks of everything."""

    block = 1000


class OnGpu(Ranking):
    """However small it is."""

    gpu_pays = 0


class AtItsWorst(Ranking):
    """Every other cosine is too large, the others too small, by all that float32's sums may be off.

    Higham, Accuracy and Stability of Numerical Algorithms, 3.1; no real sum comes near it.
    """

    def _cosines(self, units: NDArray[np.float32], device: str | None) -> NDArray[Any]:
        exact = units.astype(np.float64) @ self._units.T.astype(np.float64)
        signs = (-1) ** np.arange(exact.shape[1])
        return np.asarray(exact + signs * units.shape[1] * 2.0**-24)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("k", [None, 5])
def test_rounding_at_its_worst_changes_nothing(metric: str, k: int | None) -> None:
    vectors = gallery(0, length=1024)
    vectors[60:] = vectors[0] * np.linspace(0.9999, 1.0001, 60)[:, None]
    vectors[60:] += np.random.default_rng(1).standard_normal((60, 1024)) * np.abs(vectors[0]) / 500
    there = np.ones(len(vectors), bool)
    probe = vectors[0]
    threshold = brute_force(vectors, there, probe, metric, math.inf, None)[40][1]
    (result,) = AtItsWorst(vectors, there).closest(probe[None], metric, threshold, k, "cpu")
    expected = brute_force(vectors, there, probe, metric, threshold, k)
    assert result.rows.tolist() == [row for row, _ in expected]
    assert result.distances.tolist() == [distance for _, distance in expected]


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("k", [None, 0, 1, 2, 25, 1000])
@pytest.mark.parametrize("within", [2, 40, None])
@pytest.mark.parametrize("scale", [1e-3, 1, 1e3])
@pytest.mark.parametrize("ties", [False, True])
def test_as_pair_by_pair(
    metric: str,
    k: int | None,
    within: int | None,
    scale: float,
    ties: bool,
) -> None:
    """Also where the threshold is itself a distance, and where all of them are small or large."""
    vectors = gallery(0, scale=scale)
    there = np.random.default_rng(100).random(len(vectors)) > 0.1
    probes = np.concatenate([gallery(50, 42, scale=scale)[38:], vectors[[0, 10]]])
    threshold = math.inf
    if within is not None:
        threshold = brute_force(vectors, there, probes[0], metric, math.inf, None)[within][1]
    results = InBlocks(vectors, there).closest(probes, metric, threshold, k, "cpu", ties=ties)
    for probe, result in zip(probes, results, strict=True):
        expected = brute_force(vectors, there, probe, metric, threshold, k, ties)
        assert result.rows.tolist() == [row for row, _ in expected]
        assert result.distances.tolist() == [distance for _, distance in expected]


def test_the_threshold_itself_counts_after_rounding() -> None:
    """0.3 is 0.29999... or 0.30000...1 before it is rounded to six digits."""
    angle = math.acos(0.7)
    vectors = np.array([[math.cos(angle + d), math.sin(angle + d)] for d in (-6e-7, 6e-7, 6e-6)])
    (result,) = Ranking(vectors, np.ones(3, bool)).closest(np.array([[1.0, 0]]), "cosine", 0.3)
    assert result.rows.tolist() == [0, 1]
    assert result.distances.tolist() == [0.3, 0.3]


def test_so_it_does_where_vectors_are_opposite() -> None:
    """Squares of Euclidean distances are then rounded by the most."""
    vectors = np.array([[1.2], [1.2 + 4.5e-7], [1.2 + 6e-7]])
    (result,) = Ranking(vectors, np.ones(3, bool)).closest(np.array([[-1.2]]), "euclidean", 2.4)
    assert result.rows.tolist() == [0, 1]
    assert result.distances.tolist() == [2.4, 2.4]


def test_equal_distances_stand_in_the_order_of_the_gallery() -> None:
    vectors = np.tile(np.array([[1.0, 2], [2, 1]]), (5, 1))
    (result,) = Ranking(vectors, np.ones(10, bool)).closest(vectors[:1], "euclidean", k=7)
    assert result.rows.tolist() == [0, 2, 4, 6, 8, 1, 3]


def test_a_metric_of_ones_own() -> None:
    vectors = gallery(0, 60)
    there = np.arange(60) != 5

    def city_block(a: NDArray[Any], b: NDArray[Any]) -> float:
        return float(np.abs(a - b).sum())

    (result,) = Ranking(vectors, there).closest(vectors[7:8], city_block, 50, k=4)
    assert result.rows[0] == 7 and result.distances[0] == 0
    assert 5 not in result.rows
    distances = [city_block(vectors[row], vectors[7]) for row in np.flatnonzero(there)]
    expected = sorted(distance for distance in distances if distance <= 50)[:4]
    assert result.distances.tolist() == expected


def distances_of(a: NDArray[Any], b: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(np.abs(a[None] - b[:, None]).sum(2))


@pytest.mark.parametrize("k", [None, 3])
@pytest.mark.parametrize("threshold", [math.inf, 20])
def test_a_metric_of_all_pairs_at_once(k: int | None, threshold: float) -> None:
    vectors, probes = gallery(0, 60), gallery(3, 45)[40:]
    there = np.arange(60) % 7 != 5
    compared = Ranking(vectors, there)
    compared.block = 60  # a probe at a time
    at_once = compared.closest(probes, distances_of, threshold, k, stacked=True)
    pairs = compared.closest(
        probes, lambda a, b: distances_of(a[None], b[None])[0, 0], threshold, k
    )
    for result, expected in zip(at_once, pairs, strict=True):
        assert result.rows.tolist() == expected.rows.tolist()
        np.testing.assert_array_equal(result.distances, expected.distances)


@pytest.mark.parametrize("kind", [bool, np.uint8, np.int64, np.float16, np.float32])
def test_numbers_of_any_kind_are_distances(kind: type) -> None:
    def zeros_and_ones(a: NDArray[Any], b: NDArray[Any]) -> NDArray[Any]:
        return (a[:, 0] > b[:, :1]).astype(kind)

    compared = Ranking(np.array([[3.0], [1.0], [4.0], [2.0]]), np.ones(4, bool))
    (result,) = compared.closest(np.array([[2.5]]), zeros_and_ones, stacked=True)
    assert result.rows.tolist() == [1, 3, 0, 2]
    assert result.distances.tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize(
    "wrong",
    [
        lambda a, b: distances_of(b, a),
        lambda a, b: distances_of(a, b)[0],
        lambda a, b: distances_of(a, b).ravel(),
        lambda a, b: 0.5,
        lambda a, b: distances_of(a, b).astype(complex),
        lambda a, b: distances_of(a, b).astype(str),
        lambda a, b: distances_of(a, b).astype(object),
    ],
)
def test_what_is_no_table_of_distances_is_refused(wrong: Callable[..., Any]) -> None:
    compared = Ranking(gallery(0, 60), np.ones(60, bool))
    with pytest.raises(InvalidArgument, match=r"numbers of shape \(3, 60\)"):
        next(compared.closest(gallery(3, 45)[:3], wrong, stacked=True))


def test_nothing_to_compare() -> None:
    empty = Ranking(np.zeros((0, 4)), np.zeros(0, bool))
    (result,) = empty.closest(np.ones((1, 4)), "cosine")
    assert len(result.rows) == 0
    assert list(Ranking(np.ones((3, 4)), np.ones(3, bool)).closest(np.ones((0, 4)), "cosine")) == []


def test_an_unknown_metric() -> None:
    with pytest.raises(ValueError, match="unknown distance_metric 'cosinus'; use one of cosine"):
        next(Ranking(np.ones((1, 2)), np.ones(1, bool)).closest(np.ones((1, 2)), "cosinus"))


@pytest.mark.gpu
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("tf32", [False, True])
def test_a_gpu_gives_the_same(metric: str, tf32: bool, request: pytest.FixtureRequest) -> None:
    import torch

    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high" if tf32 else "highest")
    request.addfinalizer(lambda: torch.set_float32_matmul_precision(before))
    vectors, probes = gallery(1, 5000, 512), gallery(2, 50, 512)
    there = np.ones(len(vectors), bool)
    for k in (None, 10):
        on_gpu = OnGpu(vectors, there).closest(probes, metric, k=k, device="cuda")
        on_cpu = Ranking(vectors, there).closest(probes, metric, k=k, device="cpu")
        for result, expected in zip(on_gpu, on_cpu, strict=True):
            np.testing.assert_array_equal(result.rows, expected.rows)
            np.testing.assert_array_equal(result.distances, expected.distances)


@pytest.mark.parametrize("metric", METRICS)
def test_each_number_of_rows(metric: str) -> None:
    vectors, probes = gallery(0, 45)[:6], gallery(3, 45)[:2]
    there = np.ones(6, bool)
    for k in range(9):
        for probe, result in zip(
            probes, Ranking(vectors, there).closest(probes, metric, k=k), strict=True
        ):
            expected = brute_force(vectors, there, probe, metric, math.inf, k)
            assert result.rows.tolist() == [row for row, _ in expected]
