"""Models that are quick and whose results can be told beforehand, for tests of what is around."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from deepface.recognition.model import FacialRecognition
from deepface.runtime.models import cached_models


class ColorModel(FacialRecognition):
    """Vectors of length 12: the mean colours of a face's four quarters. It counts its faces."""

    model_name = "colors"
    input_shape = (32, 32)
    output_shape = 12
    options: ClassVar[tuple[str, ...]] = ()

    def __init__(self) -> None:
        self.model = None
        self.faces = 0

    def embed(self, batch: NDArray[np.float32]) -> NDArray[Any]:
        self.faces += len(batch)
        quarters: NDArray[Any] = batch.reshape(len(batch), 2, 16, 2, 16, 3).mean((2, 4))
        return quarters.reshape(len(batch), 12)


@contextmanager
def cached(task: str, name: str, model: Any) -> Iterator[None]:
    """``model`` is among the cached models under ``name`` for a while."""
    models = cached_models.setdefault(task, {})
    models[name] = model
    try:
        yield
    finally:
        del models[name]
