"""Arrays to a device and back, many in one copy: each copy of its own would cost a wait."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

#: Where arrays begin in what is sent, in bytes: any dtype can be read there.
_ALIGNMENT = 16


def uploaded(arrays: Sequence[NDArray[Any]], device: torch.device) -> list[Tensor]:
    """Arrays of any shapes and dtypes as tensors on a device, all parts of one."""
    sizes = [-(-array.nbytes // _ALIGNMENT) * _ALIGNMENT for array in arrays]
    ends = np.cumsum(sizes).tolist()
    buffer = torch.empty(sum(sizes), dtype=torch.uint8, pin_memory=device.type == "cuda")
    memory = buffer.numpy()
    for array, size, end in zip(arrays, sizes, ends, strict=True):
        place = memory[end - size : end - size + array.nbytes].view(array.dtype)
        place.reshape(array.shape)[...] = array
    sent = buffer.to(device, non_blocking=True)
    return [
        sent[end - size : end - size + array.nbytes]
        .view(torch.from_numpy(np.empty(0, array.dtype)).dtype)
        .view(array.shape)
        for array, size, end in zip(arrays, sizes, ends, strict=True)
    ]


def sent(arrays: Sequence[NDArray[Any]], device: torch.device) -> list[Tensor]:
    """Arrays on a device, by one copy; on the CPU they share their memory."""
    if device.type == "cpu":
        return [torch.from_numpy(array) for array in arrays]
    return uploaded(arrays, device)


def downloaded(tensors: Sequence[Tensor]) -> list[NDArray[Any]]:
    """Tensors of one dtype and device as arrays."""
    if not tensors:
        return []
    flat = torch.cat([tensor.reshape(-1) for tensor in tensors]).cpu().numpy()
    parts = np.split(flat, np.cumsum([tensor.numel() for tensor in tensors])[:-1])
    return [part.reshape(tuple(tensor.shape)) for part, tensor in zip(parts, tensors, strict=True)]
