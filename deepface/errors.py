"""Every error that this package raises on purpose.

All derive from ``ValueError``, as in the published library, so that scripts which catch
``ValueError`` keep working.
"""

from __future__ import annotations


class DeepFaceError(ValueError):
    """Base of the errors below."""


class ImgNotFound(DeepFaceError):
    """A picture does not exist, or none of its faces has an area."""


class PathNotFound(DeepFaceError):
    """A folder does not exist."""


class FaceNotDetected(DeepFaceError):
    """No face was found and ``enforce_detection`` is on."""


class SpoofDetected(DeepFaceError):
    """A face is not real and ``anti_spoofing`` is on."""


class EmptyDatasource(DeepFaceError):
    """A gallery holds nothing to compare with."""


class DimensionMismatchError(DeepFaceError):
    """Embeddings of different length were compared."""


class InvalidEmbeddingsShapeError(DeepFaceError):
    """An array of embeddings or faces has the wrong number of dimensions."""


class DataTypeError(DeepFaceError):
    """An input is of a type that cannot be an image (or an embedding)."""


class UnimplementedError(DeepFaceError):
    """A name (model, task, colour, action ...) that does not exist here."""


class DuplicateEntryError(DeepFaceError):
    """A face is registered already."""


class DatabaseError(DeepFaceError):
    """A database cannot be reached, opened, read or written."""


class ImageTooLarge(DeepFaceError):
    """A picture exceeds the limit on bytes or pixels."""


class ImageFetchError(DeepFaceError):
    """A picture could not be fetched from its URL, or the URL is refused."""


class WeightsError(DeepFaceError):
    """A weight file is missing, damaged or does not fit its network."""


class MissingPackageError(DeepFaceError, ImportError):
    """An optional package is not installed; the message gives the command that installs it."""


def with_item(error: Exception, index: int, name: str) -> Exception:
    """The same error, naming the item of a list that caused it.

    The class is kept, so that callers catch what they always caught; an ``OSError`` and
    others whose constructors are special become a ``DeepFaceError``.
    """
    kind = type(error) if isinstance(error, DeepFaceError) else DeepFaceError
    return kind(f"item {index} ({name}): {error}")
