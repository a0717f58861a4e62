"""Distances, thresholds and confidence, to the digit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from deepface.errors import InvalidEmbeddingsShapeError
from deepface.matching import distance
from deepface.matching.confidence import find_confidence
from deepface.matching.ranking import Ranking
from deepface.matching.thresholds import THRESHOLDS, find_threshold
from tests.data import golden


@pytest.mark.parametrize("metric", distance.METRICS)
def test_golden_distances(metric: str) -> None:
    functions = golden("functions.json")
    one = functions["find_distance_1d"]
    assert distance.find_distance(one["a"], one["b"], metric) == one[metric]
    many = functions["find_distance_2d(alpha N=3,beta M=2)->(M,N)"]
    np.testing.assert_array_equal(
        distance.find_distance(many["alpha"], many["beta"], metric), many[metric]
    )


@pytest.mark.parametrize("metric", distance.METRICS)
@given(st.integers(1, 5), st.integers(1, 5), st.integers(2, 40), st.integers(0, 1000))
def test_stacks_equal_pairs(metric: str, n: int, m: int, d: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    alpha, beta = rng.normal(size=(n, d)), rng.normal(size=(m, d))
    stacked = distance.find_distance(alpha, beta, metric)
    assert stacked.shape == (m, n)
    for i in range(n):
        for j in range(m):
            single = distance.find_distance(alpha[i], beta[j], metric)
            assert stacked[j, i] == pytest.approx(single, abs=2e-6)


def test_same_embedding_has_no_distance() -> None:
    x = np.random.default_rng(0).normal(size=128).tolist()
    for metric in distance.METRICS:
        assert distance.find_distance(x, x, metric) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("metric", ["cosine", "angular"])
@pytest.mark.filterwarnings("error")
def test_a_vector_of_zeros_has_no_direction(metric: str) -> None:
    """Nor is there a warning: the published library switches all of them off."""
    assert np.isnan(distance.find_distance([0.0, 0.0], [1.0, 2.0], metric))


def test_own_metric_is_called_with_arrays() -> None:
    assert distance.find_distance([1, 2], [3, 5], lambda a, b: float(abs(a - b).sum())) == 5.0


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64, np.int8, np.uint8])
@pytest.mark.parametrize("shape", [(3,), (2, 3)])
def test_own_metric_is_given_copies(kind: type, shape: tuple[int, ...]) -> None:
    """Floats in float64, as of lists; what else somebody compares (codes of bits) as it is."""
    seen = []

    def careless(a: Any, b: Any) -> float:
        seen.extend([a.dtype, b.dtype])
        a[...], b[...] = 7, 8
        return 0.0

    vectors: NDArray[Any] = np.ones(shape, kind)
    assert distance.find_distance(vectors, vectors, careless) == 0
    assert (vectors == 1).all()
    assert set(seen) == {np.dtype(kind if kind in (np.int8, np.uint8) else np.float64)}


def test_errors() -> None:
    with pytest.raises(ValueError, match="unknown distance_metric 'manhattan'; use one of cosine"):
        distance.find_distance([1.0], [1.0], "manhattan")
    with pytest.raises(InvalidEmbeddingsShapeError, match=r"\(2,\) and \(1, 2\)"):
        distance.find_distance([1.0, 2.0], [[1.0, 2.0]])
    with pytest.raises(ValueError, match="no threshold for model 'Nobody'"):
        find_threshold("Nobody")
    with pytest.raises(ValueError, match="no threshold for metric 'manhattan'"):
        find_threshold("Dlib", "manhattan")
    assert find_threshold("Dlib", lambda a, b: 0) == 0.0


def test_thresholds() -> None:
    assert golden("tables.json")["thresholds"] == THRESHOLDS


def test_golden_confidences() -> None:
    cases = golden("functions.json")["find_confidence"]
    assert len(cases) == 792
    for model, metric, value, verified, expected in cases:
        found = find_confidence(value, model, verified, metric)
        assert found == expected, (model, metric, value, verified)


@pytest.mark.parametrize("align", [True, "landmarks"])
@pytest.mark.parametrize(
    ("model", "metric"),
    [("Dlib", lambda a, b: 0), ("Nobody", lambda a, b: 0), ("Nobody", "cosine"), ("Dlib", "own")],
)
def test_confidence_without_a_curve(model: str, metric: Any, align: Any) -> None:
    for verified, expected in ((True, 51), (False, 49)):
        assert find_confidence(0.3, model, verified, metric, align=align) == expected


#: By metric the threshold of Dlib's vectors of faces that were cut by landmarks, and how sure
#: decisions are at some distances.
BY_LANDMARKS = {
    "cosine": (0.0873, {0.0698: 94.87, 0.0873: 70.51, 0.0917: 40.9, 0.1048: 16.43}),
    "euclidean": (0.6213, {0.497: 99.5, 0.6213: 51.0, 0.6524: 20.81, 0.7456: 0.51}),
    "euclidean_l2": (0.4179, {0.3343: 99.71, 0.4179: 70.56, 0.4388: 28.45, 0.5015: 1.15}),
    "angular": (0.134, {0.1072: 98.81, 0.134: 66.24, 0.1407: 32.15, 0.1608: 3.27}),
}


@pytest.mark.parametrize("metric", distance.METRICS)
def test_landmark_alignment_has_a_calibration_of_its_own(metric: str) -> None:
    threshold, confidences = BY_LANDMARKS[metric]
    assert find_threshold("Dlib", metric, align="landmarks") == threshold
    assert threshold != find_threshold("Dlib", metric)
    assert find_threshold("ArcFace", metric, align="landmarks") == THRESHOLDS["ArcFace"][metric]
    assert confidences == {
        value: find_confidence(value, "Dlib", value <= threshold, metric, align="landmarks")
        for value in confidences
    }


@pytest.mark.parametrize("metric", distance.METRICS)
@given(st.integers(2, 600), st.integers(0, 1000), st.floats(1e-3, 1e3))
def test_no_distance_is_negative(metric: str, d: int, seed: int, scale: float) -> None:
    """Rounding would make some of equal directions so, by a last bit or as -0.0."""
    x = np.random.default_rng(seed).normal(size=d)
    exact = distance.find_cosine_distance(x, scale * x)
    stacked = distance.find_cosine_distance([x, x], [scale * x])
    [(_, ranked)] = Ranking(x[None], np.ones(1, bool)).closest(scale * x[None], metric)
    rounded = distance.find_distance(x, scale * x, metric)
    for found in (exact, *stacked.ravel(), *ranked, rounded):
        assert not np.signbit(found)
