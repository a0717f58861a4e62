"""A level of the pyramid as two kernels for CUDA, in Triton, which PyTorch brings along.

As operators, averaging needs the pictures as float32 and turned, turns each level in between and
reads it once more for the mean. Sums are in the operators' order, products fused with them.
"""

from __future__ import annotations

from contextlib import nullcontext

import torch
import triton
import triton.language as tl
from torch import Tensor

from deepface.detection.mtcnn.axes import AveragedRows

#: Rows and numbers of a row that a program makes across, and numbers that one makes down.
_ROWS, _COLUMNS, _BLOCK = 8, 128, 256


@triton.jit
def _larger(a, b):
    return tl.maximum(a, b)


@triton.jit(do_not_specialize=["height", "width", "length"])
def _across(
    pixels,
    index,
    weight,
    bags,
    out,
    height,
    width,
    length,
    rows: tl.constexpr,
    columns: tl.constexpr,
):
    picture = tl.program_id(2).to(tl.int64)
    row = tl.program_id(0) * rows + tl.arange(0, rows)
    number = tl.program_id(1) * columns + tl.arange(0, columns)
    inside = number < length * 3
    bag = bags + picture * length + number // 3
    start, end = tl.load(bag, inside, 0), tl.load(bag + 1, inside, 0)
    # What a bag holds are neighbours.
    first = tl.load(index + start, start < end, 0) - picture * width
    known = inside[None, :] & (row < height)[:, None]
    line = (picture * height + row)[:, None]
    source = pixels + (line * width + first[None, :]) * 3 + (number % 3)[None, :]
    total = tl.full((rows, columns), 0.0, tl.float32)
    for step in range(tl.reduce(end - start, 0, _larger)):
        there = start + step < end
        share = tl.load(weight + start + step, there, 0.0)
        pixel = tl.load(source + step * 3, known & there[None, :], 0).to(tl.float32)
        total = tl.fma(pixel, tl.broadcast_to(share[None, :], (rows, columns)), total)
    tl.store(out + line * length * 3 + number[None, :], total, known)


@triton.jit(do_not_specialize=["width", "mean"])
def _down(source, index, weight, bags, out, width, mean, block: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    column = tl.program_id(1) * block + tl.arange(0, block)
    there = column < width
    start, end = tl.load(bags + row), tl.load(bags + row + 1)
    first = tl.load(index + start, start < end, 0)
    total = tl.full((block,), 0.0, tl.float32)
    for step in range(end - start):
        share = tl.full((block,), 0.0, tl.float32) + tl.load(weight + start + step)
        value = tl.load(source + (first + step) * width + column, there, 0.0)
        total = tl.fma(value, share, total)
    tl.store(out + row * width + column, total - mean, there)


def level(pictures: Tensor, across: AveragedRows, down: AveragedRows, mean: float) -> Tensor:
    """Averages of pictures, less a mean: ``(B, H, W, 3)`` uint8 to ``(B, h, w, 3)`` float32."""
    batch, height, width, _ = pictures.shape
    rows, columns = ((len(axis.bags) - 1) // batch for axis in (down, across))
    between = pictures.new_empty((batch, height, columns, 3), dtype=torch.float32)
    out = between.new_empty((batch, rows, columns, 3))
    with torch.cuda.device(pictures.device) if pictures.is_cuda else nullcontext():
        _across[(triton.cdiv(height, _ROWS), triton.cdiv(columns * 3, _COLUMNS), batch)](
            *(pictures, across.index, across.weight, across.bags, between),
            *(height, width, columns),
            rows=_ROWS,
            columns=_COLUMNS,
        )
        _down[(batch * rows, triton.cdiv(columns * 3, _BLOCK))](
            *(between, down.index, down.weight, down.bags, out),
            *(columns * 3, mean),
            block=_BLOCK,
        )
    return out
