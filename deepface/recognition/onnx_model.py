"""Recognition models that come as ONNX files, run by ONNX Runtime."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from deepface.errors import MissingPackageError
from deepface.recognition.model import FacialRecognition
from deepface.runtime.execution.device import resolve_device
from deepface.runtime.execution.onnx_graph import import_runtime, open_session
from deepface.runtime.weights.damage import reading
from deepface.runtime.weights.store import ensure_weight


class OnnxModel(FacialRecognition, ABC):
    """Faces of 112x112 pixels through a published ONNX file."""

    options: ClassVar[tuple[str, ...]] = ()

    def __init__(self, device: str | None = None) -> None:
        providers = _providers(self.model_name, device)
        path = ensure_weight(self.card.files[0][0])
        self.model = open_session(path, f"the model {self.model_name}", providers)
        with reading(path, "ONNX model of faces"):
            (graph_input,) = self.model.get_inputs()
            self._input_name = graph_input.name
            # A number there is the only batch size that the graph takes; a free one is a name.
            size, *_ = graph_input.shape
        self._chunk_size = size if isinstance(size, int) and size > 0 else 64

    @abstractmethod
    def prepare(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Faces ``(n, 112, 112, 3)`` BGR in [0, 1] -> the graph's input, channels last."""

    def embed(self, batch: NDArray[np.float32]) -> NDArray[Any]:
        """See the base class; float32. Faces of another size are refused by :meth:`_check_size`."""
        self._check_size(batch)
        inputs = np.ascontiguousarray(self.prepare(batch).transpose(0, 3, 1, 2))
        vectors = [np.zeros((0, self.output_shape), np.float32)]
        for start in range(0, len(inputs), self._chunk_size):
            chunk = inputs[start : start + self._chunk_size]
            vectors += self.model.run(None, {self._input_name: chunk})[:1]
        return np.concatenate(vectors)


def _providers(model_name: str, device: str | None) -> list[Any]:
    """What runs the graph where ``device`` says, if the environment does not say more."""
    onnxruntime = import_runtime(f"the model {model_name}")
    providers: list[Any] = ["CPUExecutionProvider"]
    where = resolve_device(device)
    if where.type == "cuda":
        if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
            providers.insert(0, ("CUDAExecutionProvider", {"device_id": where.index or 0}))
        elif device is not None:
            raise MissingPackageError(
                f"the installed onnxruntime cannot run {model_name} on {where}: "
                'pip install "onnxruntime-gpu" instead of onnxruntime, or use device="cpu"'
            )
    return providers
