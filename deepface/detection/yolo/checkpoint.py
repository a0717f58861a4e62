"""YOLO checkpoints: whole pickled networks, opened without running anything in them.

An ultralytics checkpoint is a pickle of module objects. It is read as every checkpoint here is (see
``runtime/weights/pytorch_file.py``): no class, constructor, ``getattr`` or ``eval`` is within the
file's reach. The real modules are put together afterwards, by ``cls.__new__`` and
``nn.Module.__setstate__`` only, and of the classes that :data:`MODULES` names only.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from deepface.detection.yolo.network import YoloNetwork
from deepface.detection.yolo.ultralytics_import import REQUIREMENT, import_ultralytics
from deepface.errors import MissingPackageError, WeightsError
from deepface.runtime.weights.damage import damaged
from deepface.runtime.weights.pytorch_file import Inert, PytorchFile, StoredTensor, open_pytorch


def _names(package: str, names: str) -> set[str]:
    return {f"{package}.{name}" for name in names.split()}


#: The layers of YOLOv8, YOLO11 and YOLO12, for detection or key points.
MODULES = {
    *_names("torch.nn.modules.activation", "SiLU"),
    *_names("torch.nn.modules.batchnorm", "BatchNorm2d"),
    *_names("torch.nn.modules.container", "ModuleList Sequential"),
    *_names("torch.nn.modules.conv", "Conv2d"),
    *_names("torch.nn.modules.linear", "Identity"),
    *_names("torch.nn.modules.pooling", "MaxPool2d"),
    *_names("torch.nn.modules.upsampling", "Upsample"),
    *_names(
        "ultralytics.nn.modules.block",
        "A2C2f AAttn ABlock Attention Bottleneck C2PSA C2f C3k C3k2 DFL PSABlock SPPF",
    ),
    *_names("ultralytics.nn.modules.conv", "Concat Conv DWConv"),
    *_names("ultralytics.nn.modules.head", "Detect Pose"),
    *_names("ultralytics.nn.tasks", "DetectionModel PoseModel"),
}
#: What checkpoints name beside. Numbers, paths and settings are written by training; ``getattr``
#: (of ``Detect.forward``) by the key-point networks of 2023. Nothing is made of them.
_IGNORED = {
    "builtins.getattr",
    "numpy.dtype",
    "numpy.core.multiarray.scalar",
    "numpy._core.multiarray.scalar",
    *_names("pathlib", "PosixPath WindowsPath"),
    *_names("pathlib._local", "PosixPath WindowsPath"),  # Python 3.13
    "ultralytics.utils.IterableSimpleNamespace",
    "ultralytics.yolo.utils.IterableSimpleNamespace",
}

_SIZE = 640
#: Longest sides of inputs that a network can have been trained for.
_SIZES = range(32, 4097)
#: Settings of layers that decide how large their maps are, and the largest that makes sense.
_GEOMETRY = ("kernel_size", "stride", "padding", "dilation", "scale_factor")
_LARGEST = 64
#: Side of the picture that shows whether a network runs.
_TRIAL = 64
_TASKS = "ultralytics.nn.tasks."


@dataclass(frozen=True)
class Checkpoint:
    """A network of ultralytics, and the longest side of the inputs that it was trained for."""

    graph: nn.Module
    size: int


def load_checkpoint(path: str | Path) -> Checkpoint:
    """Read an ultralytics checkpoint: float32, on the CPU, batch norms fused.

    Raises:
        MissingPackageError: ultralytics is not installed, or is too old for this network.
        WeightsError: the file is damaged, names anything beyond :data:`MODULES`, or holds no
            network for detection or key points.
    """
    import_ultralytics()
    with open_pytorch(path) as file:
        if foreign := file.names - MODULES - _IGNORED:
            raise damaged(path, _refusal(sorted(foreign)))
        content = file.content if isinstance(file.content, dict) else {}
        network = content.get("ema") or content.get("model")
        if not isinstance(network, Inert) or not network.path.startswith(_TASKS):
            raise damaged(path, "it holds no YOLO network")
        try:
            return _network(file, network, content)
        except MissingPackageError as error:
            raise MissingPackageError(f"{path}: {error}") from error
        except WeightsError:
            raise
        except Exception as error:  # whatever the layers make of their state
            what = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
            raise damaged(path, f"its network is incomplete ({what})") from error


def _network(file: PytorchFile, network: Inert, content: dict[Any, Any]) -> Checkpoint:
    graph: Any = _Assembly(file).of(network)
    # YOLO.predict, too, takes this one setting of the training over.
    size = (content.get("train_args") or {}).get("imgsz", _SIZE)
    if size not in _SIZES:
        raise ValueError(f"inputs of {size!r:.20} pixels")
    for module in graph.modules():
        for name in _GEOMETRY:
            numbers = getattr(module, name, 0)
            if not all(0 <= n <= _LARGEST for n in np.ravel(numbers).tolist()):
                raise ValueError(f"a {type(module).__name__} of {name} {numbers!r:.50}")
    graph = graph.float().eval().fuse(verbose=False)
    with torch.inference_mode():  # what does not fit together is told now
        YoloNetwork(graph)(torch.zeros(1, 3, _TRIAL, _TRIAL))
    return Checkpoint(graph, size)


def _refusal(names: list[str]) -> str:
    listed = ", ".join(names)
    for name in names:
        if name.startswith(_TASKS):
            return (
                f"it holds a {name.removeprefix(_TASKS)}, and face detection needs a "
                f"DetectionModel or a PoseModel (it names {listed})"
            )
    return (
        f"it is a pickle that names {listed}, which no YOLO network needs. Such a file can run "
        "code when it is opened, so it was not opened"
    )


class _Assembly:
    """Puts real modules together; one that occurs twice becomes one module."""

    def __init__(self, file: PytorchFile) -> None:
        self._file = file
        self._done: dict[int, nn.Module] = {}

    def of(self, value: Any) -> Any:
        """``value`` with modules and tensors in the place of what the file has for them."""
        if isinstance(value, Inert):
            return self._module(value) if value.path in MODULES else None
        if isinstance(value, StoredTensor):
            return self._file.tensor(value)
        if isinstance(value, dict):
            return {name: self.of(item) for name, item in value.items()}
        if isinstance(value, (list, tuple, set)):
            return type(value)(map(self.of, value))
        return value

    def _module(self, inert: Inert) -> nn.Module:
        if inert.arguments:
            raise ValueError(f"{inert.path} is called with arguments")
        if id(inert) not in self._done:
            module = self._done[id(inert)] = _empty(inert.path)
            state = self.of(inert.state)
            for name, value in state.get("_parameters", {}).items():
                if value is not None:
                    state["_parameters"][name] = nn.Parameter(value, requires_grad=False)
            module.__setstate__(state)  # type: ignore[no-untyped-call]
        return self._done[id(inert)]


def _empty(path: str) -> nn.Module:
    """A module of the class ``path`` that has no state yet."""
    package, name = path.rsplit(".", 1)
    try:
        cls = getattr(importlib.import_module(package), name)
    except (ImportError, AttributeError):
        raise MissingPackageError(
            f"its network has a {name}, which the installed ultralytics does not know: "
            f'pip install --upgrade "{REQUIREMENT}"'
        ) from None
    assert issubclass(cls, nn.Module)
    module: nn.Module = object.__new__(cls)
    return module
