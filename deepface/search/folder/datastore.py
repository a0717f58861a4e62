"""The file that keeps a gallery, in the folder of its pictures."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np
from filelock import Timeout

from deepface.errors import (
    DeepFaceError,
    DimensionMismatchError,
    MachineError,
    MissingPackageError,
    reason_of,
)
from deepface.logger import get_logger
from deepface.runtime import safe_files
from deepface.search.folder import formats
from deepface.search.folder.gallery import Face, Gallery
from deepface.search.folder.journal import Journal
from deepface.search.folder.scan import Scan, scan
from deepface.search.folder.signature import SignatureError, Signatures

if TYPE_CHECKING:
    from deepface.search.folder.remote import RemoteFolder

#: Galleries that are kept in memory, ready for the next query.
_MOST_KEPT = 4

_EMPTY = Gallery.of([])
#: What tells one version of a file from the next: device, inode, size, time of change.
_Version = tuple[int, int, int, int]
_kept: OrderedDict[tuple[str, str], tuple[_Version | None, Gallery]] = OrderedDict()
_kept_lock = Lock()


def forget() -> None:
    """Keep no gallery in memory any longer."""
    with _kept_lock:
        _kept.clear()


class Datastore:
    """One gallery on disk.

    Args:
        db_path: the folder, as the caller wrote it: paths of pictures start with it.
        name: the file's name without its ending; it tells how the faces were embedded.
        kind: the format.
        dimensions: length of the vectors that belong in it.
        credentials: a ``lightdsa.LightDSA`` object, which signs the file and checks it.
        remote: the folder, where it is elsewhere; ``db_path`` is then its name, and the file is
            kept on this machine.
    """

    def __init__(
        self,
        db_path: str,
        name: str,
        kind: str,
        dimensions: int,
        credentials: Any = None,
        remote: RemoteFolder | None = None,
    ) -> None:
        formats.check_format(kind)
        self.folder = db_path
        self._remote = remote
        place = Path(db_path) if remote is None else remote.cache()
        self.path = place / f"{name}.{kind}"
        self._name = name
        self._kind = kind
        self._dimensions = dimensions
        self._prefix = os.path.join(db_path, "")  # noqa: PTH118 - Path would drop a leading "./"
        self._is_signed = credentials is not None
        self._signatures = Signatures(self.path, credentials)
        self._key = (str(self.path.resolve()), self._prefix)
        #: ``None`` for a signed one: what nobody has signed is not to get into it.
        self.journal = None if self._is_signed else Journal(self._beside("journal"), self._prefix)

    def scan(self, stored: Mapping[str, str]) -> Scan:
        """What is in the folder now; see :func:`deepface.search.folder.scan.scan`."""
        return scan(self.folder, stored) if self._remote is None else self._remote.scan(stored)

    def load(self) -> Gallery:
        """The gallery as it was last saved; an empty one when there is no file.

        Raises:
            DeepFaceError: the file is damaged, something else, of another model, or its signature
                is not valid, or there are no credentials to check it by. It is left as it is.
        """
        try:
            if not self._is_signed:
                self._signatures.refuse_unsigned()
            version = self._version()
        except OSError as error:  # the folder may not be entered
            raise DeepFaceError(
                f"the folder {self.folder} cannot be read: {error.strerror or error}"
            ) from error
        with _kept_lock:
            kept = _kept.get(self._key)
        if kept is not None and kept[0] == version and not self._is_signed:
            return kept[1]
        if version is None:
            return _EMPTY
        gallery = self._read()
        self._keep(gallery, version)
        return gallery

    def save(self, gallery: Gallery) -> bool:
        """Put a gallery in place of the one that is there, while :meth:`locked`.

        Where that cannot be done, the gallery is kept in memory for this process, with a warning,
        and the result is false.
        """
        try:
            self._write(gallery)
            saved = True
        except OSError as error:
            self.warn(error)
            saved = False
        self.keep(gallery)
        return saved

    def keep(self, gallery: Gallery) -> None:
        """Keep a gallery in memory, for this process and as long as the file is what it is."""
        self._keep(gallery, self._version())

    @contextmanager
    def locked(self) -> Iterator[bool]:
        """Keep other processes and threads from changing the file.

        Gives whether that is possible; it is not where the folder cannot be written to.
        """
        with ExitStack() as stack:
            held = True
            path = self._beside("lock")
            try:
                if self._remote is not None:
                    path.parent.mkdir(parents=True, exist_ok=True)
                try:
                    stack.enter_context(safe_files.locked(path, timeout=0))
                except Timeout:
                    get_logger().warning(
                        "another process is working on %s: waiting for it", self.path
                    )
                    stack.enter_context(safe_files.locked(path))
            except OSError as error:
                self.warn(error)
                held = False
            yield held

    def problem(self, faces: Sequence[Face]) -> str | None:
        """Why these faces are not to get into the datastore; nothing where they may."""
        for face in faces:
            if face.embedding.shape != (self._dimensions,):
                return (
                    f"a vector of it is of shape {face.embedding.shape}, not of {self._dimensions}"
                )
            if not np.isfinite(face.embedding).all():
                return "it has a vector with values that are not finite"
        return None

    def warn(self, error: OSError) -> None:
        """Say that nothing can be written, and what follows from it."""
        get_logger().warning(
            "%s cannot be written (%s): the gallery is kept in memory only, and built again by "
            "the next process",
            self.path,
            error.strerror or error,
        )

    def _read(self) -> Gallery:
        try:
            if not self.path.is_file():
                raise DeepFaceError("it is no regular file")
            with self.path.open("rb") as file:
                if self._is_signed:
                    self._signatures.verify(file)
                gallery, notes = formats.read(file, self._kind)
        except (MissingPackageError, SignatureError):
            raise
        except DeepFaceError as error:
            raise DeepFaceError(
                f"datastore {self.path} cannot be used: {error}. Consider to delete it; it is "
                "then built anew."
            ) from error
        except Exception as error:  # not of what is in it
            raise MachineError(
                f"datastore {self.path} cannot be read now: {reason_of(error)}. It was left as it "
                "is: check that you may read it, the disk and the memory."
            ) from error
        if notes.get("settings", self._name) != self._name:
            raise DeepFaceError(
                f"datastore {self.path} was made as {notes['settings']}, with another model or "
                "other settings. Consider to delete it, or give it back its name."
            )
        if gallery.has_embedding.any() and gallery.dimensions != self._dimensions:
            raise DimensionMismatchError(
                f"datastore {self.path} has vectors of {gallery.dimensions} dimensions, but the "
                f"model's have {self._dimensions}: another model made it. Consider to delete it."
            )
        return _moved(gallery, notes.get("prefix", self._prefix), self._prefix)

    def _write(self, gallery: Gallery) -> None:
        notes = {"settings": self._name, "prefix": self._prefix}
        temporary = self._beside("tmp")  # one name for all: whoever writes has the lock
        try:
            with safe_files.create(temporary) as file:
                formats.write(gallery, notes, self._kind, file)
                file.flush()
                os.fsync(file.fileno())
                if self._is_signed:
                    self._signatures.sign(file)
                else:
                    self._signatures.delete()  # that of a datastore that is no more
            temporary.replace(self.path)
        except OSError:
            with suppress(OSError):
                temporary.unlink()
            raise

    def _version(self) -> _Version | None:
        try:
            stat = self.path.stat()
        except FileNotFoundError:
            return None
        return stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns

    def _keep(self, gallery: Gallery, version: _Version | None) -> None:
        with _kept_lock:
            _kept[self._key] = (version, gallery)
            _kept.move_to_end(self._key)
            while len(_kept) > _MOST_KEPT:
                _kept.popitem(last=False)

    def _beside(self, ending: str) -> Path:
        return self.path.with_name(f"{self.path.name}.{ending}")


def _moved(gallery: Gallery, before: str, now: str) -> Gallery:
    """The same pictures, whose folder is now reached by another path."""
    if before == now:
        return gallery
    identity = [now + path.removeprefix(before) for path in gallery.identity.tolist()]
    return replace(gallery, identity=np.array(identity, dtype=np.str_))
