"""When two faces count as the same person: the published thresholds, per model and metric."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

#: ``distance <= THRESHOLDS[model][metric]`` verifies.
THRESHOLDS: dict[str, dict[str, float]] = {
    "VGG-Face": {"cosine": 0.68, "euclidean": 1.17, "euclidean_l2": 1.17, "angular": 0.39},
    "Facenet": {"cosine": 0.4, "euclidean": 10, "euclidean_l2": 0.8, "angular": 0.33},
    "Facenet512": {"cosine": 0.3, "euclidean": 23.56, "euclidean_l2": 1.04, "angular": 0.35},
    "ArcFace": {"cosine": 0.68, "euclidean": 4.15, "euclidean_l2": 1.13, "angular": 0.39},
    "Dlib": {"cosine": 0.07, "euclidean": 0.6, "euclidean_l2": 0.4, "angular": 0.12},
    "SFace": {"cosine": 0.593, "euclidean": 10.734, "euclidean_l2": 1.055, "angular": 0.36},
    "OpenFace": {"cosine": 0.1, "euclidean": 0.55, "euclidean_l2": 0.55, "angular": 0.11},
    "DeepFace": {"cosine": 0.23, "euclidean": 64, "euclidean_l2": 0.64, "angular": 0.12},
    "DeepID": {"cosine": 0.015, "euclidean": 45, "euclidean_l2": 0.17, "angular": 0.04},
    "GhostFaceNet": {"cosine": 0.65, "euclidean": 35.71, "euclidean_l2": 1.1, "angular": 0.38},
    "Buffalo_L": {"cosine": 0.55, "euclidean": 0.6, "euclidean_l2": 1.1, "angular": 0.45},
}


#: The same for faces cut with ``align="landmarks"``, measured on fold 1 of LFW (view 2) with
#: ``mtcnn`` by ``python -m benchmarks lfw --align landmarks --calibrate``. Models that are not here
#: keep the published values.
LANDMARK_THRESHOLDS: dict[str, dict[str, float]] = {
    "Dlib": {"cosine": 0.0873, "euclidean": 0.6213, "euclidean_l2": 0.4179, "angular": 0.134},
}


def find_threshold(
    model_name: str,
    distance_metric: str | Callable[[Any, Any], Any] = "cosine",
    *,
    align: Any = True,
) -> float:
    """The distance up to which two faces are the same person.

    A metric of the caller's own has no threshold here: 0.0.

    Args:
        model_name: a recognition model.
        distance_metric: a metric's name, or a function.
        align: how the faces were cut; ``"landmarks"`` has thresholds of its own.

    Raises:
        ValueError: an unknown model or metric.
    """
    if callable(distance_metric):
        return 0.0
    if model_name not in THRESHOLDS:
        raise ValueError(
            f"there is no threshold for model {model_name!r}; models: {', '.join(THRESHOLDS)}"
        )
    thresholds = THRESHOLDS[model_name]
    if align == "landmarks":
        thresholds = LANDMARK_THRESHOLDS.get(model_name, thresholds)
    if distance_metric not in thresholds:
        raise ValueError(
            f"there is no threshold for metric {distance_metric!r}; "
            f"metrics: {', '.join(thresholds)}"
        )
    return thresholds[distance_metric]
