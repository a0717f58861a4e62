"""Are two pictures of the same person: ``verify``, for one pair or for lists of pairs."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence, Sized
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepface.arguments import is_vector, number
from deepface.errors import (
    DataTypeError,
    DimensionMismatchError,
    FaceNotDetected,
    InvalidArgument,
)
from deepface.images.batch import open_batch
from deepface.matching.confidence import find_confidence
from deepface.matching.distance import Metric, check_metric_or_function, find_distance
from deepface.matching.thresholds import find_threshold
from deepface.pipeline.face_pipeline import FacePipeline
from deepface.recognition.registry import RECOGNIZERS

_NO_AREA = {"x": None, "y": None, "w": None, "h": None, "left_eye": None, "right_eye": None}


@dataclass(frozen=True)
class _Side:
    """The faces of one picture of a pair: vectors ``(n, d)`` and areas."""

    embeddings: NDArray[Any]
    areas: list[dict[str, Any]]


def verify(
    pipeline: FacePipeline,
    img1_path: Any,
    img2_path: Any,
    distance_metric: str | Metric = "cosine",
    threshold: float | None = None,
) -> Any:
    """See :func:`deepface.DeepFace.verify`; ``pipeline`` embeds the pictures."""
    start = time.perf_counter()
    model_name, align = str(pipeline.model_name), pipeline.align
    RECOGNIZERS.check(pipeline.model_name)
    check_metric_or_function(distance_metric)
    if threshold is not None:
        threshold = number("threshold", threshold)
    elif callable(distance_metric):
        raise InvalidArgument("a distance_metric of your own needs a threshold: pass threshold=")
    else:
        threshold = find_threshold(model_name, distance_metric, align=align)
    pipeline = replace(pipeline, skip_rounds=False)
    many, *pairs = _pairs(img1_path, img2_path)
    sides = [_sides(items, side, many, pipeline) for side, items in enumerate(pairs, start=1)]
    closest = [
        _closest(first, second, distance_metric) for first, second in zip(*sides, strict=True)
    ]
    seconds_each = round((time.perf_counter() - start) / max(1, len(closest)), 2)
    results = [
        {
            "verified": distance <= threshold,
            "distance": distance,
            "threshold": threshold,
            "confidence": find_confidence(
                distance, model_name, distance <= threshold, distance_metric, align=align
            ),
            "model": model_name,
            "detector_backend": pipeline.detector_backend,
            "similarity_metric": distance_metric,
            "facial_areas": {"img1": area1, "img2": area2},
            "time": seconds_each,
        }
        for distance, area1, area2 in closest
    ]
    return results if many else results[0]


def _pairs(img1_path: Any, img2_path: Any) -> tuple[bool, list[Any], list[Any]]:
    """Whether there are many pairs, and what is on their first and on their second side."""
    many = _is_batch(img1_path)
    if many != _is_batch(img2_path):
        raise DataTypeError(
            f"img1_path is {_kind(img1_path)}, but img2_path is {_kind(img2_path)}: pass two "
            "pictures (or embeddings), or two lists of them"
        )
    if not many:
        return many, [img1_path], [img2_path]
    firsts, seconds = list(open_batch(img1_path)), list(open_batch(img2_path))
    if len(firsts) != len(seconds):
        raise ValueError(
            f"lists of pairs must be of equal length, but img1_path has {len(firsts)} items and "
            f"img2_path {len(seconds)}"
        )
    return many, firsts, seconds


def _is_batch(value: Any) -> bool:
    """Whether this is a list of pictures or embeddings, and not one of them."""
    return not is_embedding(value) and not open_batch(value).single


def _kind(value: Any) -> str:
    """What one side of a comparison is, for a message."""
    if _is_batch(value):
        length = f"a list of {len(value)}" if isinstance(value, Sized) else "an iterator of"
        return f"{length} pictures or embeddings"
    return (
        f"one embedding, a list of {len(value)} numbers" if is_embedding(value) else "one picture"
    )


def is_embedding(value: Any) -> bool:
    """Whether a caller passed numbers in place of a picture."""
    if is_vector(value):
        return len(value) > 0
    return isinstance(value, (list, tuple)) and any(
        isinstance(item, (float, int, np.number)) for item in value
    )


def _sides(items: Sequence[Any], side: int, many: bool, pipeline: FacePipeline) -> list[_Side]:
    """Vectors of one side of all pairs: embeddings as they are, pictures in batches."""
    given: dict[int, _Side] = {}
    for position, item in enumerate(items):
        if is_embedding(item):
            where = f" (item {position})" if many else ""
            vector = given_embedding(
                item, f"img{side}_path", f"{side}-th image", str(pipeline.model_name), where
            )
            given[position] = _Side(vector[None], [dict(_NO_AREA)])
    pictures = [item for position, item in enumerate(items) if position not in given]
    found: list[_Side] = []
    if pictures:
        batch = open_batch(pictures if many else pictures[0])
        try:
            found = [_Side(item.vectors, item.areas()) for item in pipeline.pictures(batch)]
        except ValueError as error:
            raise ValueError(f"Exception while processing img{side}_path") from error
    rest = iter(found)
    return [given[p] if p in given else next(rest) for p in range(len(items))]


def given_embedding(
    item: Sequence[Any], argument: str, which: str, model_name: str, where: str = ""
) -> NDArray[np.float64]:
    """A caller's embedding as a vector ``(d,)``; the other arguments are for messages.

    Raises:
        DataTypeError: it holds something else than finite numbers.
        DimensionMismatchError: its length is not the model's.
    """
    if is_vector(item):
        item = np.asarray(item).tolist()
    if not all(isinstance(value, (float, int)) for value in item):
        raise DataTypeError(
            f"When passing {argument} as a list, ensure that all its items are of type "
            f"float.{where}"
        )
    card = RECOGNIZERS.find(model_name)  # which needs no weights, and no network
    expected = (card or RECOGNIZERS.build(model_name)).output_shape
    if len(item) != expected:
        raise DimensionMismatchError(
            f"embeddings of {model_name} should have {expected} dimensions, but {which} "
            f"has {len(item)} dimensions input{where}"
        )
    vector = np.asarray(item, dtype=np.float64)
    if not np.isfinite(vector).all():
        raise DataTypeError(f"the embedding in {argument} has values that are not finite{where}")
    return vector


def _closest(
    first: _Side, second: _Side, metric: str | Metric
) -> tuple[float, dict[str, Any], dict[str, Any]]:
    """The smallest distance of two faces, and their areas."""
    if not first.areas or not second.areas:
        raise FaceNotDetected("a picture has no face with an area inside it: nothing to compare")
    best, areas = math.inf, (first.areas[0], second.areas[0])
    for alpha, one in zip(first.embeddings, first.areas, strict=True):
        for beta, other in zip(second.embeddings, second.areas, strict=True):
            distance = float(find_distance(alpha, beta, metric))
            if distance < best:
                best, areas = distance, (one, other)
    return best, *areas
