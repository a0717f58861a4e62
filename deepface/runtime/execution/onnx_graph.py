"""ONNX graphs in ONNX Runtime.

``DEEPFACE_ONNX_PROVIDERS``, as published, names what ONNX Runtime runs on: some of ``cpu``,
``cuda``, ``tensorrt``, ``coreml``, ``directml``, ``openvino`` and ``rocm``, the preferred one
first. Without it the device decides.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from deepface.errors import MissingPackageError, UnimplementedError
from deepface.logger import get_logger
from deepface.runtime.card import ONNX_RUNTIME
from deepface.runtime.weights.damage import reading

_CPU = "CPUExecutionProvider"
_PROVIDERS = {
    "cpu": _CPU,
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
    "directml": "DmlExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
    "rocm": "ROCMExecutionProvider",
}


def open_session(path: Path, user: str, providers: Sequence[Any] | None = None) -> Any:
    """An ``onnxruntime.InferenceSession``; any number of threads may run it at a time.

    It computes in as many threads as torch does when it is opened.

    Args:
        path: the file; its structure has been verified.
        user: what needs the package, for the error.
        providers: unless the environment has some; the CPU's alone if not given.

    Raises:
        MissingPackageError: ONNX Runtime is not installed.
        UnimplementedError: ``DEEPFACE_ONNX_PROVIDERS`` names none.
        WeightsError: ONNX Runtime refuses the file.
    """
    onnxruntime = import_runtime(user)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3  # errors: its warnings are about the file's making
    if (setting := os.environ.get("DEEPFACE_ONNX_PROVIDERS", "")).strip():
        providers = named_providers(setting, tuple(onnxruntime.get_available_providers()))
    with reading(path, "ONNX model"):
        return onnxruntime.InferenceSession(str(path), options, providers=[*(providers or [_CPU])])


def import_runtime(user: str) -> Any:
    """The package ``onnxruntime``.

    Raises:
        MissingPackageError: it is not installed.
    """
    try:
        import onnxruntime
    except ModuleNotFoundError as error:
        raise MissingPackageError(
            f'{user} needs the package onnxruntime ({error}): pip install "{ONNX_RUNTIME.name}"'
        ) from error
    return onnxruntime


@cache
def named_providers(setting: str, available: tuple[str, ...]) -> tuple[str, ...]:
    """Those of a list that are there; what is missing is said once."""
    names = [name.strip().lower() for name in setting.split(",") if name.strip()]
    if not names or not set(names) <= set(_PROVIDERS):
        raise UnimplementedError(
            f"DEEPFACE_ONNX_PROVIDERS={setting!r} must list some of {', '.join(_PROVIDERS)}"
        )
    missing = [name for name in names if _PROVIDERS[name] not in available]
    if missing:
        get_logger().warning(
            "the installed onnxruntime has no provider %s (DEEPFACE_ONNX_PROVIDERS); it has %s",
            ", ".join(missing),
            ", ".join(available),
        )
    found = dict.fromkeys(_PROVIDERS[name] for name in names if name not in missing)
    return tuple(found | {_CPU: None})


class OnnxGraph(nn.Module):
    """A graph that takes ``(n, H, W, C)`` float32, as the published ones do, behind the contract of
    the PyTorch networks: ``(n, C, H, W)`` -> ``(n, outputs)``, on the CPU.

    Args:
        path: the ``.onnx`` file.
        shape: ``(H, W, C)``.
        outputs: how many numbers it gives per item.
        chunk_size: most items that are run at a time. ONNX Runtime adds up a matrix product of one
            row in another order than that of several: a graph that may have large ones gives the
            same bits in every batch only where its items are run one by one.

    Raises:
        MissingPackageError: ONNX Runtime is not installed.
        WeightsError: the file is damaged, or its graph is of another network.
    """

    def __init__(
        self, path: Path, shape: tuple[int, int, int], outputs: int, chunk_size: int = 1
    ) -> None:
        super().__init__()
        self._outputs = outputs
        self.session = open_session(path, path.name)
        with reading(path, "ONNX model"):
            takes = [(item.type, tuple(item.shape)) for item in self.session.get_inputs()]
            # Sizes that are free have names.
            if len(takes) != 1 or not _fits(*takes[0], shape):
                wanted = f"one array of floats (n, {', '.join(map(str, shape))})"
                raise ValueError(f"it is of another network: it takes {takes}, not {wanted}")
            self._input = self.session.get_inputs()[0].name
            size = takes[0][1][0]
            self._size = size if isinstance(size, int) and size > 0 else None
            self.chunk_size = self._size or chunk_size
            self._run(torch.zeros(self._size or 1, *shape))  # whatever is wrong shows here

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        faces = x.permute(0, 2, 3, 1).contiguous()
        if self._size is None and len(faces):
            return self._run(faces)
        parts = [x.new_zeros((0, self._outputs))]
        for part in torch.split(faces, self._size or 1) if len(faces) else ():
            missing = (self._size or 1) - len(part)
            whole = torch.cat([part, part.new_zeros((missing, *part.shape[1:]))])
            parts.append(self._run(whole)[: len(part)])
        return torch.cat(parts)

    def _run(self, faces: Tensor) -> Tensor:
        given = self.session.run(None, {self._input: faces.numpy()})[0]
        rows = torch.from_numpy(given).flatten(1)
        if rows.shape != (len(faces), self._outputs):
            found = f"{tuple(given.shape)} for {len(faces)}"
            raise ValueError(
                f"it is of another network: it gives {found}, not {self._outputs} each"
            )
        return rows


def _fits(kind: str, sizes: tuple[Any, ...], shape: tuple[int, ...]) -> bool:
    pairs = zip(sizes[1:], shape, strict=False)
    fit = all(size == wanted or not isinstance(size, int) for size, wanted in pairs)
    return fit and kind == "tensor(float)" and len(sizes) == 1 + len(shape)
