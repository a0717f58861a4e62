"""The search of a cascade on CUDA by kernels of its own, in Triton, which PyTorch brings along.

They compute what ``stages.py``, ``grid.py`` and ``atlas.resampled`` do in hundreds of launches, bit
for bit, and write next to nothing to memory in between: a window's votes stay in registers, and of
what passes some stages only the number goes on. Whoever is left is asked again, so that the lanes
of a program stay busy; how many are left the device knows, and the host is not asked.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from functools import partial
from itertools import pairwise

import numpy as np
import torch
import triton
import triton.language as tl
from torch import Tensor

from deepface.detection.haar.atlas import Atlas
from deepface.detection.haar.cascade_file import HaarCascade
from deepface.detection.haar.grid import GridStage

#: Stages after which the windows that are left are gathered anew; the first ones run for all.
_ENDS = (2, 4, 7, 11)
#: Pixels of a row that a program makes.
_PIXEL_BLOCK = 512
#: Features of so many corners are looked at apart from those of more.
_FEW = tl.constexpr(6)
#: Columns and rows of a part of a table of sums.
_SUM_COLUMNS, _SUM_ROWS, _SUM_BLOCK = 128, 32, 1024
#: Numbers of an atlas and a cascade for which no kernel is compiled anew.
_SIZES = ("stride", "words", "strip_count", "columns", "step", "window")


class Kernels:
    """A cascade's search on one device.

    Tables on it: the corners of features, six at least, as y, x and weight in one int32 (8, 8 and
    16 bits), ``(f, corners)``; below which value a feature votes left and how much more that is
    worth than right, ``(f, 2)``; of each stage the sum of right votes and the threshold, ``(s,
    2)``: float64, which holds them exactly. The features of a stage that have few corners come
    first: ``parts`` ``(s + 1, 2)`` int32 says where each stage begins, and where those of many do.

    A program looks at ``row_block`` windows of a row; those that are left, ``block`` at a time, are
    shared by so many ``programs`` of each multiprocessor.
    """

    def __init__(
        self,
        cascade: HaarCascade,
        device: torch.device,
        row_block: int = 512,
        block: int = 128,
        programs: int = 16,
    ) -> None:
        stages = [GridStage.of(stage) for stage in cascade.stages]
        self.window = cascade.window
        self._device = device
        most = max(len(f[0]) for stage in stages for f in stage.features)
        count = sum(len(stage.features) for stage in stages)
        corners = np.zeros((count, max(_FEW.value, most)), np.int32)
        numbers, parts, at = np.zeros((count, 2)), [], 0
        for stage in stages:
            features = sorted(stage.features, key=lambda feature: len(feature[0]))
            few = sum(len(feature[0]) <= _FEW.value for feature in features)
            parts.append((at, at + few))
            for places, split, difference in features:
                corners[at, : len(places)] = [
                    (y << 24) + (x << 16) + (w & 65535) for y, x, w in places
                ]
                numbers[at] = split, difference
                at += 1
        parts.append((at, at))
        self._tables = [
            torch.from_numpy(table).to(device)
            for table in (
                corners,
                numbers,
                np.array(parts, np.int32),
                np.array([(stage.right, stage.threshold) for stage in stages]),
            )
        ]
        self._ends = [*(end for end in _ENDS if end < len(stages)), len(stages)]
        processors = 1
        if device.type == "cuda":
            processors = torch.cuda.get_device_properties(device).multi_processor_count
        self._programs = programs * processors
        self._row_block, self._block = row_block, block

    @staticmethod
    def resampled(
        gray: Tensor, rows: Tensor, columns: Tensor, strips: Tensor, offsets: Tensor
    ) -> Tensor:
        """As :func:`deepface.detection.haar.atlas.resampled`."""
        (_, height, count), width = rows.shape, len(strips)
        out = gray.new_empty((height, width))
        with _on(gray.device):
            _resampled[(triton.cdiv(width, _PIXEL_BLOCK), height)](
                *(gray, rows, columns, strips, offsets, out),
                *(height, width, count, columns.shape[1]),
                block=_PIXEL_BLOCK,
            )
        return out

    def passing(self, atlas: Atlas) -> tuple[Tensor, Tensor, Tensor]:
        """The windows of an atlas that pass all stages: y, x and votes of the last, ``(n,)``.

        In no certain order.
        """
        rows, columns = ((size - self.window) // atlas.step + 1 for size in atlas.pixels.shape)
        if rows < 1 or columns < 1:
            none = torch.zeros(0, dtype=torch.int64, device=self._device)
            return none, none, none.double()
        with _on(self._device):
            sums, squares = integrals(atlas.pixels)
            blocks = triton.cdiv(columns, self._row_block)
            new = partial(torch.empty, dtype=torch.int32, device=self._device)
            passes = new((rows, blocks * self._row_block // 32))
            left, after = new(rows * columns), new(rows * columns)
            votes = new(rows * columns, dtype=torch.float64)
            counts = torch.zeros(len(self._ends), dtype=torch.int32, device=self._device)
            given = (sums, squares, atlas.blocks, atlas.strips, atlas.places, *self._tables, passes)
            facts = (
                *(sums.stride(0), passes.stride(0), atlas.blocks.stride(0)),
                *(columns, atlas.step, self.window),
            )
            sizes = {"width": self._tables[0].shape[1], "enable_fp_fusion": False}
            _first[(blocks, rows)](
                *(*given, left, counts, self._ends[0], *facts), block=self._row_block, **sizes
            )
            for number, ends in enumerate(pairwise(self._ends)):
                _later[(self._programs,)](
                    *(*given, left, after, votes, counts, number, *ends, self._ends[-1], *facts),
                    block=self._block,
                    **sizes,
                )
                left, after = after, left
            found = int(counts[-1])  # the host waits
        at = left[:found].long()
        return at // columns * atlas.step, at % columns * atlas.step, votes[:found]


def integrals(pixels: Tensor) -> tuple[Tensor, Tensor]:
    """As :func:`deepface.detection.haar.grid.integrals`, with columns that mean nothing at the end.

    Args:
        pixels: ``(H, W)`` ``uint8`` without gaps.
    """
    height, width = pixels.shape
    sums, squares = torch.empty(
        (2, height + 1, (width // 32 + 1) * 32), dtype=torch.int32, device=pixels.device
    )
    with _on(pixels.device):
        _down[(triton.cdiv(width, _SUM_COLUMNS),)](
            *(pixels, sums, squares, height, width, sums.stride(0)),
            rows=_SUM_ROWS,
            columns=_SUM_COLUMNS,
        )
        _across[(height + 1,)](sums, squares, width, sums.stride(0), block=_SUM_BLOCK)
    return sums, squares


def _on(device: torch.device) -> AbstractContextManager[object]:
    return torch.cuda.device(device) if device.type == "cuda" else nullcontext()


@triton.jit(do_not_specialize=["height", "width", "count", "length"])
def _resampled(
    gray, rows, columns, strips, offsets, out, height, width, count, length, block: tl.constexpr
):
    y = tl.program_id(1)
    x = tl.program_id(0) * block + tl.arange(0, block)
    inside = x < width
    row = rows + y * count + tl.load(strips + x, inside, 0)
    plane = height * count
    upper = gray + tl.load(row + plane, inside, 0)
    lower = gray + tl.load(row + 2 * plane, inside, 0)
    below = tl.load(row + 3 * plane, inside, 0)
    first = tl.load(row + 4 * plane, inside, 0)
    block_width = tl.load(row + 5 * plane, inside, 0)
    column = columns + first + tl.minimum(block_width, tl.load(offsets + x, inside, 0))
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


@triton.jit(do_not_specialize=["height", "width"])
def _down(pixels, sums, squares, height, width, stride, rows: tl.constexpr, columns: tl.constexpr):
    """Sums down every column, one row and column on from the pixels."""
    x = tl.program_id(0) * columns + tl.arange(0, columns)
    total = tl.zeros((columns,), tl.int32)
    square = tl.zeros((columns,), tl.int32)
    for top in range(0, height, rows):
        y = top + tl.arange(0, rows)
        inside = (y < height)[:, None] & (x < width)[None, :]
        value = tl.load(pixels + y[:, None] * width + x[None, :], inside, 0).to(tl.int32)
        out = (y[:, None] + 1) * stride + x[None, :] + 1
        tl.store(sums + out, (tl.cumsum(value, 0) + total[None, :]).to(tl.int32), inside)
        total += tl.sum(value, 0)
        value *= value
        tl.store(squares + out, (tl.cumsum(value, 0) + square[None, :]).to(tl.int32), inside)
        square += tl.sum(value, 0)


@triton.jit(do_not_specialize=["width"])
def _across(sums, squares, width, stride, block: tl.constexpr):
    """Sums along every row, in place; the first row and column become zeros."""
    row = tl.program_id(0)
    total = tl.zeros((1,), tl.int32)
    square = tl.zeros((1,), tl.int32)
    for left in range(0, stride, block):
        x = (left + tl.arange(0, block))[None, :]
        known = (x > 0) & (x <= width) & (row > 0)
        at = row * stride + x
        value = tl.load(sums + at, known, 0)
        tl.store(sums + at, (tl.cumsum(value, 1) + total[:, None]).to(tl.int32), x < stride)
        total += tl.sum(value, 1)
        value = tl.load(squares + at, known, 0)
        tl.store(squares + at, (tl.cumsum(value, 1) + square[:, None]).to(tl.int32), x < stride)
        square += tl.sum(value, 1)


@triton.jit
def _inner(at, stride, window, wanted):
    """Sums over windows without their outermost pixels."""
    far = window - 1
    whole = tl.load(at + far * stride + far, wanted, 0) - tl.load(at + stride + far, wanted, 0)
    return whole - tl.load(at + far * stride + 1, wanted, 0) + tl.load(at + stride + 1, wanted, 0)


@triton.jit
def _norm(sums, squares, at, stride, window, wanted):
    """One over the deviation of windows, and whether they are not constant."""
    area = (window - 2) * (window - 2)
    total = _inner(sums + at, stride, window, wanted).to(tl.float64)
    square = _inner(squares + at, stride, window, wanted).to(tl.float64)
    deviation = square * area - total * total
    varied = deviation > 0
    norm = (1.0 / tl.sqrt(tl.where(varied, deviation, 1.0))).to(tl.float32)
    return norm, varied & (norm.to(tl.float64) * area < 0.1)


@triton.jit
def _vote(
    at, norm, wanted, feature, stride, corners, numbers, count: tl.constexpr, width: tl.constexpr
):
    """How much more than the right votes a feature gives to windows whose sums begin ``at``."""
    value = tl.zeros_like(norm).to(tl.int32)
    for number in tl.static_range(count):
        corner = tl.load(corners + feature * width + number)
        away = (corner >> 24) * stride + ((corner >> 16) & 255)
        value += tl.load(at + away, wanted, 0) * ((corner << 16) >> 16)
    left = value.to(tl.float32) * norm < tl.load(numbers + feature * 2).to(tl.float32)
    return tl.where(left, tl.load(numbers + feature * 2 + 1), 0.0)


@triton.jit
def _stage(stage, at, norm, wanted, stride, corners, numbers, parts, stages, width: tl.constexpr):
    """Votes of a stage, and which windows pass."""
    votes = tl.zeros_like(norm).to(tl.float64) + tl.load(stages + stage * 2)
    middle = tl.load(parts + stage * 2 + 1)
    for feature in range(tl.load(parts + stage * 2), middle):
        votes += _vote(at, norm, wanted, feature, stride, corners, numbers, _FEW, width)
    for feature in range(middle, tl.load(parts + stage * 2 + 2)):
        votes += _vote(at, norm, wanted, feature, stride, corners, numbers, width, width)
    return votes, wanted & (votes >= tl.load(stages + stage * 2 + 1))


@triton.jit
def _place(blocks, strips, places, y, x, strip_count, wanted):
    """Where the blocks that windows lie in have their facts."""
    strip = tl.load(strips + x, wanted, 0)
    return places + tl.load(blocks + y * strip_count + strip, wanted, 0).to(tl.int64) * 6


@triton.jit(do_not_specialize=["end", *_SIZES])
def _first(
    sums, squares, blocks, strips, places, corners, numbers, parts, stages, passes,
    left, counts, end,
    stride, words, strip_count, columns, step, window, width: tl.constexpr, block: tl.constexpr,
):  # fmt: skip
    """The first stages for every window of a row.

    Into ``passes``, 32 windows a word, goes whether a window is constant or passes the first one;
    into ``left`` the numbers of those that pass all, and into ``counts`` how many they are.
    """
    row = tl.program_id(1)
    column = tl.program_id(0) * block + tl.arange(0, block)
    there = column < columns
    y, x = row * step, column * step
    place = _place(blocks, strips, places, y, x, strip_count, there)
    inside = (y - tl.load(place + 2, there, 0)) // step < tl.load(place, there, 0)
    inside &= (x - tl.load(place + 3, there, 0)) // step < tl.load(place + 1, there, 0)
    wanted = there & inside
    at = y * stride + x
    norm, textured = _norm(sums, squares, at, stride, window, wanted)
    alive = wanted & textured
    _, alive = _stage(0, sums + at, norm, alive, stride, corners, numbers, parts, stages, width)
    passing = (alive | (textured == 0)).to(tl.int32) << (tl.arange(0, block) & 31)
    word = tl.program_id(0) * (block // 32) + tl.arange(0, block // 32)
    tl.store(passes + row * words + word, tl.sum(tl.reshape(passing, (block // 32, 32)), 1))
    stage = end * 0 + 1
    going = tl.sum(alive.to(tl.int32), 0)
    while (stage < end) & (going > 0):
        _, alive = _stage(
            stage, sums + at, norm, alive, stride, corners, numbers, parts, stages, width
        )
        going = tl.sum(alive.to(tl.int32), 0)
        stage += 1
    if going > 0:
        to = tl.atomic_add(counts, going) + tl.cumsum(alive.to(tl.int32), 0) - 1
        tl.store(left + to, row * columns + column, alive)


@triton.jit
def _looked_at(passes, blocks, strips, places, row, column, step, words, strip_count, wanted):
    """Which windows OpenCV looks at: an even number of failing ones in a row come before them.

    Where a window fails in the first stage, OpenCV skips the next one of its row.
    """
    place = _place(blocks, strips, places, row * step, column * step, strip_count, wanted)
    own = ((column * step - tl.load(place + 3, wanted, 0)) // step).to(tl.int32)
    lowest = (column - own) >> 5
    word = column >> 5
    bits = tl.load(passes + row * words + word, wanted, 0) & ((1 << (column & 31)) - 1)
    seeking = wanted & (bits == 0) & (word > lowest)
    while tl.sum(seeking.to(tl.int32), 0) > 0:
        word = tl.where(seeking, word - 1, word)
        bits = tl.where(seeking, tl.load(passes + row * words + word, seeking, 0), bits)
        seeking = seeking & (bits == 0) & (word > lowest)
    # The highest bit of a whole number is the exponent of a float64 that holds it.
    exact = bits.to(tl.uint32, bitcast=True).to(tl.float64).to(tl.int64, bitcast=True)
    highest = word * 32 + (exact >> 52).to(tl.int32) - 1023
    failing = tl.minimum(column - 1 - tl.where(bits == 0, -1, highest), own)
    return wanted & (failing % 2 == 0)


@triton.jit(do_not_specialize=["number", "begin", "end", "last", *_SIZES])
def _later(
    sums, squares, blocks, strips, places, corners, numbers, parts, stages, passes,
    left, after, weights, counts, number, begin, end, last,
    stride, words, strip_count, columns, step, window, width: tl.constexpr, block: tl.constexpr,
):  # fmt: skip
    """Some more stages for the windows that are ``left``; those that pass go to ``after``."""
    total = tl.load(counts + number)
    for start in range(tl.program_id(0) * block, total, tl.num_programs(0) * block):
        lane = start + tl.arange(0, block)
        alive = lane < total
        numbered = tl.load(left + lane, alive, 0)
        row = numbered // columns
        column = numbered - row * columns
        if number == 0:
            alive = _looked_at(
                passes, blocks, strips, places, row, column, step, words, strip_count, alive
            )
        at = row * step * stride + column * step
        norm, _ = _norm(sums, squares, at, stride, window, alive)
        votes = tl.zeros_like(norm).to(tl.float64)
        stage = begin
        going = tl.sum(alive.to(tl.int32), 0)
        while (stage < end) & (going > 0):
            votes, alive = _stage(
                stage, sums + at, norm, alive, stride, corners, numbers, parts, stages, width
            )
            going = tl.sum(alive.to(tl.int32), 0)
            stage += 1
        if going > 0:
            to = tl.atomic_add(counts + number + 1, going) + tl.cumsum(alive.to(tl.int32), 0) - 1
            tl.store(after + to, numbered, alive)
            tl.store(weights + to, votes, alive & (end == last))
