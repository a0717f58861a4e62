"""What the recognition models have in common."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from deepface.errors import InvalidEmbeddingsShapeError
from deepface.recognition.card import RecognitionCard
from deepface.types import on_host


class FacialRecognition:
    """A network that turns faces into vectors.

    A subclass has :meth:`embed`; or, as in the published library, :meth:`forward`, through which
    it is then asked.

    Its constructor takes the ``device`` where the network runs and, where ``options`` says so, the
    ``precision``: ``"fp32"``, ``"tf32"``, ``"bf16"`` or ``"fp16"``.
    """

    #: What is known of it. A class that has one need not repeat its name and shapes.
    card: ClassVar[RecognitionCard]
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

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if (card := vars(cls).get("card")) is not None:
            cls.model_name = card.published_name or card.name
            cls.input_shape, cls.output_shape = card.input_shape, card.output_shape
        if "embed" in vars(cls):
            cls._own_embed = vars(cls)["embed"]
        elif "forward" in vars(cls):
            cls.embed = embed_by_forward  # type: ignore[method-assign, assignment]

    def embed(self, batch: Any) -> NDArray[Any]:
        """Faces ``(n, H, W, 3)`` float32 BGR, letterboxed and normalised -> vectors ``(n, d)``."""
        raise TypeError(f"{type(self).__name__} has neither embed nor forward of its own")

    #: What :meth:`forward` of this class asks: never :meth:`forward` of a class below.
    _own_embed = embed

    def _check_size(self, batch: Any) -> None:
        """Raise ``InvalidEmbeddingsShapeError`` for faces of another size than the network's."""
        width, height = self.input_shape
        if batch.shape[1:] != (height, width, 3):
            raise InvalidEmbeddingsShapeError(
                f"{self.model_name} takes faces of shape ({height}, {width}, 3), "
                f"not {batch.shape[1:]}"
            )

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
        vectors = self._own_embed(batch)
        rows: list[list[float]] = vectors.tolist()
        return rows[0] if len(rows) == 1 else rows


def embed_by_forward(model: Any, batch: Any) -> NDArray[Any]:
    """The same as :meth:`FacialRecognition.embed`, of what has a published ``forward``."""
    faces = np.array(on_host(batch))  # a copy, which it may change
    if not len(faces):
        return np.zeros((0, model.output_shape), np.float32)
    return np.asarray(model.forward(faces)).reshape(len(faces), -1)
