"""The whole walk: sources to pictures to faces to results, one batch after the other.

The only room that knows every other. Nothing here holds more pictures than one batch.
"""

from deepface.pipeline.demography import analyze
from deepface.pipeline.faces import FaceOptions, ImageFaces, extract_faces, iter_faces
from deepface.pipeline.representation import EmbeddingOptions, iter_embeddings, represent
from deepface.pipeline.verification import verify

__all__ = [
    "EmbeddingOptions",
    "FaceOptions",
    "ImageFaces",
    "analyze",
    "extract_faces",
    "iter_embeddings",
    "iter_faces",
    "represent",
    "verify",
]
