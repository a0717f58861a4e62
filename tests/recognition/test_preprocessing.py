"""Letterbox and normalisation, against golden values of the published library."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepface.recognition.preprocessing import NORMALIZATIONS, normalize_input, resize_image
from tests.data import golden


@pytest.mark.parametrize("mode", NORMALIZATIONS)
def test_golden_normalizations(mode: str) -> None:
    cases = golden("functions.json")["normalize_input"]
    x = np.array(cases["x"], dtype=np.float32)
    np.testing.assert_allclose(normalize_input(x, mode), cases[mode], rtol=1e-5, atol=1e-5)


def test_a_flat_face_stays_finite() -> None:
    expected = golden("functions.json")["normalize_input_constant_Facenet"]
    flat = np.full((1, 2, 2, 3), 0.5, np.float32)
    np.testing.assert_array_equal(normalize_input(flat, "Facenet"), expected)


def test_unknown_normalization() -> None:
    with pytest.raises(ValueError, match="unimplemented normalization type - other"):
        normalize_input(np.zeros((1, 2, 2, 3), np.float32), "other")


def test_golden_letterboxes() -> None:
    """Size, type, and which rows and columns are black; values of other pixels are unknown."""
    cases = golden("functions.json")["resize_image"]
    assert len(cases) == 30
    for case in cases:
        face = np.random.default_rng(0).integers(1, 256, (case["h"], case["w"], 3))
        img = face.astype(np.uint8) if case["dtype"] == "u1" else face / 255
        found = resize_image(img, tuple(case["target"]))
        assert list(found.shape) == case["shape"]
        assert str(found.dtype) == case["dt"]
        assert found.max() <= 1
        lit = found[0].max(-1) > 0
        assert [lit.any(1).sum(), lit.any(0).sum()] == [case["nonzero_rows"], case["nonzero_cols"]]


@given(
    st.integers(1, 300), st.integers(1, 300), st.sampled_from([(224, 224), (55, 47), (112, 112)])
)
def test_the_face_is_in_the_middle(height: int, width: int, target: tuple[int, int]) -> None:
    found = resize_image(np.full((height, width, 3), 255, np.uint8), target)[0, :, :, 0]
    rows, columns = np.nonzero(found.any(1))[0], np.nonzero(found.any(0))[0]
    for indices, size in ((rows, target[0]), (columns, target[1])):
        before, after = indices[0], size - 1 - indices[-1]
        assert 0 <= after - before <= 1
