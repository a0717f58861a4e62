"""Vectors that are scaled to [0, 1], or to length 1."""

from __future__ import annotations

import numpy as np
import pytest

from deepface.recognition.normalization import (
    MINMAX,
    normalize_embedding_l2,
    normalize_embedding_minmax,
)


@pytest.mark.parametrize("model", MINMAX)
def test_a_model_s_range_becomes_0_to_1(model: str) -> None:
    low, high = MINMAX[model]
    values = [low - 1, low, (low + high) / 2, high, high + 1]
    found = normalize_embedding_minmax(model, values)
    assert found == pytest.approx([0, 0, 0.5, 1, 1])
    several = normalize_embedding_minmax(model, np.array([values, values[::-1]]))
    np.testing.assert_array_equal(several, [found, found[::-1]])


def test_a_range_that_a_script_puts_into_the_table_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for model in ("Dlib", "unknown"):
        assert normalize_embedding_minmax("unknown", [-3.0, 5.0]) == [-3, 5]
        monkeypatch.setitem(MINMAX, model, (-4.0, 4.0))
        assert normalize_embedding_minmax(model, [-4.0, 0.0, 2.0]) == [0, 0.5, 0.75]


def test_length_1() -> None:
    assert normalize_embedding_l2([3.0, 4.0]) == pytest.approx([0.6, 0.8])
    several = normalize_embedding_l2(np.array([[0.0, 2.0], [0.0, 0.0]]))
    np.testing.assert_allclose(several, [[0, 1], [0, 0]])
