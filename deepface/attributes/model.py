"""What the attribute models have in common."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from deepface.errors import DataTypeError
from deepface.types import Pixels, on_host

if TYPE_CHECKING:
    from torch import Tensor

    from deepface.runtime.execution.network import Network

#: Height and width of the faces that ``analyze`` gives to every attribute model.
FACE_SIZE = (224, 224)


class FacialAttribute:
    """A network that says one thing about faces.

    A subclass has ``_build`` and :meth:`report`. One that is written for the published library,
    with a constructor and :meth:`predict` of its own, is asked through ``predict``, a face at a
    time, as there; without a ``report`` of its own it is taken for ours of that name.

    Args:
        device: where the network runs.
        precision: ``"fp32"``, ``"tf32"``, ``"bf16"`` or ``"fp16"``.
    """

    model_name: ClassVar[str]
    labels: ClassVar[tuple[str, ...]] = ()
    #: Height and width that :meth:`predict` asks for; ``None`` takes any.
    face_size: ClassVar[tuple[int, int] | None] = FACE_SIZE
    options: ClassVar[tuple[str, ...]] = ("precision",)
    _one_by_one: ClassVar[bool] = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "report" in vars(cls) or "predict" in vars(cls):
            cls._one_by_one = "report" not in vars(cls)

    def __init__(self, device: str | None = None, precision: str | None = None) -> None:
        self.model: Network = self._build(device, precision)

    def _build(self, device: str | None, precision: str | None) -> Network:
        """The network with its weights; it gives probabilities."""
        raise TypeError(f"{type(self).__name__} has neither a network nor predict of its own")

    def report(self, values: Any) -> dict[str, Any]:
        """What ``analyze`` reports of one face, from what :meth:`predict` gives for it."""
        raise TypeError(f"{type(self).__name__} does not say what analyze reports")

    def describe(self, faces: Pixels) -> list[dict[str, Any]]:
        """What ``analyze`` reports, one dict per face of ``(n, 224, 224, 3)`` BGR in [0, 1]."""
        if self._one_by_one:
            return described_one_by_one(self, self.report, faces)
        values = self.predict(faces)  # type: ignore[arg-type]
        return [self.report(face) for face in ([values] if len(faces) == 1 else values)]

    def probabilities(self, faces: Pixels) -> NDArray[np.float32]:
        """``(n, 224, 224, 3)`` BGR in [0, 1] -> probabilities ``(n, k)``."""
        result: NDArray[np.float32] = self.model(faces, to_channels_first).cpu().numpy()
        return result

    def predict(self, img: NDArray[Any] | Sequence[NDArray[Any]]) -> Any:
        """The published door: what the network says about one face or several.

        Args:
            img: BGR faces in [0, 1]: ``(224, 224, 3)``, a list of them, or ``(n, 224, 224, 3)``.

        Returns:
            Probabilities ``(n, k)``; ``(k,)`` for one face, also as a list or a batch of one.

        Raises:
            DataTypeError: something of another kind or shape.
        """
        faces = _as_batch(img, self.face_size)
        result = self.probabilities(faces)
        return result[0] if len(faces) == 1 else result


def described_one_by_one(
    model: Any, report: Callable[[Any], dict[str, Any]], faces: Pixels
) -> list[dict[str, Any]]:
    """As :meth:`FacialAttribute.describe`, of what has a published ``predict``."""
    return [report(np.squeeze(model.predict(face[None].copy()))) for face in on_host(faces)]


def to_channels_first(faces: Tensor) -> Tensor:
    """``(n, H, W, C)`` -> ``(n, C, H, W)``."""
    return faces.permute(0, 3, 1, 2)


def _as_batch(
    img: Pixels | Sequence[NDArray[Any]], size: tuple[int, int] | None
) -> NDArray[np.float32] | Tensor:
    if hasattr(img, "device") and not isinstance(img, np.ndarray):
        return img  # type: ignore[return-value]  # a tensor that the pipeline made
    try:
        faces = np.asarray(img, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise DataTypeError(f"faces must be arrays of numbers, all of one shape: {error}") from None
    if faces.shape == (0,):
        return np.zeros((0, *FACE_SIZE, 3), np.float32)
    if faces.ndim == 3:
        faces = faces[None]
    if faces.ndim != 4 or faces.shape[3] != 3 or (size and faces.shape[1:3] != size):
        height, width = size or ("H", "W")
        raise DataTypeError(
            f"faces must have the shape ({height}, {width}, 3) or (n, {height}, {width}, 3), "
            f"not {np.shape(img)}"
        )
    return faces


def percentages(labels: Sequence[str], values: NDArray[Any]) -> dict[str, float]:
    """Label -> percent of the sum of ``values``, as plain floats."""
    return {
        label: float(100 * value / values.sum())
        for label, value in zip(labels, values, strict=True)
    }
