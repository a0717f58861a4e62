"""The network runner: device, precision, memory format, chunks, out-of-memory back-off."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from deepface.logger import get_logger
from deepface.runtime.execution.cuda_graphs import Passes, give_memory_back
from deepface.runtime.execution.cudnn import prefer_engines
from deepface.runtime.execution.device import precision_name, resolve_device, resolve_precision
from deepface.runtime.execution.streams import settle
from deepface.runtime.execution.tf32 import exact_float32, tensor_float32

#: Just below the largest block that glibc's allocator adapts to.
_LARGEST_KEPT = 32 * 2**20 - 2**16

if hasattr(os, "register_at_fork"):  # not on Windows
    # A forked child has none of its parent's threads, and OpenMP would wait for them for ever.
    os.register_at_fork(after_in_child=partial(torch.set_num_threads, 1))


@contextlib.contextmanager
def _inference(device: torch.device, tf32: bool) -> Iterator[None]:
    """No autograd, and float32 that is float32 unless TF32 was asked for."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(torch.inference_mode())
        if device.type == "cuda":
            stack.enter_context(torch.cuda.device(device))
            stack.enter_context(tensor_float32() if tf32 else exact_float32())
        yield


def channels_first(batch: Tensor) -> Tensor:
    """``(n, H, W, C)`` -> ``(n, C, H, W)``: how networks take pictures."""
    return batch.permute(0, 3, 1, 2)


class Network:
    """A ``torch.nn.Module`` ready to run on one device in one precision.

    Args:
        module: the network; it is put into evaluation mode and moved.
        device: see :func:`deepface.runtime.execution.device.resolve_device`.
        precision: ``"fp32"``, ``"tf32"`` (on CUDA, elsewhere as before), ``"bf16"`` or ``"fp16"``;
            inputs are cast to it, outputs come back as float32.
        chunk_size: most items per forward pass.
        channels_last: the memory format of convolutions; ``None`` is the faster one: channels last,
            but for exact float32 on CUDA, for which cuDNN's kernels want the channels first.
    """

    def __init__(
        self,
        module: nn.Module,
        device: str | torch.device | None = None,
        precision: str | torch.dtype | None = None,
        chunk_size: int = 64,
        channels_last: bool | None = None,
    ) -> None:
        self.device = resolve_device(device)
        self.dtype = resolve_precision(precision)
        self._tf32 = precision_name(precision) == "tf32"
        self.chunk_size = chunk_size
        if self.device.type == "cpu":
            _keep_freed_memory()
        elif self.device.type == "cuda":
            prefer_engines()
        module = module.eval().requires_grad_(False).to(device=self.device, dtype=self.dtype)
        if channels_last is None:
            exact = self.dtype == torch.float32 and not self._tf32
            channels_last = not (self.device.type == "cuda" and exact)
        self._layout = torch.channels_last if channels_last else torch.contiguous_format
        self.module = module.to(memory_format=self._layout)
        on_cuda = self.device.type == "cuda"
        self.passes = Passes(self.module, self._layout, self.dtype) if on_cuda else None
        settle(self.device)

    def __call__(
        self,
        batch: Tensor | np.ndarray[Any, Any],
        prepare: Callable[[Tensor], Tensor] | None = None,
        **arguments: Any,
    ) -> Any:
        """Run ``batch`` ``(N, ...)`` in chunks.

        ``prepare`` turns an uploaded chunk (as it was given, e.g. ``uint8`` NHWC) into the
        network's input on the device, so that bytes travel as ``uint8``. ``arguments`` are passed
        on to the module; of one that tells of each item, its method ``part(slice)`` gives what
        belongs to a chunk.

        Returns what the module returns (a tensor, or a tuple or list of tensors) for all N items,
        as float32 on the device.
        """
        if isinstance(batch, np.ndarray):
            batch = torch.from_numpy(np.ascontiguousarray(batch))
        outputs: list[Any] = []
        start, size = 0, max(1, self.chunk_size)
        with _inference(self.device, self._tf32):
            while start < len(batch) or not outputs:
                try:
                    part, given = slice(start, start + size), arguments
                    if size < len(batch):
                        given = {name: _part(value, part) for name, value in arguments.items()}
                    outputs.append(self._forward(batch[part], prepare, given))
                except torch.cuda.OutOfMemoryError:
                    if size == 1:
                        raise
                    size = max(1, min(size, len(batch) - start) // 2)
                    give_memory_back()
                    get_logger().info("out of memory on %s; going on with %d", self.device, size)
                    continue
                start += size
            return concatenated(outputs)

    def _forward(
        self,
        chunk: Tensor,
        prepare: Callable[[Tensor], Tensor] | None,
        arguments: dict[str, Any],
    ) -> Any:
        chunk = self.upload(chunk)
        if prepare is not None:
            chunk = prepare(chunk)
        if self.passes is not None and not arguments:
            return _as_float32(self.passes(chunk))
        chunk = chunk.to(dtype=self.dtype)
        if chunk.ndim == 4:
            chunk = chunk.contiguous(memory_format=self._layout)
        return _as_float32(self.module(chunk, **arguments))

    def upload(self, tensor: Tensor) -> Tensor:
        """``tensor`` on the device, through pinned memory for CUDA."""
        if self.device.type == "cuda" and tensor.device.type == "cpu":
            return tensor.pin_memory().to(self.device, non_blocking=True)
        return tensor.to(self.device)


def _keep_freed_memory() -> None:
    """Have maps of up to 32 MB allocated from memory that the process has already.

    glibc gives larger blocks back to the system when they are freed, and large is what it has not
    seen freed yet. The next call gets fresh pages, and zeroing these takes up to a third of a
    small network's time. Other allocators do not mind.
    """
    torch.empty(_LARGEST_KEPT, dtype=torch.uint8)


def _part(argument: Any, items: slice) -> Any:
    return argument.part(items) if hasattr(argument, "part") else argument


def _as_float32(output: Any) -> Any:
    if isinstance(output, Tensor):
        return output.float()
    return tuple(_as_float32(part) for part in output)


def concatenated(outputs: Sequence[Any]) -> Any:
    """Results of a module one behind the other: tensors, or each of their parts; one as it is."""
    if len(outputs) == 1:
        return outputs[0]
    if isinstance(outputs[0], Tensor):
        return torch.cat([*outputs])
    return tuple(concatenated(parts) for parts in zip(*outputs, strict=True))
