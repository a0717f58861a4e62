"""Scaling of embeddings after the network, as published."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

#: Smallest and largest value that a model's embeddings take, measured by the published library.
#: SFace, GhostFaceNet and Buffalo_L have none.
MINMAX: dict[str, tuple[float, float]] = {
    "VGG-Face": (0.0, 0.27054874177488775),
    "Facenet": (-3.541942596435547, 3.247769594192505),
    "Facenet512": (-4.388302803039551, 3.643190622329712),
    "OpenFace": (-0.34191709756851196, 0.26318004727363586),
    "DeepFace": (0.0, 17.294939041137695),
    "DeepID": (0.0, 127.86836242675781),
    "Dlib": (-0.41398656368255615, 0.5201137661933899),
    "ArcFace": (-2.945136308670044, 2.087090015411377),
}


def normalize_embedding_minmax(model_name: str, embeddings: ArrayLike) -> NDArray[Any]:
    """Clamp to the model's range and scale to [0, 1]; unchanged for a model without a range.

    Args:
        model_name: a recognition model.
        embeddings: one ``(d,)`` or several ``(n, d)``.
    """
    array = np.asarray(embeddings, dtype=np.float64)
    if model_name not in MINMAX:
        return array
    low, high = MINMAX[model_name]
    return (np.clip(array, low, high) - low) / (high - low)  # type: ignore[no-any-return]


def normalize_embedding_l2(embeddings: ArrayLike) -> NDArray[Any]:
    """Scale each embedding ``(d,)`` or ``(n, d)`` to length 1."""
    array = np.asarray(embeddings, dtype=np.float64)
    norm = np.linalg.norm(array, axis=-1, keepdims=True)
    return array / (norm + 1e-10)  # type: ignore[no-any-return]
