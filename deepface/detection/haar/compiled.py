"""The windows of one size of a pyramid that pass a cascade, compiled by numba.

OpenCV looks at one window at a time. Here the first stage, where most windows end, is computed for
whole rows by vector instructions, and the later ones for what is left of a size, feature by
feature. What is found is equal to OpenCV's to the last bit, as ``search.py`` explains.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from deepface.detection.haar.cascade_file import FLAT, HaarCascade

#: Windows that go through the later stages together: their votes should stay in the cache.
_CHUNK = 1024

_compiled = njit(cache=True, nogil=True, error_model="numpy")


class CompiledCascade:
    """A cascade for any number of threads, which do not hold the interpreter's lock meanwhile."""

    def __init__(self, cascade: HaarCascade) -> None:
        counts = [len(stage.splits) for stage in cascade.stages]
        self.window = cascade.window
        self._features = (
            np.concatenate([stage.rectangles for stage in cascade.stages]),
            np.concatenate([stage.splits for stage in cascade.stages]),
            np.concatenate([stage.left - stage.right for stage in cascade.stages]),
        )
        self._stages = (
            np.cumsum([0, *counts]),
            np.array([stage.right.sum() for stage in cascade.stages]),
            np.array([stage.threshold for stage in cascade.stages]),
        )

    def windows(
        self, gray: NDArray[np.uint8], step: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """The windows that pass, on a grid of ``step`` pixels (1 or 2), row by row.

        Args:
            gray: ``(H, W)``, at least as large as the window, fewer than 2**31 pixels.
            step: between windows.

        Returns:
            Their corners as x, y ``(n, 2)`` and weights, the votes of the last stage, ``(n,)``.
        """
        gray = np.ascontiguousarray(gray)
        x, y, votes = _search(gray, self.window, step, self._features, self._stages)
        return np.stack([x, y], axis=1).astype(np.int64) * step, votes


@_compiled
def _search(gray: Any, window: int, step: int, features: Any, stages: Any) -> Any:
    """Columns, rows and votes of the windows that pass.

    ``features`` are rectangles, splits, and how much more the left vote is worth than the right
    one; ``stages``: where their features begin, sums of the right votes, and thresholds.
    """
    rectangles, splits, differences = features
    tables = _integrals(gray, step)
    sums, _, pitch, plane = tables
    places = np.empty((len(splits), 12), np.uint64)
    for f in range(len(splits)):
        for k in range(3):
            x, y, width, height, _ = rectangles[f, k]
            for corner in range(4):
                down, right = corner // 2 * height, corner % 2 * width
                places[f, 4 * k + corner] = _place(y + down, x + right, step, pitch, plane)
    placed = places, np.ascontiguousarray(rectangles[:, :, 4]), splits, differences
    at, norms = _first_stage(gray.shape, window, step, tables, placed, stages)
    found, votes = _later_stages(sums, at, norms, placed, stages)
    return found % pitch, found // pitch // step, votes


@_compiled
def _first_stage(
    shape: Any, window: int, step: int, tables: Any, features: Any, stages: Any
) -> Any:
    """Places and norms of the windows that pass it."""
    sums, squares, pitch, plane = tables
    places, weights, splits, differences = features
    starts, rights, thresholds = stages
    far = window - 1
    edges = (
        _place(far, far, step, pitch, plane),
        _place(1, far, step, pitch, plane),
        _place(far, 1, step, pitch, plane),
        _place(1, 1, step, pitch, plane),
    )
    area = float((window - 2) ** 2)
    rows, columns = (shape[0] - window) // step + 1, (shape[1] - window) // step + 1
    at, norms_left = np.empty(rows * columns, np.uint32), np.empty(rows * columns, np.float32)
    norms, votes = np.empty(columns, np.float32), np.empty(columns, np.float64)
    count = 0
    for row in range(rows):
        first = row * step * pitch
        here = sums[first:]
        _norms(here, squares[first:], edges, area, norms)
        votes[:] = rights[0]
        for f in range(starts[0], starts[1]):
            _vote_on_row(here, places[f], weights[f], splits[f], differences[f], norms, votes)
        x = 0
        while x < columns:
            passes = votes[x] >= thresholds[0]
            textured = norms[x] * area < FLAT
            if textured and passes:
                at[count], norms_left[count] = first + x, norms[x]
                count += 1
            # Where a window fails in the first stage, OpenCV skips the next one of its row.
            x += 1 if passes or not textured else 2
    return at[:count], norms_left[:count]


@_compiled
def _later_stages(sums: Any, at: Any, norms: Any, features: Any, stages: Any) -> Any:
    """Places and votes of the windows that pass all of them; the others' places are lost."""
    places, weights, splits, differences = features
    starts, rights, thresholds = stages
    found, total = np.empty(len(at), np.uint32), np.empty(len(at), np.float64)
    votes = np.empty(_CHUNK, np.float64)
    n = 0
    for start in range(0, len(at), _CHUNK):
        some, some_norms = at[start : start + _CHUNK], norms[start : start + _CHUNK]
        left = len(some)
        for stage in range(1, len(rights)):
            votes[:left] = rights[stage]
            for f in range(starts[stage], starts[stage + 1]):
                _vote(
                    *(sums, some[:left], places[f], weights[f], splits[f], differences[f]),
                    *(some_norms, votes),
                )
            kept = 0
            for i in range(left):
                if votes[i] >= thresholds[stage]:
                    some[kept], some_norms[kept], votes[kept] = some[i], some_norms[i], votes[i]
                    kept += 1
            left = kept
            if not left:
                break
        found[n : n + left], total[n : n + left] = some[:left], votes[:left]
        n += left
    return found[:n], total[:n]


@_compiled
def _place(y: int, x: int, step: int, pitch: int, plane: int) -> int:
    """Where a sum is: even and odd columns lie apart where windows step by two."""
    return y * pitch + x % step * plane + x // step


@_compiled
def _integrals(gray: Any, step: int) -> Any:
    """Sums of all pixels above and to the left, and of their squares; they may overflow."""
    height, width = gray.shape
    pitch = width // step + 1
    plane = (height + 1) * pitch
    sums, squares = np.zeros(step * plane, np.int32), np.zeros(step * plane, np.int32)
    line = np.zeros((2, pitch * step), np.int32)
    for y in range(height):
        total = square = np.int32(0)
        for x in range(width):
            value = np.int32(gray[y, x])
            total, square = np.int32(total + value), np.int32(square + value * value)
            line[0, x + 1], line[1, x + 1] = total, square
        for side in range(step):
            above, here = side * plane + y * pitch, side * plane + (y + 1) * pitch
            for x in range(pitch):
                sums[here + x] = sums[above + x] + line[0, x * step + side]
                squares[here + x] = squares[above + x] + line[1, x * step + side]
    return sums, squares, pitch, plane


@_compiled
def _norms(sums: Any, squares: Any, edges: Any, area: float, norms: Any) -> None:
    """One over the deviation of each window of a row, without its outermost pixels."""
    e0, e1, e2, e3 = edges
    s0, s1, s2, s3 = sums[e0:], sums[e1:], sums[e2:], sums[e3:]
    q0, q1, q2, q3 = squares[e0:], squares[e1:], squares[e2:], squares[e3:]
    for x in range(len(norms)):
        total = np.float64(np.int32(s0[x] - s1[x] - s2[x] + s3[x]))
        square = np.float64(np.int32(q0[x] - q1[x] - q2[x] + q3[x]))
        norms[x] = np.float32(1 / np.sqrt(square * area - total * total))


@_compiled
def _vote_on_row(
    sums: Any, places: Any, weights: Any, split: Any, difference: float, norms: Any, votes: Any
) -> None:
    """Add a feature's votes on all windows of a row, which ``sums`` begins with."""
    a, b, c, d, e, f, g, h, i, j, k, m = places
    u, v, w = weights
    for x in range(np.uint64(len(norms))):
        value = u * (sums[x + a] - sums[x + b] - sums[x + c] + sums[x + d])
        value += v * (sums[x + e] - sums[x + f] - sums[x + g] + sums[x + h])
        if w:
            value += w * (sums[x + i] - sums[x + j] - sums[x + k] + sums[x + m])
        votes[x] += difference if np.float32(np.int32(value)) * norms[x] < split else 0.0


@_compiled
def _vote(
    sums: Any,
    at: Any,
    places: Any,
    weights: Any,
    split: Any,
    difference: float,
    norms: Any,
    votes: Any,
) -> None:
    """Add a feature's votes on the windows that begin ``at`` places of ``sums``."""
    a, b, c, d, e, f, g, h, i, j, k, m = places
    u, v, w = weights
    for n in range(len(at)):
        x = np.uint64(at[n])
        value = u * (sums[x + a] - sums[x + b] - sums[x + c] + sums[x + d])
        value += v * (sums[x + e] - sums[x + f] - sums[x + g] + sums[x + h])
        if w:
            value += w * (sums[x + i] - sums[x + j] - sums[x + k] + sums[x + m])
        votes[n] += difference * (np.float32(np.int32(value)) * norms[n] < split)
