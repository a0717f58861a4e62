"""Faces to attributes: the step of the walk, and its description."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from deepface.attributes.model import FACE_SIZE
from deepface.attributes.registry import describe
from deepface.pipeline.extraction import Seen
from deepface.pipeline.representation import network_inputs
from deepface.runtime.execution.batching import chunks

#: Faces per step: 64 letterboxed faces are 39 MB.
_FACES_PER_STEP = 64


def estimate_attributes(seen: list[Seen], networks: Mapping[str, Any]) -> None:
    """Fill in ``attributes``, all faces in one batch, prepared once for all networks, by name."""
    described: list[tuple[dict[str, Any], ...]] = []
    for chunk in chunks([face for item in seen for face in item.faces], _FACES_PER_STEP):
        inputs = network_inputs(chunk, FACE_SIZE)
        columns = [describe(network, name, inputs) for name, network in networks.items()]
        described += zip(*columns, strict=True)
    results = iter(described)
    for item in seen:
        item.attributes = [next(results) for _ in item.faces]


def describe_attributes(item: Seen) -> list[dict[str, Any]]:
    """A picture's faces as ``analyze`` gives them: ``region`` follows the first attribute."""
    described = []
    faces = zip(item.faces, item.areas(), item.attributes, strict=True)
    for face, area, (first, *others) in faces:
        result = {
            **first,
            "region": area,
            "face_confidence": round(float(face.confidence), 2),
        }
        for other in others:
            result.update(other)
        described.append(result)
    return described
