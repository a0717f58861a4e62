"""Forward passes on CUDA: in few batch sizes, and as CUDA graphs where a shape comes again.

cuDNN makes a plan for every shape of every layer, a tenth of a second for a network; and the host
launches some hundred kernels per pass, which takes it longer than the device needs for a small
batch, above all while other threads want Python's lock. A graph, which is made when a shape comes
the second time, is one launch. ``DEEPFACE_CUDA_GRAPHS=0`` leaves graphs out.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from typing import Any, Literal
from weakref import WeakSet

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from deepface.logger import get_logger

#: Only one capture may be under way in a process.
_capturing = threading.Lock()
_all: WeakSet[Passes] = WeakSet()
_registering = threading.Lock()


def give_memory_back() -> None:
    """Let go of what graphs and PyTorch keep on CUDA devices: where memory is out."""
    with _registering:
        known = list(_all)
    for passes in known:
        passes.forget()
    torch.cuda.empty_cache()


def batch_size_of_a_pass(count: int) -> int:
    """``count`` items rounded up: four batch sizes per doubling."""
    step = 1 << max(0, (count - 1).bit_length() - 3)
    return -(-count // step) * step


class Passes:
    """A module on a CUDA device.

    Args:
        module: takes a batch; an item's outputs depend on that item alone.
        layout: memory format of what it takes, where that has four dimensions.
        dtype: likewise.
    """

    #: Shapes that are kept.
    max_shapes = 24
    #: The part of a device's memory that inputs may take whose pass is captured: a graph keeps the
    #: memory of its activations, some ten times that.
    part = 1 / 256

    def __init__(self, module: nn.Module, layout: torch.memory_format, dtype: torch.dtype) -> None:
        self._module, self._layout, self._dtype = module, layout, dtype
        self._lock = threading.Lock()
        #: ``None`` for a shape that has come once, ``False`` for one that is not captured.
        self.shapes: OrderedDict[torch.Size, _Graph | Literal[False] | None] = OrderedDict()
        #: Memory that all graphs share, and the stream that has it.
        self._place: tuple[Any, torch.cuda.Stream] | None = None
        self._done: torch.cuda.Event | None = None
        with _registering:
            _all.add(self)

    def forget(self) -> None:
        """Give the memory of all graphs back."""
        with self._lock:
            self._settle()
            self.shapes.clear()
            self._place = None

    def __call__(self, x: Tensor) -> Any:
        """What the module gives for ``x`` of any layout and dtype."""
        count = len(x)
        shape = torch.Size((batch_size_of_a_pass(count), *x.shape[1:]))
        if count and os.environ.get("DEEPFACE_CUDA_GRAPHS") != "0":
            with self._lock:
                graph = self._graph(shape, x)
                if graph:
                    return self._run(graph, x)
        outputs = self._module(self._padded(x, shape))
        return pytree.tree_map(lambda output: output[:count], outputs)

    def _graph(self, shape: torch.Size, x: Tensor) -> _Graph | Literal[False] | None:
        seen = shape in self.shapes
        graph = self.shapes.pop(shape, None)
        if seen and graph is None:
            graph = self._captured(shape, x)
        self.shapes[shape] = graph
        if len(self.shapes) > self.max_shapes:
            self._settle()
            self.shapes.popitem(last=False)
        return graph

    def _settle(self) -> None:
        """Wait for the last run: what it uses may be given back then."""
        if self._done is not None:
            self._done.synchronize()

    def _padded(self, x: Tensor, shape: torch.Size) -> Tensor:
        """A batch of ``shape``, as the module wants it, that begins with ``x``; then zeros."""
        if x.shape == shape:
            x = x.to(self._dtype)
            return x.contiguous(memory_format=self._layout) if x.ndim == 4 else x
        layout = self._layout if x.ndim == 4 else torch.contiguous_format
        batch = torch.empty(shape, dtype=self._dtype, device=x.device, memory_format=layout)
        batch[: len(x)].copy_(x)
        batch[len(x) :].zero_()
        return batch

    def _captured(self, shape: torch.Size, x: Tensor) -> _Graph | Literal[False]:
        memory = torch.cuda.get_device_properties(x.device).total_memory
        if shape.numel() * self._dtype.itemsize > self.part * memory:
            return False
        if self._place is None:
            stream = torch.cuda.Stream(x.device)  # type: ignore[no-untyped-call]
            self._place = torch.cuda.graph_pool_handle(), stream
        batch = self._padded(x, shape).clone()  # the graph's own
        try:
            with _capturing:
                return _Graph(self._module, batch, *self._place)
        except torch.cuda.OutOfMemoryError:
            raise
        except RuntimeError as error:
            get_logger().warning("no CUDA graph for inputs %s: %s", tuple(shape), error)
            return False

    def _run(self, graph: _Graph, x: Tensor) -> Any:
        """The outputs of a graph for ``x``, in memory of their own."""
        stream = torch.cuda.current_stream(x.device)
        if self._done is not None:  # whoever ran one last may have done so on another stream
            stream.wait_event(self._done)
        try:
            graph.batch[: len(x)].copy_(x)
            graph.replay()
            return pytree.tree_map(lambda output: output[: len(x)].clone(), graph.outputs)
        finally:  # also where there is no memory for the copies
            self._done = stream.record_event()


class _Graph:
    """One pass. Those of a network share their memory: outputs are copied before the next runs."""

    def __init__(
        self, module: nn.Module, batch: Tensor, pool: Any, stream: torch.cuda.Stream
    ) -> None:
        self.batch, graph = batch, torch.cuda.CUDAGraph()
        stream.wait_stream(torch.cuda.current_stream(batch.device))
        with torch.cuda.stream(stream):
            # Other threads may use the device meanwhile.
            graph.capture_begin(pool, capture_error_mode="thread_local")
            try:
                self.outputs = module(batch)
            finally:
                graph.capture_end()
        self.replay = graph.replay
