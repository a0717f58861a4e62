"""Faces to vectors: ``represent``, and the stream of embeddings that ``verify`` uses too."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepface.detection.faces import LANDMARKS_ALIGNMENT, PUBLISHED_BORDER, Align
from deepface.errors import SpoofDetected, with_item
from deepface.images.batch import Batch, open_batch
from deepface.logger import get_logger
from deepface.pipeline.faces import FaceOptions, ImageFaces, facial_area, iter_faces
from deepface.recognition.model import FacialRecognition
from deepface.recognition.normalization import normalize_embedding_l2, normalize_embedding_minmax
from deepface.recognition.preprocessing import NORMALIZATIONS, normalize_input, resize_image
from deepface.recognition.registry import RECOGNIZERS
from deepface.recognition.templates import template_of
from deepface.runtime.batching import DEFAULT_BATCH_SIZE, chunks

#: Faces that are letterboxed and embedded at a time: bounds memory for pictures of crowds.
_FACES_PER_STEP = 128


@dataclass(frozen=True)
class EmbeddingOptions:
    """How faces become vectors; the arguments of the public functions."""

    model_name: str = "VGG-Face"
    normalization: str = "base"
    l2_normalize: bool = False
    minmax_normalize: bool = False
    precision: str | None = None

    def __post_init__(self) -> None:
        RECOGNIZERS.check(self.model_name)
        if self.normalization not in NORMALIZATIONS:
            raise ValueError(
                f"unimplemented normalization type - {self.normalization}; "
                f"use one of {', '.join(NORMALIZATIONS)}"
            )


@dataclass(frozen=True)
class Embedded:
    """A picture's faces, their network inputs ``(n, H, W, 3)`` float32 and vectors ``(n, d)``."""

    found: ImageFaces
    inputs: NDArray[np.float32]
    embeddings: NDArray[Any]


def iter_embeddings(
    batch: Batch, faces: FaceOptions, options: EmbeddingOptions
) -> Iterator[list[Embedded]]:
    """Find and embed the faces of all pictures of a batch, a chunk at a time, in input order.

    Raises:
        SpoofDetected: anti-spoofing is on and a face is not real.
        DeepFaceError: as :func:`deepface.pipeline.faces.iter_faces`.
    """
    model = RECOGNIZERS.build(options.model_name, faces.device, precision=options.precision)
    for chunk in iter_faces(batch, faces):
        for item in chunk:
            refuse_spoofs(item, batch.single)
        crops = [face.img for item in chunk for face in item.faces]
        inputs, embeddings = _embed(model, crops, options)
        start = 0
        step = []
        for item in chunk:
            own = slice(start, start + len(item.faces))
            step.append(Embedded(item, inputs[own], embeddings[own]))
            start = own.stop
        yield step


def _embed(
    model: FacialRecognition, crops: list[NDArray[Any]], options: EmbeddingOptions
) -> tuple[NDArray[np.float32], NDArray[Any]]:
    width, height = model.input_shape
    inputs, embeddings = [], []
    for some in chunks(crops, _FACES_PER_STEP):
        inputs.append(network_inputs(some, (height, width), options.normalization))
        embeddings.append(model.embed(inputs[-1]))
    if not inputs:
        return np.zeros((0, height, width, 3), np.float32), np.zeros((0, model.output_shape))
    vectors = np.concatenate(embeddings)
    if options.minmax_normalize:
        vectors = normalize_embedding_minmax(options.model_name, vectors)
    if options.l2_normalize:
        vectors = normalize_embedding_l2(vectors)
    return np.concatenate(inputs), vectors


def network_inputs(
    crops: Any, size: tuple[int, int], normalization: str = "base"
) -> NDArray[np.float32]:
    """BGR crops of any size as one letterboxed, normalised batch ``(n, height, width, 3)``."""
    return np.concatenate(
        [normalize_input(resize_image(unit_range(crop), size), normalization) for crop in crops]
    ).astype(np.float32, copy=False)


def unit_range(crop: NDArray[Any]) -> NDArray[Any]:
    """A crop in [0, 1]: divided by 255 unless it is in that range already.

    In float64, as crops of ``extract_faces`` are: going through them gives the same vector.
    """
    if crop.max() > 1:
        return crop / 255  # type: ignore[no-any-return]
    return crop if crop.dtype == np.float64 else np.asarray(crop, dtype=np.float32)


def refuse_spoofs(item: ImageFaces, single: bool) -> None:
    """Raise ``SpoofDetected`` when a face of the picture was judged not to be real."""
    if item.liveness is not None and not all(face.is_real for face in item.liveness):
        error = SpoofDetected(f"Spoof detected in {item.image.name}: a face there is not real")
        raise error if single else with_item(error, item.image.index, item.image.name)


def represent(
    img_path: Any,
    model_name: str = "VGG-Face",
    enforce_detection: bool = True,
    detector_backend: str = "opencv",
    align: Align = True,
    expand_percentage: int = 0,
    normalization: str = "base",
    anti_spoofing: bool = False,
    max_faces: int | None = None,
    l2_normalize: bool = False,
    minmax_normalize: bool = False,
    return_face: bool = False,
    *,
    cryptosystem: Any = None,
    border: float = PUBLISHED_BORDER,
    batch_size: int = DEFAULT_BATCH_SIZE,
    device: str | None = None,
    precision: str | None = None,
    progress: bool = False,
    **detector_options: Any,
) -> list[Any]:
    """See :func:`deepface.DeepFace.represent`."""
    faces = FaceOptions(
        detector_backend=detector_backend,
        enforce_detection=enforce_detection,
        align=align,
        expand_percentage=expand_percentage,
        anti_spoofing=anti_spoofing,
        max_faces=max_faces,
        border=border,
        batch_size=batch_size,
        device=device,
        progress=progress,
        detector_options=detector_options,
        face_cut=template_of(model_name) if align == LANDMARKS_ALIGNMENT else None,
    )
    options = EmbeddingOptions(model_name, normalization, l2_normalize, minmax_normalize, precision)
    batch = open_batch(img_path)
    results = [
        _describe(embedded, detector_backend == "skip", return_face, cryptosystem)
        for step in iter_embeddings(batch, faces, options)
        for embedded in step
    ]
    return results[0] if batch.single else results


def _describe(
    embedded: Embedded, skipped: bool, return_face: bool, cryptosystem: Any
) -> list[dict[str, Any]]:
    picture = embedded.found.image.source
    items = []
    for position, face in enumerate(embedded.found.faces):
        embedding = embedded.embeddings[position].tolist()
        item: dict[str, Any] = {"embedding": embedding}
        if skipped:  # width and height are swapped in the published result, too
            height, width = picture.shape[:2]
            item["facial_area"] = {"x": 0, "y": 0, "w": height, "h": width}
            item["face_confidence"] = 0
        else:
            item["facial_area"] = facial_area(face.facial_area, picture)
            item["face_confidence"] = round(float(face.confidence), 2)
        if return_face:
            item["face"] = embedded.inputs[position]
        if cryptosystem is not None and _can_be_encrypted(embedding):
            item["encrypted_embedding"] = cryptosystem.encrypt(embedding)
        items.append(item)
    return items


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
