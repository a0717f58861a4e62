"""What a caller's string or path names on the disk, looked up so that no name does any harm."""

from __future__ import annotations

import errno
import os
import re
import stat
from contextlib import suppress
from io import FileIO

from deepface.errors import DeepFaceError, ImgNotFound, as_ours

DATA_URI = "data:image/"
#: No file system knows longer paths. Longer strings are data, and are not looked up.
LONGEST_PATH = 32_767
#: Longer strings are base64, most likely, of which messages repeat the beginning.
_LONGEST_NAME = 4_096
_BEGINNING = 300
_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")
#: What else than a regular file a path can lead to.
_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
#: For reading, as bytes, and without waiting.
_READING = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)
_NO_SUCH_FILE = frozenset([errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP])


def path_name(path: str) -> str:
    """What messages call a path or an address: without secrets, and cut where it is long."""
    if _ADDRESS.match(path[:100]):
        from deepface.images.fetch import without_secrets

        path = without_secrets(path)
    return path if len(path) <= _LONGEST_NAME else f"{path[:_BEGINNING]}..."


def path_of(item: object) -> str | None:
    """A string, or what a path object says; ``None`` for anything else, also one that fails."""
    if isinstance(item, os.PathLike):
        with suppress(Exception):  # whatever a class of somebody's does
            return os.fsdecode(item)
    return item if isinstance(item, str) else None


def is_folder(item: object) -> bool:
    """Whether a string or path names a folder; whatever cannot be looked up does not."""
    path = path_of(item)
    if path is None or len(path) > LONGEST_PATH:
        return False
    return os.path.isdir(path)  # noqa: PTH112 - Path("") is ".", and raises what the system says


def not_a_file(mode: int) -> str | None:
    """What a path of this ``st_mode`` leads to, where that is no regular file."""
    return None if stat.S_ISREG(mode) else _KINDS.get(stat.S_IFMT(mode), "not a regular file")


def open_file(path: str) -> FileIO:
    """A regular file, unbuffered; raises as :func:`descriptor`."""
    return FileIO(descriptor(path)[0])


def descriptor(path: str) -> tuple[int, os.stat_result]:
    """A regular file, open for reading, and what the system knows of it.

    Nothing else is opened, so that no pipe or device holds us up.

    Raises:
        ImgNotFound: there is none; the message says what there is instead.
        DeepFaceError: it may not be read.
        MachineError: the disk failed.
    """
    name = path_name(path)
    if len(path) > LONGEST_PATH:
        raise _missing(path, name)
    try:
        kind = not_a_file(os.stat(path).st_mode)  # noqa: PTH116 - Path("") is "."
        if kind is None:
            file = os.open(path, _READING)
            status = os.fstat(file)
            kind = not_a_file(status.st_mode)
            if kind is None:
                return file, status
            os.close(file)  # something else has taken its place
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno not in _NO_SUCH_FILE:
            raise as_ours(error, f"Exception while loading {name}") from error
        raise _missing(path, name, error) from error
    raise ImgNotFound(f"{name} cannot be read as a file: it is {kind}")


def _missing(path: str, name: str, error: Exception | None = None) -> DeepFaceError:
    """The error for a string that names no file: what it may have been meant to be."""
    if not path:
        return ImgNotFound("an empty string names no file")
    if address := _ADDRESS.match(path[:100]):
        scheme = address[1].lower()
        hints = dict.fromkeys(("http", "https"), "videos are read from files: download it")
        hint = (hints | {"file": "pass its path"}).get(scheme, "only http and https are fetched")
        return ImgNotFound(f"{name}: {scheme}:// is no address of a file here: {hint}")
    hint = ""
    if isinstance(error, OSError) and error.errno in (errno.ENAMETOOLONG, errno.ELOOP):
        hint = f": {error.strerror}"
    elif error is not None and os.path.islink(path):  # noqa: PTH114 - false for no path at all
        hint = ": it is a link to nothing"
    if len(path) > _BEGINNING:
        hint += f"; an encoded picture in a string must start with {DATA_URI}"
    return ImgNotFound(f"Confirm that {name} exists{hint}")
