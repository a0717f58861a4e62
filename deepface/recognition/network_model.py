"""Recognition models that are networks with published weights."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from deepface.recognition.model import FacialRecognition
from deepface.runtime.execution.device import resolve_device
from deepface.runtime.execution.engines import network
from deepface.runtime.execution.graph import for_inference
from deepface.runtime.execution.network import channels_first
from deepface.runtime.execution.published_network import PublishedNetwork
from deepface.runtime.weights.load import load_weights
from deepface.runtime.weights.table import WeightFile
from deepface.types import Pixels


class NetworkModel(FacialRecognition, ABC):
    """A network with published weights; a subclass says which."""

    takes_tensors = True
    #: Module paths in the order of the ``.h5``; ``None`` for a layer that is left out.
    keras_order: ClassVar[Sequence[str | None]]
    #: Beginnings of the names in the ``.pth`` that the network leaves out.
    ignore: ClassVar[tuple[str, ...]] = ()
    #: ``(height, width, channels)`` before the flattening that feeds a linear layer.
    flatten: ClassVar[Mapping[str, tuple[int, int, int]]] = {}
    #: Most faces per forward pass: on a CPU more only leave the cache.
    chunk_sizes: ClassVar[Mapping[str, int]] = {"cpu": 8}

    def __init__(self, device: str | None = None, precision: str | None = None) -> None:
        width, height = self.input_shape
        files, shape = self.card.files[0], (height, width, 3)
        published = PublishedNetwork(
            self.card.name, files, shape, self.output_shape, self._load, self.ready
        )
        where = resolve_device(device)
        self.model = network(published, where, precision, self.chunk_sizes.get(where.type, 64))

    def _load(self, files: Sequence[WeightFile]) -> nn.Module:
        with torch.device("meta"):  # no random numbers that the file replaces
            module = self.network()
        load_weights(module, files, self.keras_order, self.flatten, self.ignore)
        return module

    @abstractmethod
    def network(self) -> nn.Module:
        """The network, with the names of the ``.pth``: ``(N, 3, H, W)`` -> ``(N, d)``."""

    def ready(self, module: nn.Module, device: torch.device, dtype: torch.dtype) -> nn.Module:
        """The network with its weights as it is run."""
        width, height = self.input_shape
        return for_inference(module, (3, height, width), device, dtype)

    def embed(self, batch: Pixels) -> NDArray[Any]:
        """See the base class; float32. Faces of another size are refused by :meth:`_check_size`."""
        self._check_size(batch)
        if not len(batch):
            return np.zeros((0, self.output_shape), np.float32)
        vectors: NDArray[np.float32] = self.model(batch, channels_first).cpu().numpy()
        return vectors
