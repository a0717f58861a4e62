"""CUDA graphs: what is captured is computed again, into the same memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from tests.standin import streams
from tests.standin.tensors import COUNTS, SETTINGS, DeviceTensor, rewritten


class CudaGraph:
    """``torch.cuda.CUDAGraph``."""

    def __init__(self) -> None:
        self.operations: list[Any] = []

    def replay(self) -> None:
        """One launch."""
        COUNTS.kernel(1, 0, 0)
        for func, args, kwargs, out, wrapped in self.operations:
            again = pytree.tree_leaves(func(*args, **kwargs))
            for old, new in zip(pytree.tree_leaves(out), again, strict=True):
                if isinstance(old, Tensor) and old is not new:
                    old.copy_(new)
            for tensor in pytree.tree_leaves(wrapped):
                if isinstance(tensor, DeviceTensor):
                    rewritten(tensor)


@contextmanager
def graph(made: CudaGraph, **_: Any) -> Iterator[None]:
    """``torch.cuda.graph``: on a stream of its own, and no launch."""
    torch.cuda.synchronize()
    SETTINGS.captured = made.operations
    launches = COUNTS.launches
    try:
        with streams.stream(streams.Stream()):
            streams.current_stream().wait_stream(streams.default_stream())
            yield
    finally:
        SETTINGS.captured = None
        COUNTS.launches = launches
