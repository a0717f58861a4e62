"""What the attribute models have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from deepface.errors import DataTypeError

if TYPE_CHECKING:
    from deepface.runtime.network import Network

#: Height and width of the faces that every attribute model is given.
FACE_SIZE = (224, 224)


class FacialAttribute(ABC):
    """A network that says one thing about faces.

    Args:
        device: where the network runs.
        precision: ``"fp32"``, ``"bf16"`` or ``"fp16"``.
    """

    model_name: ClassVar[str]
    labels: ClassVar[tuple[str, ...]] = ()
    options: ClassVar[tuple[str, ...]] = ("precision",)

    def __init__(self, device: str | None = None, precision: str | None = None) -> None:
        self.model: Network = self._build(device, precision)

    @abstractmethod
    def _build(self, device: str | None, precision: str | None) -> Network:
        """The network with its weights: faces as :meth:`probabilities` gets them -> ``(n, k)``."""

    @abstractmethod
    def describe(self, faces: NDArray[np.float32]) -> list[dict[str, Any]]:
        """What ``analyze`` reports, one dict per face of ``(n, 224, 224, 3)`` BGR in [0, 1]."""

    def probabilities(self, faces: NDArray[np.float32]) -> NDArray[np.float32]:
        """``(n, 224, 224, 3)`` BGR in [0, 1] -> probabilities ``(n, k)``."""
        result: NDArray[np.float32] = self.model(faces, to_channels_first).cpu().numpy()
        return result

    def predict(self, img: NDArray[Any] | Sequence[NDArray[Any]]) -> Any:
        """The published door: what the network says about one face or several.

        Args:
            img: BGR ``(224, 224, 3)`` in [0, 1], a list of them, or ``(n, 224, 224, 3)``.

        Returns:
            Probabilities ``(k,)`` for one face, ``(n, k)`` for a list or a larger batch.
        """
        faces, single = _as_batch(img)
        result = self.probabilities(faces)
        return result[0] if single else result


def to_channels_first(faces: Any) -> Any:
    """``(n, H, W, C)`` -> ``(n, C, H, W)``."""
    return faces.permute(0, 3, 1, 2)


def _as_batch(img: NDArray[Any] | Sequence[NDArray[Any]]) -> tuple[NDArray[np.float32], bool]:
    single = isinstance(img, np.ndarray) and (img.ndim == 3 or (img.ndim == 4 and len(img) == 1))
    faces = np.asarray(img if not isinstance(img, (list, tuple)) else np.stack(img), np.float32)
    faces = faces[None] if faces.ndim == 3 else faces
    if faces.ndim != 4 or faces.shape[1:] != (*FACE_SIZE, 3):
        raise DataTypeError(
            f"faces must be of shape (224, 224, 3) or (n, 224, 224, 3), not {faces.shape}"
        )
    return faces, single


def percentages(labels: Sequence[str], values: NDArray[Any]) -> dict[str, float]:
    """Label -> percent of the sum of ``values``, as plain floats."""
    return {
        label: float(100 * value / values.sum())
        for label, value in zip(labels, values, strict=True)
    }
