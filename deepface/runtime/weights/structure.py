"""What is in a weight file, told by readers that run nothing: names and shapes of its tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache, partial
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from deepface.runtime.weights.caffe_file import caffe_layers
from deepface.runtime.weights.damage import damaged, reading
from deepface.runtime.weights.onnx_file import onnx_tensors
from deepface.runtime.weights.pytorch_file import Inert, StoredTensor, open_pytorch
from deepface.runtime.weights.shape import Shape
from deepface.runtime.weights.table import WeightFile
from deepface.runtime.weights.tflite_file import tflite_tensors


def check_structure(path: Path, file: WeightFile) -> None:
    """Verify that a file on disk is of its format, whole, and has the tensors that it should.

    Formats without a reader here (``.dat``, ``.xml``) all have published hashes. Files that no
    model here opens are taken as they are.

    Raises:
        WeightsError: it is not; the message says what to do.
    """
    if not file.opened:
        return
    status = path.stat()
    _check(path, file.name, file.layers, tuple(file.tensors.items()), status.st_mtime_ns)


@cache  # nothing is cached for a file that is refused
def _check(
    path: Path, name: str, layers: int | None, wanted: tuple[tuple[str, Shape], ...], _: int
) -> None:
    read = READERS.get(PurePosixPath(name).suffix)
    if read is None:
        return
    tensors = read(path)
    found = {name.removeprefix("module."): shape for name, shape in tensors.items()}
    if not found:
        raise damaged(path, "it holds no tensors")
    if layers is not None and (count := len({name.partition(":")[0] for name in found})) != layers:
        reason = f"it is of another network: {count} layers with weights instead of {layers}"
        raise damaged(path, reason)
    for tensor, shape in wanted:
        if found.get(tensor) != shape:
            what = f"of shape {found[tensor]}" if tensor in found else "missing"
            reason = f"it is of another network: its tensor {tensor} is {what} instead of {shape}"
            raise damaged(path, reason)


def _pytorch(path: Path) -> Mapping[str, Shape]:
    with open_pytorch(path) as checkpoint:
        return dict(_tensors(checkpoint.saved))


def _tensors(content: Any) -> list[tuple[str, Shape]]:
    """Those of a state dict by name, or those of whole networks by their places in them."""
    found, waiting, seen = [], [("", content)], set()
    while waiting:
        name, value = waiting.pop()
        if isinstance(value, StoredTensor):
            found.append((name, value.shape))
        if id(value) in seen or not isinstance(value, (dict, list, tuple, Inert)):
            continue
        seen.add(id(value))
        if isinstance(value, Inert):
            value = value.state
        items = value.items() if isinstance(value, dict) else enumerate(value or ())
        # Of what is nested without an end, names stay short.
        waiting += [(f"{name}.{key}"[-200:] if name else str(key), item) for key, item in items]
    return found


def _keras(path: Path) -> Mapping[str, Shape]:
    from deepface.runtime.weights.keras_h5 import open_layers

    with open_layers(path) as layers:
        return {
            f"{number}:{label}": array.shape
            for number, layer in enumerate(layers)
            for label, array in layer.weights.items()
        }


def _mapped(
    kind: str, read: Callable[[memoryview], Mapping[str, Shape]], path: Path
) -> Mapping[str, Shape]:
    with reading(path, kind):
        return read(np.memmap(path, np.uint8, "r").data)


def _caffe(content: memoryview) -> dict[str, Shape]:
    return {
        f"{layer}.{number}": blob.shape
        for layer, blobs in caffe_layers(content).items()
        for number, blob in enumerate(blobs)
    }


READERS: dict[str, Callable[[Path], Mapping[str, Shape]]] = {
    ".pth": _pytorch,
    ".pt": _pytorch,
    ".h5": _keras,
    ".onnx": partial(_mapped, "ONNX model", onnx_tensors),
    ".caffemodel": partial(_mapped, "Caffe model", _caffe),
    ".tflite": partial(_mapped, "TensorFlow Lite model", tflite_tensors),
}
