"""The resampling of :mod:`deepface.images.resample` as one kernel each, for CUDA.

They are written in Triton, which PyTorch brings along on Linux. The numbers are the same, bit for
bit: products are not fused with sums. Where Triton, or the compiler that it calls, is missing,
:mod:`deepface.images.operators` do it, in dozens of launches.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

_BLOCK = 256
#: Adding and subtracting it rounds a float64 to a whole number, halves to even.
_WHOLE = tl.constexpr(6755399441055744.0)


@triton.jit(do_not_specialize=["height", "width", "fill"])
def _mixed(
    pixels, below, right, from_y, from_x, in_y, in_x, out, height, width, fill, block: tl.constexpr
):
    row = tl.program_id(0).to(tl.int64)
    picture, y = row // height, row % height
    x = tl.program_id(1) * block + tl.arange(0, block)
    there = x < width
    column = picture * 2 * width + x
    up, low = picture * 2 * height + y, picture * 2 * height + height + y
    first, second = tl.load(from_y + up), tl.load(from_y + low)
    left, beside = tl.load(from_x + column, there, 0), tl.load(from_x + column + width, there, 0)
    of_left, of_beside = (
        tl.load(right + column, there, 0),
        tl.load(right + column + width, there, 0),
    )
    of_first, of_second = tl.load(below + up), tl.load(below + low)
    a, b = tl.maximum(first + left, 0), tl.maximum(first + beside, 0)
    c, d = tl.maximum(second + left, 0), tl.maximum(second + beside, 0)
    inside = (tl.load(in_x + picture * width + x, there, 0) != 0) & (tl.load(in_y + row) != 0)
    for channel in tl.static_range(3):
        one = tl.load(pixels + a.to(tl.int64) * 3 + channel, there, 0).to(tl.int32) * of_left
        one += tl.load(pixels + b.to(tl.int64) * 3 + channel, there, 0).to(tl.int32) * of_beside
        two = tl.load(pixels + c.to(tl.int64) * 3 + channel, there, 0).to(tl.int32) * of_left
        two += tl.load(pixels + d.to(tl.int64) * 3 + channel, there, 0).to(tl.int32) * of_beside
        value = ((((one >> 4) * of_first) >> 16) + (((two >> 4) * of_second) >> 16) + 2) >> 2
        value = tl.where(inside | (fill == 0), value, fill)
        tl.store(out + (row * width + x) * 3 + channel, value.to(tl.uint8), there)


@triton.jit(do_not_specialize=["height", "width"])
def _mixed_real(pixels, below, right, from_y, from_x, out, height, width, block: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    picture, y = row // height, row % height
    x = tl.program_id(1) * block + tl.arange(0, block)
    there = x < width
    column = picture * 2 * width + x
    first = tl.load(from_y + picture * 2 * height + y)
    second = tl.load(from_y + picture * 2 * height + height + y)
    left, beside = tl.load(from_x + column, there, 0), tl.load(from_x + column + width, there, 0)
    across, down = tl.load(right + picture * width + x, there, 0.0), tl.load(below + row)
    a, b = tl.maximum(first + left, 0), tl.maximum(first + beside, 0)
    c, d = tl.maximum(second + left, 0), tl.maximum(second + beside, 0)
    for channel in tl.static_range(3):
        one = tl.load(pixels + a.to(tl.int64) * 3 + channel, there, 0).to(tl.float64) * (1 - across)
        one += tl.load(pixels + b.to(tl.int64) * 3 + channel, there, 0).to(tl.float64) * across
        two = tl.load(pixels + c.to(tl.int64) * 3 + channel, there, 0).to(tl.float64) * (1 - across)
        two += tl.load(pixels + d.to(tl.int64) * 3 + channel, there, 0).to(tl.float64) * across
        tl.store(out + (row * width + x) * 3 + channel, one * (1 - down) + two * down, there)


@triton.jit
def _place(of_x, x, of_y, y, shift):
    down = ((of_y * y + shift) * 1024 + _WHOLE) - _WHOLE
    across = (of_x * x * 1024 + _WHOLE) - _WHOLE
    return ((down + across).to(tl.int64) + 16) >> 5


@triton.jit
def _turned(pixels, facts, matrices, weights, areas, out, block: tl.constexpr):
    turn = tl.program_id(1).to(tl.int64)
    number = tl.program_id(0).to(tl.int64) * block + tl.arange(0, block)
    area = tl.load(areas + turn)
    if tl.program_id(0).to(tl.int64) * block < area:
        there = number < area
        known, matrix = facts + turn * 12, matrices + turn * 6
        start, width = tl.load(known), tl.load(known + 1)
        row = number // width
        y = (row + tl.load(known + 2)).to(tl.float64)
        x = (number - row * width + tl.load(known + 3)).to(tl.float64)
        at_y = _place(tl.load(matrix + 3), x, tl.load(matrix + 4), y, tl.load(matrix + 5))
        at_x = _place(tl.load(matrix), x, tl.load(matrix + 1), y, tl.load(matrix + 2))
        weight = weights + ((at_y & 31) * 32 + (at_x & 31)) * 16
        above, before = (at_y >> 5) - 1, (at_x >> 5) - 1
        from_y, to_y = tl.load(known + 4), tl.load(known + 5)
        from_x, to_x = tl.load(known + 6), tl.load(known + 7)
        origin, left, stride = tl.load(known + 8), tl.load(known + 9), tl.load(known + 10)
        blue = tl.full((block,), 16384, tl.int32)
        green = tl.full((block,), 16384, tl.int32)
        red = tl.full((block,), 16384, tl.int32)
        for tap in tl.static_range(16):
            tap_y, tap_x = above + tap // 4, before + tap % 4
            seen = there & (tap_y >= from_y) & (tap_y < to_y) & (tap_x >= from_x) & (tap_x < to_x)
            share = tl.load(weight + tap, there, 0)
            pixel = pixels + (origin + tap_y * stride + left + tap_x) * 3
            blue += tl.load(pixel, seen, 0).to(tl.int32) * share
            green += tl.load(pixel + 1, seen, 0).to(tl.int32) * share
            red += tl.load(pixel + 2, seen, 0).to(tl.int32) * share
        place = out + (start + number) * 3
        tl.store(place, tl.minimum(tl.maximum(blue >> 15, 0), 255).to(tl.uint8), there)
        tl.store(place + 1, tl.minimum(tl.maximum(green >> 15, 0), 255).to(tl.uint8), there)
        tl.store(place + 2, tl.minimum(tl.maximum(red >> 15, 0), 255).to(tl.uint8), there)


def mixed(flat: Tensor, tables: Iterable[Tensor], fill: int) -> Tensor:
    """See :func:`deepface.images.resample.mixed`; ``flat`` is the table's pixels ``(P, 3)``."""
    below, right, from_y, from_x, in_y, in_x = (table.contiguous() for table in tables)
    (number, height), width = in_y.shape, in_x.shape[1]
    out = flat.new_empty((number, height, width, 3))
    inside = in_y.view(torch.uint8), in_x.view(torch.uint8)
    facts = (below, right, from_y, from_x, *inside, out, height, width, fill)
    _run(_mixed, number * height, width, flat, *facts)
    return out


def mixed_real(
    flat: Tensor, below: Tensor, right: Tensor, from_y: Tensor, from_x: Tensor
) -> Tensor:
    """See :func:`deepface.images.resample.resized_real`."""
    (number, height), width = below.shape, right.shape[1]
    out = flat.new_empty((number, height, width, 3), dtype=torch.float64)
    facts = (below, right, from_y, from_x, out, height, width)
    _run(_mixed_real, number * height, width, flat, *facts)
    return out


def turned(
    flat: Tensor,
    facts: Tensor,
    matrices: Tensor,
    weights: Tensor,
    areas: Tensor,
    sizes: Sequence[int],
) -> Tensor:
    """See :func:`deepface.images.resample.turned`; ``sizes`` are the areas on the host."""
    out = flat.new_empty((sum(sizes), 3))
    blocks = -(-max(sizes) // _BLOCK)
    _run(_turned, blocks, len(sizes) * _BLOCK, flat, facts, matrices, weights, areas, out)
    return out


def _run(kernel: Any, rows: int, columns: int, flat: Tensor, *arguments: Any) -> None:
    """For each row and each block of columns a program, on the device of ``flat``."""
    if rows and columns:
        on = torch.cuda.device(flat.device) if flat.is_cuda else nullcontext()
        with on:
            kernel[(rows, -(-columns // _BLOCK))](
                flat, *arguments, block=_BLOCK, enable_fp_fusion=False
            )
