"""Faces to attributes: ``analyze``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from numpy.typing import NDArray

from deepface.attributes.model import FACE_SIZE
from deepface.attributes.registry import ATTRIBUTES
from deepface.detection.faces import PUBLISHED_BORDER
from deepface.errors import UnimplementedError
from deepface.images.batch import open_batch
from deepface.pipeline.faces import FaceOptions, ImageFaces, facial_area, iter_faces
from deepface.pipeline.representation import network_inputs, refuse_spoofs
from deepface.runtime.batching import DEFAULT_BATCH_SIZE, chunks

#: Action -> name of its network.
ACTIONS = {"emotion": "Emotion", "age": "Age", "gender": "Gender", "race": "Race"}
#: Faces per step: 64 letterboxed faces are 39 MB.
_FACES_PER_STEP = 64


def analyze(
    img_path: Any,
    actions: str | Sequence[str] = ("emotion", "age", "gender", "race"),
    enforce_detection: bool = True,
    detector_backend: str = "opencv",
    align: bool = True,
    expand_percentage: int = 0,
    silent: bool = False,
    anti_spoofing: bool = False,
    *,
    border: float = PUBLISHED_BORDER,
    batch_size: int = DEFAULT_BATCH_SIZE,
    device: str | None = None,
    precision: str | None = None,
    **detector_options: Any,
) -> list[Any]:
    """See :func:`deepface.DeepFace.analyze`."""
    wanted = _checked_actions(actions)
    options = FaceOptions(
        detector_backend=detector_backend,
        enforce_detection=enforce_detection,
        align=align,
        expand_percentage=expand_percentage,
        anti_spoofing=anti_spoofing,
        border=border,
        batch_size=batch_size,
        device=device,
        detector_options=detector_options,
    )
    batch = open_batch(img_path)
    if batch.total == 0:
        return []
    options = replace(options, progress=not silent and not batch.single)
    networks = {
        action: ATTRIBUTES.build(ACTIONS[action], device, precision=precision) for action in wanted
    }
    results: list[list[dict[str, Any]]] = []
    for chunk in iter_faces(batch, options):
        for item in chunk:
            refuse_spoofs(item, batch.single)
        described = iter(_attributes([f.img for item in chunk for f in item.faces], networks))
        results += [_merge(item, [next(described) for _ in item.faces]) for item in chunk]
    return results[0] if batch.single else results


def _checked_actions(actions: object) -> list[str]:
    if isinstance(actions, str):
        actions = (actions,)
    if (
        not isinstance(actions, (list, tuple))
        or not actions
        or not all(isinstance(action, str) for action in actions)
    ):
        raise ValueError(f"`actions` must be a list of strings. It is {actions!r}")
    for action in actions:
        if action not in ACTIONS:
            raise UnimplementedError(
                f"Invalid action passed ({action!r}). Valid actions are {', '.join(ACTIONS)}"
            )
    return list(actions)


def _attributes(
    crops: list[NDArray[Any]], networks: dict[str, Any]
) -> list[tuple[dict[str, Any], ...]]:
    """Per face what each network says; the faces are prepared once for all networks."""
    described: list[tuple[dict[str, Any], ...]] = []
    for some in chunks(crops, _FACES_PER_STEP):
        inputs = network_inputs(some, FACE_SIZE)
        columns = [network.describe(inputs) for network in networks.values()]
        described += zip(*columns, strict=True)
    return described


def _merge(found: ImageFaces, described: list[tuple[dict[str, Any], ...]]) -> list[dict[str, Any]]:
    """One dict per face; ``region`` and ``face_confidence`` follow the first attribute."""
    merged = []
    for face, (first, *others) in zip(found.faces, described, strict=True):
        result = {
            **first,
            "region": facial_area(face.facial_area, found.image.source),
            "face_confidence": round(float(face.confidence), 2),
        }
        for other in others:
            result.update(other)
        merged.append(result)
    return merged
