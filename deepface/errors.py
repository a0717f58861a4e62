"""Every error that this package raises on purpose.

All derive from ``ValueError``, as in the published library, so that scripts which catch
``ValueError`` keep working.
"""

from __future__ import annotations

import errno
import traceback
from typing import ClassVar, Literal, TypeAlias

from deepface.logger import printable

#: What an error tells of:
#:
#: * ``"picture"``: of the input's bytes. They lead to it again: only such an error may be kept.
#: * ``"machine"``: of memory, disks, files that may be open. It may be over the next time.
#: * ``"call"``: of what was asked for, a package, weights. Every input would meet it.
#: * ``"other"``: of something else (a file that is not there, an exception of unknown origin).
Fault: TypeAlias = Literal["picture", "machine", "call", "other"]


class DeepFaceError(ValueError):
    """Base of the errors below. Its text is one line, whatever the names in it hold.

    File names, and what libraries say of a file, may have line ends and what steers a terminal:
    they become escapes, as in the log.
    """

    fault: ClassVar[Fault] = "other"

    def __init__(self, *args: object) -> None:
        super().__init__(*(printable(arg) if isinstance(arg, str) else arg for arg in args))


class ImgNotFound(DeepFaceError):
    """A picture does not exist (or none of its faces has an area)."""


class FaceOutsideImage(ImgNotFound):
    """No face that was found has an area inside its picture."""

    fault = "picture"


class PathNotFound(DeepFaceError):
    """A folder does not exist."""

    fault = "call"


class FaceNotDetected(DeepFaceError):
    """No face was found and ``enforce_detection`` is on."""

    fault = "picture"


class SpoofDetected(DeepFaceError):
    """A face is not real and ``anti_spoofing`` is on."""

    fault = "picture"


class EmptyDatasource(DeepFaceError):
    """A gallery holds nothing to compare with."""

    fault = "call"


class DimensionMismatchError(DeepFaceError):
    """Embeddings of different length were compared."""


class InvalidEmbeddingsShapeError(DeepFaceError):
    """An array of embeddings or faces has the wrong number of dimensions."""


class DataTypeError(DeepFaceError):
    """An input is of a type that cannot be an image (or an embedding)."""

    fault = "picture"


class InvalidArgument(DeepFaceError):
    """An option has a value that it cannot have."""

    fault = "call"


class UnimplementedError(DeepFaceError):
    """A name (model, task, colour, action ...) that does not exist here."""

    fault = "call"


class DuplicateEntryError(DeepFaceError):
    """A face is registered already."""


class DatabaseError(DeepFaceError):
    """A database cannot be reached, opened, read or written."""

    fault = "call"
    #: Which faces of a call that failed are stored.
    stored: str = ""


class InvalidImage(DeepFaceError):
    """What was read is no picture, or a damaged one."""

    fault = "picture"


class ImageTooLarge(DeepFaceError):
    """A picture exceeds the limit on bytes or pixels."""

    fault = "picture"


class ImageFetchError(DeepFaceError):
    """A picture could not be fetched from its URL, or the URL is refused."""


class MachineError(DeepFaceError):
    """The machine failed, whatever the input is: memory, a disk, too many open files or threads."""

    fault = "machine"


class WeightsError(DeepFaceError):
    """A weight file is missing, damaged or does not fit its network."""

    fault = "call"


class DeviceNotAvailable(DeepFaceError, RuntimeError):
    """There is no such device on this machine."""

    fault = "call"


class MissingPackageError(DeepFaceError, ImportError):
    """An optional package is not installed; the message gives the command that installs it."""

    fault = "call"


#: What an ``OSError`` of these says is true of a name or of rights, not of the machine.
_ABOUT_NAMES = (
    *(errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.ELOOP),
    *(errno.EINVAL, errno.EACCES, errno.EPERM),
)
#: What libraries say, in exceptions of no class of its own, when the machine fails them.
_FAILURES = (
    "out of memory",
    "insufficient memory",
    "not enough memory",
    "allocate memory",
    "failed to allocate",
    "bad_alloc",
    "start new thread",
    "too many open files",
)


def fault_of(error: BaseException) -> Fault:
    """What an exception, ours or not, tells of."""
    if isinstance(error, DeepFaceError):
        return error.fault
    if isinstance(error, ImportError):
        return "call"
    if isinstance(error, OSError):
        # Without a number it is no call of the system that failed: Pillow's for damaged data, say.
        return "other" if error.errno in (None, *_ABOUT_NAMES) else "machine"
    text = str(error).lower()
    if isinstance(error, MemoryError) or any(failure in text for failure in _FAILURES):
        return "machine"
    return "other"


def reason_of(error: BaseException) -> str:
    """What an exception says, for a message; never empty."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, MemoryError):
        return f"out of memory: {error}" if str(error) else "out of memory"
    if isinstance(error, KeyError) or not str(error):  # the bare key says nothing
        return repr(error)
    return str(error)


def as_ours(error: Exception, during: str) -> DeepFaceError:
    """``error`` if it is one of the above, else one that says ``during`` what it came.

    That is a :class:`MachineError` where the machine failed; its cause is ``error``.
    """
    if isinstance(error, DeepFaceError):
        return error
    kind = MachineError if fault_of(error) == "machine" else DeepFaceError
    return _caused(kind(f"{during}: {reason_of(error)}"), error)


def with_item(error: Exception, index: int, name: str) -> DeepFaceError:
    """The same error, naming the item of a list that caused it; its cause is ``error``.

    The class is kept, so that callers catch what they always caught; what is not ours becomes so,
    as in :func:`as_ours`. Errors of many items may be kept: they do not keep the items' pictures.
    """
    where = f"item {index} ({name})"
    detached = _detached(error)
    if isinstance(error, DeepFaceError):
        return _caused(type(error)(f"{where}: {error}"), detached)
    return as_ours(detached, where)


def without_item(error: Exception) -> Exception:
    """What :func:`with_item` was given; others as they are."""
    cause = error.__cause__
    return cause if isinstance(cause, Exception) and str(error).startswith("item ") else error


def _detached(error: Exception) -> Exception:
    """An error without the frames of its traceback, and thus without the variables in them.

    Of an error that is not ours the traceback remains as text, which Python (3.11) shows.
    """
    if error.__traceback__ is not None and not isinstance(error, DeepFaceError):
        notes: list[str] = getattr(error, "__notes__", [])
        text = "".join(traceback.format_tb(error.__traceback__))
        error.__notes__ = [*notes, f"Raised here:\n{text}"]
    links: list[BaseException | None] = [error]
    while links:
        link = links.pop()
        if link is not None and link.__traceback__ is not None:
            link.__traceback__ = None
            links += [link.__cause__, link.__context__]
    return error


def _caused(error: DeepFaceError, cause: Exception) -> DeepFaceError:
    error.__cause__ = cause
    return error
