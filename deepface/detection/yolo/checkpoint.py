"""YOLO checkpoints: whole pickled networks, opened without running anything in them.

An ultralytics checkpoint is a pickle of module objects. ``torch.load(weights_only=True)`` reads it,
and every global that it may name stands here as a *part*: a class without behaviour, which keeps
the state it is given. Calling one with arguments fails, and no real class, constructor,
``getattr`` or ``eval`` is within the file's reach. From the parts the real modules are put together
afterwards, by ``cls.__new__`` and ``nn.Module.__setstate__`` only.
"""

from __future__ import annotations

import importlib
import pickle
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import nn, serialization

from deepface.detection.yolo.ultralytics_import import REQUIREMENT, import_ultralytics
from deepface.errors import MissingPackageError, WeightsError
from deepface.runtime.weights.checkpoints import LOAD_ERROR


class _Part:
    """A module of a checkpoint: where its class is, and its state."""

    path: ClassVar[str]
    state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state


class _Ignored:
    """Something beside the network: a path, a number, settings of training. Nothing is kept."""

    def __init__(self, *_: Any) -> None:
        pass

    def __setstate__(self, _: Any) -> None:
        pass


def _parts(package: str, names: str) -> dict[str, type[Any]]:
    return {
        f"{package}.{name}": type(name, (_Part,), {"path": f"{package}.{name}"})
        for name in names.split()
    }


#: Everything that a checkpoint of YOLOv8, YOLO11 or YOLO12, detection or key points, may name
#: beside tensors. Numbers, paths and settings are written by training; ``getattr`` (of
#: ``Detect.forward``) by the key-point networks of 2023.
ALLOWED: dict[str, type[Any]] = {
    **_parts("torch.nn.modules.activation", "SiLU"),
    **_parts("torch.nn.modules.batchnorm", "BatchNorm2d"),
    **_parts("torch.nn.modules.container", "ModuleList Sequential"),
    **_parts("torch.nn.modules.conv", "Conv2d"),
    **_parts("torch.nn.modules.linear", "Identity"),
    **_parts("torch.nn.modules.pooling", "MaxPool2d"),
    **_parts("torch.nn.modules.upsampling", "Upsample"),
    **_parts(
        "ultralytics.nn.modules.block",
        "A2C2f AAttn ABlock Attention Bottleneck C2PSA C2f C3k C3k2 DFL PSABlock SPPF",
    ),
    **_parts("ultralytics.nn.modules.conv", "Concat Conv DWConv"),
    **_parts("ultralytics.nn.modules.head", "Detect Pose"),
    **_parts("ultralytics.nn.tasks", "DetectionModel PoseModel"),
    **dict.fromkeys(
        (
            "builtins.getattr",
            "numpy.dtype",
            "numpy.core.multiarray.scalar",
            "numpy._core.multiarray.scalar",
            "pathlib.PosixPath",
            "pathlib.WindowsPath",
            "ultralytics.utils.IterableSimpleNamespace",
            "ultralytics.yolo.utils.IterableSimpleNamespace",
        ),
        _Ignored,
    ),
}

_SIZE = 640
_TASKS = "ultralytics.nn.tasks."
_lock = threading.Lock()


@dataclass(frozen=True)
class Checkpoint:
    """A network of ultralytics, and the longest side of the inputs that it was trained for."""

    graph: nn.Module
    size: int


def load_checkpoint(path: str | Path) -> Checkpoint:
    """Read an ultralytics checkpoint: float32, on the CPU, batch norms fused.

    Raises:
        MissingPackageError: ultralytics is not installed, or is too old for this network.
        WeightsError: the file is damaged, names anything beyond :data:`ALLOWED`, or holds no
            network for detection or key points.
    """
    import_ultralytics()
    content = _read(path)
    network = (content.get("ema") or content.get("model")) if isinstance(content, dict) else None
    if not isinstance(network, _Part) or not network.path.startswith(_TASKS):
        raise WeightsError(f"{LOAD_ERROR} {path}: it holds no YOLO network")
    try:
        graph: Any = _Assembly().of(network)
        # YOLO.predict, too, takes this one setting of the training over.
        size = int((content.get("train_args") or {}).get("imgsz", _SIZE))
        return Checkpoint(graph.float().eval().fuse(verbose=False), size)
    except MissingPackageError as error:
        raise MissingPackageError(f"{path}: {error}") from error
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise WeightsError(
            f"{LOAD_ERROR} {path}: its network is incomplete ({type(error).__name__}: {error})"
        ) from error


def _read(path: str | Path) -> Any:
    try:
        with _only_parts_allowed():
            refused = serialization.get_unsafe_globals_in_checkpoint(path)
            if refused:
                raise WeightsError(f"{LOAD_ERROR} {path}: {_refusal(sorted(refused))}")
            return torch.load(path, map_location="cpu", weights_only=True)
    except (FileNotFoundError, WeightsError):
        raise
    except (pickle.UnpicklingError, TypeError) as error:  # a part was called with arguments
        raise WeightsError(f"{LOAD_ERROR} {path}: it is refused ({_line(error)})") from error
    except Exception as error:  # zip, end-of-file, type and runtime errors alike
        size = Path(path).stat().st_size
        raise WeightsError(
            f"{LOAD_ERROR} {path} ({size} bytes): it is damaged or no PyTorch checkpoint "
            f"({_line(error)})"
        ) from error


@contextmanager
def _only_parts_allowed() -> Iterator[None]:
    """Make :data:`ALLOWED` torch's allow-list, which belongs to the whole process.

    What the program has allowed for itself, real classes perhaps, does not count meanwhile.
    """
    with _lock:
        own = serialization.get_safe_globals()
        serialization.clear_safe_globals()
        try:
            with serialization.safe_globals([(part, name) for name, part in ALLOWED.items()]):
                yield
        finally:
            serialization.add_safe_globals(own)


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


def _line(error: Exception) -> str:
    return str(error).partition("\n")[0] or type(error).__name__


class _Assembly:
    """Puts real modules together from parts; a part that occurs twice becomes one module."""

    def __init__(self) -> None:
        self._done: dict[int, Any] = {}

    def of(self, value: Any) -> Any:
        """``value`` with modules in place of parts."""
        if isinstance(value, _Part):
            return self._module(value)
        if isinstance(value, dict):
            return type(value)((name, self.of(item)) for name, item in value.items())
        if isinstance(value, (list, tuple, set)):
            return type(value)(map(self.of, value))
        return value

    def _module(self, part: _Part) -> nn.Module:
        if id(part) not in self._done:
            module = self._done[id(part)] = _empty(part.path)
            module.__setstate__(self.of(part.state))  # type: ignore[no-untyped-call]
        return self._done[id(part)]  # type: ignore[no-any-return]


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
