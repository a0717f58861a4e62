"""Dlib's face recognition network: a ResNet of 29 layers with metric loss (Davis King, 2017).

http://blog.dlib.net/2017/02/high-quality-face-recognition-with-deep.html. Runs in dlib itself, on
the CPU unless dlib was built for CUDA.
"""

from __future__ import annotations

import threading
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from deepface.errors import MissingPackageError
from deepface.recognition.cards.dlib import CARD
from deepface.recognition.model import FacialRecognition
from deepface.runtime.weights.damage import reading
from deepface.runtime.weights.store import ensure_weight

#: Faces per call where dlib was built for CUDA.
_ON_CUDA = 32


class Dlib(FacialRecognition):
    """Faces of 150x150 pixels become 128 numbers."""

    card = CARD
    options: ClassVar[tuple[str, ...]] = ()

    def __init__(self, device: str | None = None) -> None:
        try:
            import dlib
        except ModuleNotFoundError as error:
            raise MissingPackageError(
                f'the model Dlib needs the package dlib ({error}): pip install "dlib-bin"'
            ) from error
        path = ensure_weight(self.card.files[0][0])
        with reading(path, "dlib network"):
            self.model = dlib.face_recognition_model_v1(str(path))
        self._lock = threading.Lock()  # dlib's networks keep state while they run
        # dlib also holds Python's lock. On a CPU it gains nothing from batches, and a list of 32
        # faces would keep every other thread of the process, say a server's, waiting for seconds.
        self._at_once = _ON_CUDA if dlib.DLIB_USE_CUDA else 1

    def embed(self, batch: NDArray[np.float32]) -> NDArray[Any]:
        """See the base class. Values in [0, 1] or [0, 255]; dlib sees RGB ``uint8``."""
        if not len(batch):
            return np.zeros((0, self.output_shape))
        in_unit_range = batch.max(axis=(1, 2, 3), keepdims=True) <= 1
        faces = np.ascontiguousarray(
            (batch * np.where(in_unit_range, 255, 1))[..., ::-1].astype(np.uint8)
        )
        with self._lock:
            vectors = [
                vector
                for start in range(0, len(faces), self._at_once)
                for vector in self.model.compute_face_descriptor(
                    list(faces[start : start + self._at_once])
                )
            ]
        return np.array(vectors, dtype=np.float64)
