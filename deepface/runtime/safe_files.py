"""Writing into folders that others can write to: through no link, and into regular files only.

A link that stands where a file is about to be written would lead the writing to a file elsewhere,
and a pipe would hold it up. Only the last part of a path is looked at: which folder it is in is the
caller's choice. What is refused is an ``OSError`` that says why and has the file's name.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from filelock import FileLock

#: Not every system has each of them.
_SAFELY = sum(
    getattr(os, name, 0) for name in ("O_BINARY", "O_CLOEXEC", "O_NOFOLLOW", "O_NONBLOCK")
)
_NEW = os.O_CREAT | os.O_EXCL | _SAFELY
_EXISTING = {"rb": os.O_RDONLY, "r+b": os.O_RDWR, "ab": os.O_WRONLY | os.O_APPEND}


def digest(file: IO[bytes], algorithm: str = "sha256") -> str:
    """The hash of a whole open file, in hexadecimal digits; Python 3.10 has no ``file_digest``."""
    file.seek(0)
    found = hashlib.new(algorithm)
    while block := file.read(1 << 20):
        found.update(block)
    return found.hexdigest()


@contextlib.contextmanager
def naming(path: Path | str) -> Iterator[None]:
    """Give an ``OSError`` of the block the name of the file: that of a write, to a disk that is
    full, say, has none.
    """
    try:
        yield
    except OSError as error:
        if error.filename is None and error.errno is not None:
            error.filename = str(path)
        raise


def create(path: Path) -> IO[bytes]:
    """Open a new file to write and read; the file or link that has its name is removed.

    Whoever may create the same file at the same time needs a lock: see :func:`locked`.
    """
    _check_name(path, link_is_fine=True)
    path.unlink(missing_ok=True)
    return os.fdopen(os.open(path, os.O_RDWR | _NEW, 0o666), "w+b")


@contextlib.contextmanager
def replacing_by_name(path: Path) -> Iterator[Path]:
    """The name of a new, empty file that takes the place of ``path`` at the block's end.

    It does not where the block fails. The name is beside ``path`` and has its suffix: readers of
    ``path`` see what was there, or all of what is new. A link there is replaced, not followed.
    """
    # Short and unlike any other, however long the name of ``path`` is.
    scratch = path.with_name(f".{secrets.token_hex(8)}{path.suffix[:16]}")
    try:
        create(scratch).close()
        yield scratch
        _check_name(path, link_is_fine=True)
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """The file of :func:`replacing_by_name`, open to write and read."""
    with naming(path), replacing_by_name(path) as scratch, create(scratch) as file:
        yield file


def write(path: Path, content: bytes) -> None:
    """:func:`replacing`, for content that is at hand."""
    with replacing(path) as file:
        file.write(content)


def open_existing(path: Path, mode: str) -> io.FileIO:
    """Open a file, ``"rb"``, ``"r+b"`` or ``"ab"``, without a buffer: lines are read through one.

    A file that is written to has no second name.
    """
    _check_name(path)
    descriptor = os.open(path, _EXISTING[mode] | _SAFELY)
    try:  # again, because another file may have the name by now
        _check(os.fstat(descriptor), path, one_name=mode != "rb")
        return io.FileIO(descriptor, mode)
    except BaseException:
        os.close(descriptor)
        raise


def open_to_append(path: Path) -> io.FileIO:
    """Open a file to append to it, a new one where there is none, without a buffer.

    What is written is in the file at once; a disk that is full may take only a part of it, which
    ``write`` returns, and no error.
    """
    try:
        return open_existing(path, "ab")
    except FileNotFoundError:
        return io.FileIO(os.open(path, _EXISTING["ab"] | _NEW, 0o666), "ab")


@contextlib.contextmanager
def locked(path: Path, timeout: float = -1) -> Iterator[None]:
    """Hold the lock file ``path``, which is gone afterwards.

    Raises:
        filelock.Timeout: somebody else has it for longer than ``timeout`` seconds.
        OSError: it cannot be made here, or it is something else.
    """
    _check_name(path, one_name=True)
    with FileLock(path, timeout=timeout, thread_local=False):
        try:
            yield
        finally:
            # While it is held: who waits for it notices, and makes a new one. Windows removes no
            # file that is open.
            with contextlib.suppress(OSError):
                path.unlink()


def _check_name(path: Path, link_is_fine: bool = False, one_name: bool = False) -> None:
    """Refuse what has the name, unless nothing has."""
    with contextlib.suppress(FileNotFoundError):
        found = path.lstat()
        if not (link_is_fine and stat.S_ISLNK(found.st_mode)):
            _check(found, path, one_name)


def _check(found: os.stat_result, path: Path, one_name: bool) -> None:
    if stat.S_ISLNK(found.st_mode):
        raise OSError(errno.ELOOP, "a symbolic link has the name", str(path))
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "what has the name is no regular file", str(path))
    if one_name and found.st_nlink > 1:
        raise OSError(errno.EMLINK, "the file has another name, too (a hard link)", str(path))
