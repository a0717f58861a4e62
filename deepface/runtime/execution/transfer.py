"""Arrays to a device and back, many in one copy: each copy of its own would cost a wait."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from deepface.runtime.concurrency.each import in_threads

#: Where arrays begin in what is sent, in bytes: any dtype can be read there.
_ALIGNMENT = 16
#: Bytes that one thread copies at a time, and the most threads: a core alone fills memory at a
#: tenth of the speed at which an H100 reads it. Eight are somewhat faster where nobody decodes.
_PIECE, _THREADS = 1 << 22, 4


def uploaded(arrays: Sequence[NDArray[Any]], device: torch.device) -> list[Tensor]:
    """Arrays of any shapes and dtypes as tensors on a device, all parts of one."""
    sizes = [-(-array.nbytes // _ALIGNMENT) * _ALIGNMENT for array in arrays]
    ends = np.cumsum(sizes).tolist()
    buffer = torch.empty(sum(sizes), dtype=torch.uint8, pin_memory=device.type == "cuda")
    memory = buffer.numpy()
    places = [
        memory[end - size : end - size + array.nbytes].view(array.dtype).reshape(array.shape)
        for array, size, end in zip(arrays, sizes, ends, strict=True)
    ]
    _copy(arrays, places)
    sent = buffer.to(device, non_blocking=True)
    # One view for all of a dtype, one step for each array: every step waits for Python's lock.
    views = {dtype: sent.view(_dtype(dtype)) for dtype in {array.dtype for array in arrays}}
    return [
        views[array.dtype].as_strided(
            array.shape, _strides(array.shape), (end - size) // array.dtype.itemsize
        )
        for array, size, end in zip(arrays, sizes, ends, strict=True)
    ]


def _dtype(dtype: np.dtype[Any]) -> torch.dtype:
    return torch.from_numpy(np.empty(0, dtype)).dtype


def _strides(shape: Sequence[int]) -> list[int]:
    """Of an array without gaps, in items."""
    return [math.prod(shape[axis + 1 :]) for axis in range(len(shape))]


def _copy(arrays: Sequence[NDArray[Any]], places: Sequence[NDArray[Any]]) -> None:
    size = sum(array.nbytes for array in arrays)
    threads = max(1, min(_THREADS, os.cpu_count() or 1, size // _PIECE))
    in_threads(np.copyto, [*_pieces(places)], [*_pieces(arrays)], threads=threads)


def _pieces(arrays: Sequence[NDArray[Any]]) -> Iterator[NDArray[Any]]:
    for array in arrays:
        count = -(-array.nbytes // _PIECE)
        yield from np.array_split(array, count) if count > 1 else [array]


def sent(arrays: Sequence[NDArray[Any]], device: torch.device) -> list[Tensor]:
    """Arrays on a device, by one copy; on the CPU they share their memory."""
    if device.type == "cpu":
        return [torch.from_numpy(array) for array in arrays]
    return uploaded(arrays, device)


def as_tensor(pixels: NDArray[Any] | Tensor) -> Tensor:
    """Pixels as a tensor where they are; a tensor itself."""
    return pixels if isinstance(pixels, Tensor) else torch.as_tensor(pixels)


def downloaded(tensors: Sequence[Tensor]) -> list[NDArray[Any]]:
    """Tensors of one dtype and device as arrays."""
    if not tensors:
        return []
    flat = torch.cat([tensor.reshape(-1) for tensor in tensors]).cpu().numpy()
    parts = np.split(flat, np.cumsum([tensor.numel() for tensor in tensors])[:-1])
    return [part.reshape(tuple(tensor.shape)) for part, tensor in zip(parts, tensors, strict=True)]
