"""Faces to vectors: the step of the walk, and its description."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepface.errors import DeepFaceError
from deepface.logger import get_logger
from deepface.pipeline.extraction import Seen
from deepface.pipeline.options import Options
from deepface.recognition.model import embed_by_forward
from deepface.recognition.normalization import normalize_embedding_l2, normalize_embedding_minmax
from deepface.recognition.preprocessing import in_unit_range, letterbox, normalize_input
from deepface.runtime.execution.batching import chunks
from deepface.types import DetectedFace, Pixels, on_host

#: Faces that are letterboxed and embedded at a time: bounds memory for pictures of crowds.
_FACES_PER_STEP = 128


def embed_faces(seen: list[Seen], model: Any, options: Options) -> None:
    """Fill in ``embeddings`` (and ``inputs``, with ``return_face``), all faces in one batch.

    ``model`` is one of ours, or what a script has put into ``cached_models``, which may have the
    published ``forward`` only.
    """
    embed = getattr(model, "embed", None) or partial(embed_by_forward, model)
    takes_tensors = getattr(model, "takes_tensors", False)
    width, height = model.input_shape
    found = [face for item in seen for face in item.faces]
    as_given = options.skips_detection and options.skip_rounds
    inputs = [np.zeros((0, height, width, 3), np.float32)]
    vectors = [np.zeros((0, model.output_shape), np.float32)]
    for chunk in chunks(found, _FACES_PER_STEP):
        batch = network_inputs(chunk, (height, width), options.normalization, as_given)
        vectors.append(embed(batch if takes_tensors else on_host(batch)))
        if options.return_face:
            inputs.append(on_host(batch))
    embeddings = np.concatenate(vectors[1:] or vectors)
    finite = np.isfinite(embeddings).all(axis=1)
    if options.minmax_normalize and len(embeddings):
        embeddings = normalize_embedding_minmax(str(options.model_name), embeddings)
    if options.l2_normalize and len(embeddings):
        embeddings = normalize_embedding_l2(embeddings)
    faces = np.concatenate(inputs)
    start = 0
    for item in seen:
        own = slice(start, start + len(item.faces))
        item.embeddings = embeddings[own]
        item.inputs = faces[own] if options.return_face else None
        if not finite[own].all():
            item.error = DeepFaceError(
                f"{options.model_name} makes of {item.name} numbers that are not finite: its "
                f"weights are damaged, or too much for precision {options.precision or 'fp32'}"
            )
        start = own.stop


def network_inputs(
    faces: Sequence[DetectedFace],
    size: tuple[int, int],
    normalization: str = "base",
    as_given: bool = False,
) -> Pixels:
    """BGR crops of any size as one letterboxed, normalised batch ``(n, height, width, 3)``.

    A tensor on the device where crops are, if some of them are tensors. Crops are resized as floats
    in [0, 1], or ``as_given``: ``uint8`` is rounded then.
    """
    arrays: list[int] = []
    tensors: list[int] = []
    for number, face in enumerate(faces):
        (arrays if isinstance(face.img, np.ndarray) else tensors).append(number)
    if not tensors:
        return _inputs_of_arrays(faces, size, normalization, as_given)
    import torch

    from deepface.recognition.device_inputs import network_inputs_on_device
    from deepface.runtime.execution.transfer import as_tensor

    inputs = network_inputs_on_device(
        [as_tensor(faces[number].img) for number in tensors], size, normalization, as_given
    )
    if not arrays:
        return inputs
    others = _inputs_of_arrays([faces[n] for n in arrays], size, normalization, as_given)
    order = torch.tensor([*tensors, *arrays], device=inputs.device).argsort()
    return torch.cat([inputs, torch.from_numpy(others).to(inputs.device)])[order]


def _inputs_of_arrays(
    faces: Sequence[DetectedFace], size: tuple[int, int], normalization: str, as_given: bool
) -> NDArray[np.float32]:
    inputs = []
    for face in faces:
        crop, white = on_host(face.img), face.full_scale
        if white != 1 and not as_given:
            # In float64, as crops of extract_faces are: going through them gives the same vector.
            crop, white = crop / white, 1.0
        face_input = in_unit_range(letterbox(crop, size), white)[None]
        inputs.append(normalize_input(face_input, normalization))
    return np.concatenate(inputs).astype(np.float32, copy=False)


def describe_embeddings(item: Seen, options: Options) -> list[dict[str, Any]]:
    """A picture's faces as ``represent`` gives them."""
    areas = item.areas()
    if options.skips_detection:
        height, width = item.source.shape[:2]
        # Width and height are swapped in the published result, too.
        areas = [{"x": 0, "y": 0, "w": height, "h": width}]
    described = []
    for position, (face, area) in enumerate(zip(item.faces, areas, strict=True)):
        embedding = item.vectors[position].tolist()
        result: dict[str, Any] = {
            "embedding": embedding,
            "facial_area": area,
            "face_confidence": 0 if options.skips_detection else round(float(face.confidence), 2),
        }
        if item.inputs is not None:
            result["face"] = item.inputs[position].copy()  # a view would keep those of all others
        if options.cryptosystem is not None and _can_be_encrypted(embedding):
            result["encrypted_embedding"] = options.cryptosystem.encrypt(embedding)
        described.append(result)
    return described


def _can_be_encrypted(embedding: list[float]) -> bool:
    """Homomorphic cosine needs a non-negative vector of length 1."""
    vector = np.asarray(embedding)
    suitable = bool(vector.min() >= 0 and abs(np.linalg.norm(vector) - 1) < 1e-3)
    if not suitable:
        get_logger().warning(
            "the embedding is not encrypted: it needs non-negative values and length 1; "
            "pass minmax_normalize=True and l2_normalize=True"
        )
    return suitable
