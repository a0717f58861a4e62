"""Forward passes as CUDA graphs: of all kernels of a network one launch.

They are an option, ``DEEPFACE_CUDA_GRAPHS=1``: they pay where a program sees inputs of few shapes
in small batches, and each shape keeps its activations.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from deepface.logger import get_logger

#: Shapes of one network that are kept.
_MOST = 8


class Graphs:
    """A module on a CUDA device; the second time that a shape comes, its pass is captured."""

    def __init__(self, module: nn.Module) -> None:
        self._module = module
        self._lock = threading.Lock()
        #: ``None`` for a shape that has come once, or cannot be captured (then it is in ``_not``).
        self._shapes: OrderedDict[Any, _Graph | None] = OrderedDict()
        self._not: set[Any] = set()

    def __call__(self, x: Tensor) -> Any:
        """What the module gives."""
        key = x.shape, x.dtype
        with self._lock:
            seen = key in self._shapes
            graph = self._shapes.pop(key, None)
            if seen and graph is None and key not in self._not:
                graph = self._captured(key, x)
            self._shapes[key] = graph
            if len(self._shapes) > _MOST:
                self._shapes.popitem(last=False)
            if graph is not None:
                return graph.run(x)
        return self._module(x)

    def _captured(self, key: Any, x: Tensor) -> _Graph | None:
        try:
            return _Graph(self._module, x)
        except RuntimeError as error:
            get_logger().warning("no CUDA graph for inputs %s: %s", tuple(x.shape), error)
            self._not.add(key)
            return None


class _Graph:
    """One pass."""

    def __init__(self, module: nn.Module, x: Tensor) -> None:
        self._input, self._graph = x.clone(), torch.cuda.CUDAGraph()
        self._done = torch.cuda.Event()  # type: ignore[no-untyped-call]
        # Other threads may use the device meanwhile.
        with torch.cuda.graph(self._graph, capture_error_mode="thread_local"):
            self._outputs = module(self._input)

    def run(self, x: Tensor) -> Any:
        """The outputs for ``x``, in memory of their own."""
        stream = torch.cuda.current_stream(x.device)
        stream.wait_event(self._done)  # whoever ran it last may have done so on another stream
        self._input.copy_(x)
        self._graph.replay()
        outputs = pytree.tree_map(Tensor.clone, self._outputs)
        self._done.record(stream)
        return outputs
