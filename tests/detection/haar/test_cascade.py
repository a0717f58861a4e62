"""Merging the windows of a cascade."""

from __future__ import annotations

import numpy as np
import pytest

from deepface.detection.haar.grouping import Hits, group


def windows(*squares: tuple[int, int, int, int, float]) -> Hits:
    """``count`` windows ``(x, y, side, count, weight)`` for each."""
    boxes = [[x, y, side, side] for x, y, side, count, _ in squares for _ in range(count)]
    weights = [weight for *_, count, weight in squares for _ in range(count)]
    return Hits(np.array(boxes, np.int64).reshape(-1, 4), np.array(weights, np.float64))


@pytest.mark.parametrize(
    ("squares", "expected"),
    [
        ([], []),
        # Ten windows are none, eleven are a face, with the highest weight.
        ([(50, 60, 30, 10, 1.0)], []),
        ([(50, 60, 30, 10, 1.0), (50, 60, 30, 1, 7.0)], [(50, 60, 30, 30, 7.0)]),
        # The mean of similar ones (sides that differ by at most a fifth), rounded.
        ([(50, 60, 30, 6, 1.0), (56, 60, 30, 6, 2.0)], [(53, 60, 30, 30, 2.0)]),
        ([(50, 60, 30, 11, 1.0), (57, 60, 30, 10, 2.0)], [(50, 60, 30, 30, 1.0)]),
        # Similar through others: the first and the last are not.
        (
            [(50, 60, 30, 4, 1.0), (56, 60, 30, 4, 2.0), (62, 60, 30, 4, 3.0)],
            [(56, 60, 30, 30, 3.0)],
        ),
        # One inside another goes when the other has more windows, not when it has fewer.
        ([(10, 10, 100, 12, 1.0), (40, 40, 30, 11, 9.0)], [(10, 10, 100, 100, 1.0)]),
        (
            [(10, 10, 100, 11, 1.0), (40, 40, 30, 12, 9.0)],
            [(40, 40, 30, 30, 9.0), (10, 10, 100, 100, 1.0)],
        ),
        # Clipped to a picture of 200 x 150.
        ([(180, 130, 30, 11, 1.0)], [(180, 130, 20, 20, 1.0)]),
        # Ordered by weight, then area, then y, then x.
        (
            [(9, 70, 20, 11, 1.0), (9, 9, 20, 11, 1.0), (70, 9, 20, 11, 1.0), (90, 90, 30, 11, 1)],
            [(90, 90, 30, 30, 1.0), (9, 9, 20, 20, 1), (70, 9, 20, 20, 1), (9, 70, 20, 20, 1)],
        ),
    ],
)
def test_group(
    squares: list[tuple[int, int, int, int, float]],
    expected: list[tuple[int, int, int, int, float]],
) -> None:
    found = windows(*squares)
    shuffled = np.random.default_rng(1).permutation(len(found.weights))
    for order in (np.arange(len(found.weights)), shuffled):
        merged = group(Hits(found.boxes[order], found.weights[order]), (150, 200))
        rows = [(*box, w) for box, w in zip(merged.boxes.tolist(), merged.weights, strict=True)]
        assert rows == expected
