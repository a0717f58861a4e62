"""What the recognition models have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from deepface.errors import InvalidEmbeddingsShapeError


class FacialRecognition(ABC):
    """A network that turns faces into vectors.

    Args:
        device: where the network runs.
        precision: ``"fp32"``, ``"bf16"`` or ``"fp16"``.
    """

    model_name: str
    #: Width and height of the faces, in pixels.
    input_shape: tuple[int, int]
    #: Length of a vector.
    output_shape: int
    #: What runs: a ``runtime.network.Network``, an ONNX session, a dlib model.
    model: Any
    options: ClassVar[tuple[str, ...]] = ("precision",)
    #: Whether :meth:`embed` takes a tensor on the device, too.
    takes_tensors: ClassVar[bool] = False

    @abstractmethod
    def embed(self, batch: Any) -> NDArray[Any]:
        """Faces ``(n, H, W, 3)`` float32 BGR, letterboxed and normalised -> vectors ``(n, d)``."""

    def forward(self, img: NDArray[Any]) -> list[float] | list[list[float]]:
        """The published door: one face ``(H, W, 3)`` or a batch ``(n, H, W, 3)``.

        Returns:
            A list of floats for one face (also as a batch of one), else a list of such lists.

        Raises:
            InvalidEmbeddingsShapeError: an array of another number of dimensions.
        """
        batch = np.asarray(img, dtype=np.float32)
        if batch.ndim == 3:
            batch = batch[None]
        if batch.ndim != 4:
            raise InvalidEmbeddingsShapeError(
                f"{self.model_name} takes (H, W, 3) or (n, H, W, 3), not {batch.shape}"
            )
        vectors = self.embed(batch)
        rows: list[list[float]] = vectors.tolist()
        return rows[0] if len(rows) == 1 else rows
