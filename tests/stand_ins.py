"""Models that are quick and whose results can be told beforehand, for tests of what is around."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from deepface.detection.canvas import Canvas
from deepface.detection.registry import DETECTORS
from deepface.recognition.model import FacialRecognition
from deepface.runtime.models import cached_models
from deepface.types import FacialAreaRegion


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


@contextmanager
def found_once(name: str) -> Iterator[None]:
    """A detector looks at each picture with a border once, for tests of what is done with faces."""
    detector = DETECTORS.build(name)
    detect = detector.detect_canvases
    known: dict[Any, list[FacialAreaRegion]] = {}

    def detect_once(canvases: Sequence[Canvas]) -> list[list[FacialAreaRegion]]:
        keys = [
            (hashlib.sha1(Canvas(canvas.image).pixels().tobytes()).digest(), canvas.shape)
            for canvas in canvases
        ]
        new = {key: canvas for key, canvas in zip(keys, canvases, strict=True) if key not in known}
        known.update(zip(new, detect(list(new.values())), strict=True))
        return [deepcopy(known[key]) for key in keys]

    detector.detect_canvases = detect_once  # type: ignore[method-assign]
    try:
        yield
    finally:
        del detector.detect_canvases  # that of its class is back
