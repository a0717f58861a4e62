"""Which engine was asked for, in the published library's words.

``DEEPFACE_BACKEND_ENGINE``, read when a model is built:

unset
    the best for what is on disk: ``.pth``, ``.h5``, ``.onnx``, in this order. On a CPU an ``.onnx``
    runs in ONNX Runtime, and so do some networks whatever their file is; see
    :mod:`deepface.runtime.execution.exported`.
``onnx``
    ``.onnx`` before the others, in ONNX Runtime on a CPU.
``pytorch``, ``tensorflow``
    PyTorch, from ``.pth`` or ``.h5``, always.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from deepface.errors import UnimplementedError
from deepface.runtime.weights.store import file_on_disk
from deepface.runtime.weights.table import WeightFile

BACKENDS = ["tensorflow", "pytorch", "onnx"]


def requested_engine() -> str | None:
    """One of ``BACKENDS``; ``None`` where nothing is asked for.

    Raises:
        UnimplementedError: the variable names no engine.
    """
    name = os.environ.get("DEEPFACE_BACKEND_ENGINE", "").strip().lower()
    if name and name not in BACKENDS:
        raise UnimplementedError(
            f"DEEPFACE_BACKEND_ENGINE={name!r} is no engine: use one of {', '.join(BACKENDS)}, or "
            "unset it"
        )
    return name or None


def chosen_file(files: Sequence[WeightFile]) -> WeightFile:
    """Of alternatives the one that is used: the first that is on disk, else the first."""
    engine, others = requested_engine(), for_pytorch(files)
    graphs = [file for file in files if file not in others]
    orders = {"onnx": graphs + others, None: others + graphs}
    order = orders.get(engine, others or graphs)
    return next(filter(file_on_disk, order), order[0])


def for_pytorch(files: Sequence[WeightFile]) -> list[WeightFile]:
    """Those that PyTorch networks are filled from."""
    return [file for file in files if not file.name.endswith(".onnx")]


def get_backend_engine() -> str:
    """The engine of the networks: ``"onnx"`` where that is asked for, else ``"pytorch"``."""
    return "onnx" if requested_engine() == "onnx" else "pytorch"


def is_pytorch() -> bool:
    """Whether the engine is PyTorch."""
    return get_backend_engine() == "pytorch"


def is_tensorflow() -> bool:
    """Whether the engine is TensorFlow: never."""
    return False


def is_onnx() -> bool:
    """Whether the engine is ONNX Runtime."""
    return get_backend_engine() == "onnx"
