"""CUDA graphs: what is captured is computed again, into the same memory."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from tests.standin import streams
from tests.standin.tensors import COUNTS, SETTINGS, DeviceTensor, leaves, rewritten


class CudaGraph:
    """``torch.cuda.CUDAGraph``."""

    def __init__(self) -> None:
        self.operations: list[Any] = []
        self._launches = 0

    def capture_begin(self, *_: Any, **__: Any) -> None:
        """On a stream of its own; what is captured is no launch."""
        assert streams.current_stream() is not streams.default_stream()
        assert SETTINGS.captured is None, "one capture at a time"
        SETTINGS.captured, self._launches = self.operations, COUNTS.launches

    def capture_end(self) -> None:
        """What follows runs again."""
        SETTINGS.captured, COUNTS.launches = None, self._launches

    def replay(self) -> None:
        """One launch."""
        COUNTS.kernel(1, 0, 0)
        for again, out, wrapped in self.operations:
            for old, new in zip(leaves((out,)), leaves((again(),)), strict=True):
                if isinstance(old, Tensor) and old is not new:
                    old.copy_(new)
            for tensor in leaves((wrapped,)):
                if isinstance(tensor, DeviceTensor):
                    rewritten(tensor)
