"""A convolution's bias and SiLU as one kernel for CUDA, in Triton, which PyTorch brings along.

cuDNN has no fused SiLU. As two operators they read and write every map of a YOLO network twice.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

_BLOCK = 1024


@triton.jit
def _biased_silu(x, bias, count, area, channels, block: tl.constexpr):
    at = tl.program_id(0).to(tl.int64) * block + tl.arange(0, block)
    there = at < count
    channel = (at // area) % channels
    value = tl.load(x + at, there, 0).to(tl.float32)
    value += tl.load(bias + channel, there, 0).to(tl.float32)
    value = value / (1 + tl.exp(-value))
    tl.store(x + at, value.to(x.dtype.element_ty), there)


def biased_silu_(x: Tensor, bias: Tensor) -> Tensor:
    """``silu(x + bias)`` in place; ``x`` ``(N, C, H, W)`` without gaps, channels first or last."""
    area = x.shape[2] * x.shape[3] if x.is_contiguous() else 1
    count = x.numel()
    if count:
        with torch.cuda.device(x.device):
            grid = (triton.cdiv(count, _BLOCK),)
            _biased_silu[grid](x, bias, count, area, x.shape[1], block=_BLOCK)
    return x
