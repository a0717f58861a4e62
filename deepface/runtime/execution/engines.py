"""Which engine runs a network with published weights: PyTorch, or on a CPU ONNX Runtime."""

from __future__ import annotations

import torch

from deepface.errors import MissingPackageError
from deepface.logger import get_logger
from deepface.runtime.card import ONNX_RUNTIME
from deepface.runtime.engine import chosen_file, for_pytorch, requested_engine
from deepface.runtime.execution.device import resolve_device, resolve_precision
from deepface.runtime.execution.exported import exported, is_faster
from deepface.runtime.execution.network import Network
from deepface.runtime.execution.onnx_graph import OnnxGraph
from deepface.runtime.execution.published_network import PublishedNetwork
from deepface.runtime.weights.store import ensure_weight
from deepface.runtime.weights.table import WeightFile


def network(
    published: PublishedNetwork,
    device: str | torch.device | None,
    precision: str | torch.dtype | None = None,
    chunk_size: int = 64,
) -> Network:
    """The network in the engine that is the right one here; see ``runtime/engine.py``.

    Raises:
        MissingPackageError: an ``.onnx`` is to be run, and ONNX Runtime is not installed.
        UnimplementedError: an unknown engine was asked for.
        WeightsError: no file can be had, or it does not fit.
    """
    where, dtype = resolve_device(device), resolve_precision(precision)
    graph = _graph(published, where, dtype)
    if graph is not None:
        return Network(graph, where, precision, graph.chunk_size)
    module = published.load(for_pytorch(published.files))
    if published.ready is not None:
        module = published.ready(module, where, dtype)
    return Network(module, where, precision, chunk_size)


def _graph(
    published: PublishedNetwork, where: torch.device, dtype: torch.dtype
) -> OnnxGraph | None:
    """What ONNX Runtime runs, if it does."""
    engine, file = requested_engine(), chosen_file(published.files)
    runs = (where.type, dtype) == ("cpu", torch.float32)
    told = get_logger().warning
    if file.name.endswith(".onnx"):
        if runs:
            return _published_graph(published, file)
        told("%s runs on CPUs in fp32 only: %s runs in PyTorch", file.name, published.name)
        return None
    if runs and engine not in ("pytorch", "tensorflow") and is_faster(published.name):
        graph = exported(published, file)
        if graph is not None:
            return graph
    if engine == "onnx":
        told("%s is there and no .onnx file: %s runs in PyTorch", file.name, published.name)
    return None


def _published_graph(published: PublishedNetwork, file: WeightFile) -> OnnxGraph:
    path = ensure_weight(file)
    if not ONNX_RUNTIME.is_installed():
        other = for_pytorch(published.files)[0].name
        raise MissingPackageError(
            f'{path} needs the package onnxruntime: pip install "onnxruntime". Or get the file for '
            f"PyTorch: deepface models download {other}"
        )
    return OnnxGraph(path, published.shape, published.outputs)
