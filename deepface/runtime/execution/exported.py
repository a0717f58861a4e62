"""Networks of many small convolutions, exported once and run by ONNX Runtime.

PyTorch spends more time on calling oneDNN for such a convolution than oneDNN on computing it. Which
networks gain is no guess: ``engine_table.py`` is written by ``python -m benchmarks
represent --both-engines``. An export lies in the folder ``exported`` beside the weights. Its name
has the hash of the weights and of this package's version, and that of its own content, by which it
is verified. Whatever goes wrong, PyTorch runs the network.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
import threading
import warnings
from contextlib import suppress
from pathlib import Path

import torch
from torch import Tensor, nn

from deepface import __version__
from deepface.logger import get_logger
from deepface.runtime import safe_files
from deepface.runtime.card import ONNX_RUNTIME
from deepface.runtime.execution.engine_table import ENGINES
from deepface.runtime.execution.onnx_graph import OnnxGraph
from deepface.runtime.execution.published_network import PublishedNetwork
from deepface.runtime.home import weights_folder
from deepface.runtime.weights.store import ensure_weight, sha256
from deepface.runtime.weights.table import WeightFile

#: By how much an export may differ from PyTorch, relative to the length of the result.
_TOLERANCE = 1e-5
#: Most items at a time: more only leave the cache. Their bits are those of one at a time.
_CHUNK = 8
#: Characters of a hash in a file's name.
_DIGITS = 16
_OPSET = 17

_lock = threading.Lock()


def is_faster(name: str) -> bool:
    """Whether a model's network runs faster in ONNX Runtime, which is installed."""
    return ENGINES.get(name) == "onnxruntime" and ONNX_RUNTIME.is_installed()


def exported(published: PublishedNetwork, file: WeightFile) -> OnnxGraph | None:
    """The export of the network with the weights of ``file``, made if there is none.

    ``None`` where it cannot be made, differs from PyTorch, or does not run.
    """
    weights = ensure_weight(file)
    key = hashlib.sha256(f"{sha256(weights)} {__version__}".encode()).hexdigest()[:_DIGITS]
    folder = weights_folder() / "exported"
    try:
        for path in folder.glob(f"{weights.stem}-{key}-*.onnx"):
            if path.is_file() and path.stem.endswith(f"-{sha256(path)[:_DIGITS]}"):
                return OnnxGraph(path, published.shape, published.outputs, _CHUNK)
        return _export(published, file, folder / f"{weights.stem}-{key}")
    except Exception as error:  # of the exporter, of ONNX Runtime, of the disk
        get_logger().info("%s runs in PyTorch, not in ONNX Runtime: %s", published.name, error)
        return None


def _export(published: PublishedNetwork, file: WeightFile, start: Path) -> OnnxGraph:
    start.parent.mkdir(exist_ok=True)
    if not os.access(start.parent, os.W_OK):  # before the work of seconds, in each process
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(start.parent))
    height, width, channels = published.shape
    items = torch.rand((2, channels, height, width), generator=torch.Generator().manual_seed(0))
    # One after the other: both engines' weights together would be the most that this ever takes.
    module = published.load([file])
    with torch.inference_mode():
        wanted = module.eval()(items)
    content = onnx_bytes(module, published.shape)
    del module
    path = start.with_name(f"{start.name}-{hashlib.sha256(content).hexdigest()[:_DIGITS]}.onnx")
    with safe_files.replacing_by_name(path) as scratch:
        scratch.write_bytes(content)
        del content
        graph = OnnxGraph(scratch, published.shape, published.outputs, _CHUNK)
        difference = (graph(items) - wanted).norm(dim=1) / wanted.norm(dim=1)
        if not (difference <= _TOLERANCE).all():  # nor is it NaN
            raise ValueError(f"the export differs from PyTorch by {difference.max():.1e}")
    stem = start.name.rpartition("-")[0]
    for other in path.parent.glob(f"{stem}-{'?' * _DIGITS}-{'?' * _DIGITS}.onnx"):
        if other != path:  # it is of other weights or of another version
            with suppress(OSError):
                other.unlink()
    return graph


class _ChannelsLast(nn.Module):
    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, items: Tensor) -> Tensor:
        result: Tensor = self.network(items.permute(0, 3, 1, 2))
        return result


def onnx_bytes(module: nn.Module, shape: tuple[int, int, int]) -> bytes:
    """A network as an ONNX file that takes ``(n, H, W, C)``, as the published ones do.

    Raises:
        Exception: the exporter's, also where the package ``onnx`` is not installed.
    """
    file = io.BytesIO()
    # The exporter and the filter of warnings are the whole process's.
    with _lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            _ChannelsLast(module).eval().requires_grad_(False),
            (torch.zeros(2, *shape),),
            file,  # type: ignore[arg-type]  # which the exporter without dynamo takes
            input_names=["input"],
            output_names=["output"],
            dynamic_axes={"input": {0: "batch"}, "output": {0: "batch"}},
            opset_version=_OPSET,
            dynamo=False,
        )
    return file.getvalue()
