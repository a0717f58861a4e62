"""Where networks run and in which precision."""

from __future__ import annotations

import os
import re
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepface.arguments import in_order, shown
from deepface.errors import DeviceNotAvailable, InvalidArgument, UnimplementedError

if TYPE_CHECKING:
    import torch

_DEVICE = re.compile(r"cpu|mps|cuda(:\d+)?")
_UNKNOWN_DEVICE = (
    "unknown device {}: use 'cpu', 'cuda', 'cuda:N' or 'mps' (argument device or environment "
    "variable DEEPFACE_DEVICE)"
)
#: Signs of an NVIDIA driver: the usual one, those of WSL and of Jetson boards.
_DRIVERS = ("/proc/driver/nvidia", "/dev/nvidiactl", "/dev/dxg", "/dev/nvhost-gpu", "/dev/nvgpu")
_PRECISIONS = {"fp32": "float32", "tf32": "float32", "bf16": "bfloat16", "fp16": "float16"}


def device_names(device: Any) -> str | tuple[str | None, ...] | None:
    """The name of a device, which torch may have made; or those of several.

    Raises:
        UnimplementedError: it is something else.
        InvalidArgument: it is an empty list.
    """
    if device is None or isinstance(device, str):
        return device
    if _is_torch(device, "device"):
        return str(device)
    names = tuple(map(device_names, device)) if in_order(device) else ()
    if not names and isinstance(device, (list, tuple)):
        raise InvalidArgument("device is an empty list; leave it out for the default device")
    if not names or any(isinstance(name, tuple) for name in names):
        raise UnimplementedError(_UNKNOWN_DEVICE.format(shown(device)))
    return names  # type: ignore[return-value]


def check_device_name(device: object) -> None:
    """Refuse a name that is none, without asking whether the device is there.

    Raises:
        UnimplementedError: for such a name.
    """
    if isinstance(device, str):
        name = device.strip().lower()
        if name not in ("", "auto") and not _DEVICE.fullmatch(name):
            raise UnimplementedError(_UNKNOWN_DEVICE.format(shown(device)))


def precision_name(precision: object = None) -> str:
    """``"fp32"`` (``None``), ``"tf32"``, ``"bf16"`` or ``"fp16"``, however it is written.

    Raises:
        UnimplementedError: it is none of them, nor one of torch's types that they stand for.
    """
    if precision is None:
        return "fp32"
    if isinstance(precision, str) and (name := precision.strip().lower()) in _PRECISIONS:
        return name
    for name, dtype in _PRECISIONS.items():
        if _is_torch(precision, "dtype") and str(precision) == f"torch.{dtype}":
            return name
    raise UnimplementedError(
        f"unknown precision {shown(precision)}: use one of {sorted(_PRECISIONS)}"
    )


def _is_torch(value: object, kind: str) -> bool:
    """Whether a value is of a class of torch; asked without importing torch."""
    return isinstance(value, getattr(sys.modules.get("torch"), kind, ()))


def requested_device(device: str | torch.device | None = None) -> str:
    """The name of the device that was asked for, by argument or environment; maybe ``"auto"``."""
    name = str(device or "").strip() or os.environ.get("DEEPFACE_DEVICE", "").strip()
    return name.lower() or "auto"


def resolve_device(device: str | torch.device | None = None) -> torch.device:
    """The device to run on.

    Args:
        device: ``"cpu"``, ``"cuda"``, ``"cuda:N"`` or ``"mps"``. ``None`` takes
            ``$DEEPFACE_DEVICE``, and without it CUDA where there is one, else the CPU.

    Raises:
        UnimplementedError: for another name.
        DeviceNotAvailable: when that device is not on this machine.
    """
    import torch

    name = requested_device(device)
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if not _DEVICE.fullmatch(name):
        raise UnimplementedError(_UNKNOWN_DEVICE.format(shown(name)))
    resolved = torch.device(name)
    if resolved.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        index = resolved.index or 0
        if index >= count:
            raise DeviceNotAvailable(
                f"device {name!r} is not available: torch {torch.__version__} sees {count} CUDA "
                "device(s). Use device='cpu', or install a torch build for your driver."
            )
        return torch.device("cuda", index)
    if resolved.type == "mps" and not torch.backends.mps.is_available():
        raise DeviceNotAvailable("device 'mps' is not available on this machine; use device='cpu'")
    return resolved


def may_have_cuda() -> bool:
    """Whether asking torch for CUDA is worth its import, which takes seconds.

    False only where it is certain: without torch, which a frozen program may leave out; and on
    Linux every NVIDIA driver shows itself in the file system.
    """
    if find_spec("torch") is None:
        return False
    if "torch" in sys.modules or not sys.platform.startswith("linux"):
        return True
    return any(Path(path).exists() for path in _DRIVERS)


def cuda_is_running() -> bool:
    """Whether this process uses CUDA already; asked without importing torch."""
    # The module may be there without what is in it: another thread is importing it.
    cuda = getattr(sys.modules.get("torch"), "cuda", None)
    return bool(getattr(cuda, "is_initialized", bool)())


def runs_on_cpu(device: str | None) -> bool:
    """Whether :func:`resolve_device` gives the CPU; torch is asked only where that is unclear."""
    name = requested_device(device)
    if name == "cpu" or (name == "auto" and not may_have_cuda()):
        return True
    return resolve_device(device).type == "cpu"


def resolve_precision(precision: str | torch.dtype | None = None) -> torch.dtype:
    """The torch dtype of ``"fp32"`` (default), ``"tf32"``, ``"bf16"`` or ``"fp16"``."""
    import torch

    dtype = getattr(torch, _PRECISIONS[precision_name(precision)])
    assert isinstance(dtype, torch.dtype)
    return dtype
