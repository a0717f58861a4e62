"""The steps of a cascade's search as one Triton kernel each, for CUDA.

They compute what ``haar_plain.py`` does with many operations, number by number, without writing to
memory what lies between. Proven in Triton's interpreter; on a GPU they have not run yet.
"""
# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-decorators, allow-untyped-calls
# ruff: noqa: N803

from __future__ import annotations

import numpy as np
import torch
import triton  # type: ignore[import-not-found,import-untyped,unused-ignore]
import triton.language as tl  # type: ignore[import-not-found,import-untyped,unused-ignore]
from torch import Tensor

from deepface.detection.haar.cascade_file import HaarCascade
from deepface.detection.haar.grid import GridStage, Windows

#: Pixels or windows that a program of a kernel handles.
_BLOCK = 256
#: Stages that are computed for every window, and after which windows are gathered anew.
_GROUP_ENDS = (2, 3, 4, 5, 6, 8, 10, 13, 17)


class Fused:
    """The steps of a search; see :class:`deepface.detection.haar.search.Steps`.

    Tables on the device: for each feature its corners as y, x, weight, ``(f, corners, 3)`` int32,
    and below which value it votes left and how much more that is worth than right, ``(f, 2)``; for
    each stage its first feature, the one after its last, the sum of right votes and the threshold,
    ``(stages, 4)``. Those are float64, which holds them all exactly.
    """

    def __init__(self, cascade: HaarCascade, device: torch.device) -> None:
        self._window = cascade.window
        stages = [GridStage.of(stage) for stage in cascade.stages]
        features = [feature for stage in stages for feature in stage.features]
        self._most = max(len(corners) for corners, _, _ in features)
        table = np.zeros((len(features), self._most, 3), np.int32)
        for row, (corners, _, _) in zip(table, features, strict=True):
            row[: len(corners)] = corners
        ends = np.cumsum([len(stage.features) for stage in stages]).tolist()
        rows = [
            (end - len(stage.features), end, stage.right, stage.threshold)
            for end, stage in zip(ends, stages, strict=True)
        ]
        self._tables = (
            torch.from_numpy(table).to(device),
            torch.tensor([f[1:] for f in features], dtype=torch.float64, device=device),
            torch.tensor(rows, dtype=torch.float64, device=device),
        )
        self._ends = [*(end for end in _GROUP_ENDS if end < len(stages)), len(stages)]
        self.groups = range(len(self._ends) - 1)

    def resampled(
        self, gray: Tensor, rows: Tensor, columns: Tensor, strips: Tensor, offsets: Tensor
    ) -> Tensor:
        """As :func:`deepface.detection.haar.atlas.resampled`."""
        _, height, count = rows.shape
        width, length = len(strips), columns.shape[1]
        out = torch.empty((height, width), dtype=torch.uint8, device=gray.device)
        with torch.cuda.device_of(gray):
            _resample[(height, triton.cdiv(width, _BLOCK))](
                *(gray, rows, columns, strips, offsets, out, height, width, count, length),
                BLOCK=_BLOCK,
            )
        return out

    def grid(self, sums: Tensor, squares: Tensor, step: int) -> tuple[Tensor, Tensor, Tensor]:
        """The first two stages."""
        rows, columns = ((size - 1 - self._window) // step + 1 for size in sums.shape)
        norms = torch.empty((rows, columns), device=sums.device, dtype=torch.float32)
        calm, passed = (torch.empty_like(norms, dtype=torch.bool) for _ in range(2))
        with torch.cuda.device_of(sums):
            _grid[(rows, triton.cdiv(columns, _BLOCK))](
                *(sums, squares, *self._tables, norms, calm, passed),
                *(columns, sums.shape[1], step, self._window, self._ends[0]),
                CORNERS=self._most,
                BLOCK=_BLOCK,
            )
        return norms, calm, passed

    def source(self, pixels: Tensor, sums: Tensor) -> Tensor:
        """The sums."""
        return sums

    def look(self, source: Tensor, windows: Windows, group: int) -> tuple[Tensor, Tensor]:
        """Some stages."""
        passed = torch.empty_like(windows.norms, dtype=torch.bool)
        votes = torch.empty_like(windows.norms, dtype=torch.float64)
        count = len(windows.norms)
        if count:
            with torch.cuda.device_of(source):
                _look[(triton.cdiv(count, _BLOCK),)](
                    *(source, windows.y, windows.x, windows.norms, *self._tables, passed, votes),
                    *(count, source.shape[1], self._ends[group], self._ends[group + 1]),
                    CORNERS=self._most,
                    BLOCK=_BLOCK,
                )
        return passed, votes


@triton.jit
def _resample(
    gray,
    rows,
    columns,
    strips,
    offsets,
    out,
    height,
    width,
    count,
    length,
    BLOCK: tl.constexpr,
):
    y = tl.program_id(0)
    x = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = x < width
    row = rows + y * count + tl.load(strips + x, inside, 0)
    plane = height * count
    upper = gray + tl.load(row + plane, inside, 0)
    lower = gray + tl.load(row + 2 * plane, inside, 0)
    below = tl.load(row + 3 * plane, inside, 0)
    first = tl.load(row + 4 * plane, inside, 0)
    most = tl.load(row + 5 * plane, inside, 0)
    column = columns + first + tl.minimum(most, tl.load(offsets + x, inside, 0))
    left = tl.load(column, inside, 0)
    right = tl.load(column + length, inside, 0)
    beside = tl.load(column + 2 * length, inside, 0)
    a = tl.load(upper + left, inside, 0).to(tl.int32)
    b = tl.load(upper + right, inside, 0).to(tl.int32)
    c = tl.load(lower + left, inside, 0).to(tl.int32)
    d = tl.load(lower + right, inside, 0).to(tl.int32)
    above = a * 256 + (b - a) * beside
    under = c * 256 + (d - c) * beside
    pixel = (above * 256 + (under - above) * below + 32768) >> 16
    tl.store(out + y.to(tl.int64) * width + x, pixel.to(tl.uint8), inside)


@triton.jit
def _stage(
    stage,
    at,
    norm,
    wanted,
    stride,
    corners,
    numbers,
    stages,
    CORNERS: tl.constexpr,
):
    """Votes of a stage on windows whose sums begin at ``at``, and whether they pass."""
    entry = stages + stage * 4
    votes = tl.zeros_like(norm).to(tl.float64) + tl.load(entry + 2)
    for feature in range(tl.load(entry).to(tl.int32), tl.load(entry + 1).to(tl.int32)):
        value = tl.zeros_like(norm).to(tl.int32)
        for number in tl.static_range(CORNERS):
            corner = corners + (feature * CORNERS + number) * 3
            away = tl.load(corner) * stride + tl.load(corner + 1)
            value += tl.load(corner + 2) * tl.load(at + away, wanted, 0)
        split = tl.load(numbers + feature * 2).to(tl.float32)
        left = value.to(tl.float32) * norm < split
        votes += tl.where(left, tl.load(numbers + feature * 2 + 1), 0.0)
    return votes, wanted & (votes >= tl.load(entry + 3))


@triton.jit
def _inner(at, stride, window, wanted):
    """Sums over windows without their outermost pixels."""
    far = window - 1
    whole = tl.load(at + far * stride + far, wanted, 0) - tl.load(at + stride + far, wanted, 0)
    return whole - tl.load(at + far * stride + 1, wanted, 0) + tl.load(at + stride + 1, wanted, 0)


@triton.jit
def _grid(
    sums,
    squares,
    corners,
    numbers,
    stages,
    norms,
    calm,
    passed,
    columns,
    stride,
    step,
    window,
    count,
    CORNERS: tl.constexpr,
    BLOCK: tl.constexpr,
):
    row = tl.program_id(0).to(tl.int64)
    column = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = column < columns
    at = row * step * stride + column * step
    area = (window - 2) * (window - 2)
    total = _inner(sums + at, stride, window, inside).to(tl.float64)
    square = _inner(squares + at, stride, window, inside).to(tl.float64)
    deviation = square * area - total * total
    varied = deviation > 0
    norm = (1.0 / tl.sqrt(tl.where(varied, deviation, 1.0))).to(tl.float32)
    textured = varied & (norm.to(tl.float64) * area < 0.1)
    alive = textured & inside
    quiet = textured == 0
    for stage in range(count):
        _, alive = _stage(stage, sums + at, norm, alive, stride, corners, numbers, stages, CORNERS)
        quiet = quiet | (alive & (stage == 0))
    out = row * columns + column
    tl.store(norms + out, norm, inside)
    tl.store(calm + out, quiet, inside)
    tl.store(passed + out, alive, inside)


@triton.jit
def _look(
    sums,
    ys,
    xs,
    norms,
    corners,
    numbers,
    stages,
    passed,
    weights,
    count,
    stride,
    begin,
    end,
    CORNERS: tl.constexpr,
    BLOCK: tl.constexpr,
):
    window = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    alive = window < count
    at = tl.load(ys + window, alive, 0) * stride + tl.load(xs + window, alive, 0)
    norm = tl.load(norms + window, alive, 0.0)
    votes = tl.zeros_like(norm).to(tl.float64)
    for stage in range(begin, end):
        votes, alive = _stage(
            stage, sums + at, norm, alive, stride, corners, numbers, stages, CORNERS
        )
    tl.store(passed + window, alive, window < count)
    tl.store(weights + window, votes, window < count)
