"""Bringing a gallery up to date with its folder."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deepface.errors import EmptyDatasource
from deepface.images.files import begins_as_image, named_as_images
from deepface.logger import get_logger
from deepface.search.folder.datastore import Datastore
from deepface.search.folder.faces import Face, Gallery, Picture

#: Picture files -> each with its faces, none where none can be found in it; in any order.
Embed = Callable[[list[str]], Iterable[tuple[str, list[Face]]]]


@dataclass(frozen=True)
class Changes:
    """What a folder and its gallery differ in.

    ``files`` are the folder's pictures, path to hash, in the order of the gallery to be;
    ``kept`` the rows ``(n,)`` that stay.
    """

    files: dict[str, str]
    kept: NDArray[np.intp]
    new: list[str]
    replaced: list[str]
    removed: list[str]

    @property
    def any(self) -> bool:
        """Whether there are any."""
        return bool(self.new or self.replaced or self.removed)

    @classmethod
    def between(cls, folder: str, gallery: Gallery) -> Changes:
        """Compare; only files that are new or changed are opened."""
        files = {}
        stored = gallery.hashes
        for file in named_as_images(folder):
            digest = file_hash(file)
            if digest is not None and (stored.get(file) == digest or begins_as_image(file)):
                files[file] = digest
        kept = [
            row
            for row, (identity, digest) in enumerate(
                zip(gallery.identity.tolist(), gallery.hash.tolist(), strict=True)
            )
            if files.get(identity) == digest
        ]
        return cls(
            files=files,
            kept=np.array(kept, dtype=np.intp),
            new=[file for file in files if file not in stored],
            replaced=[file for file in files if file in stored and stored[file] != files[file]],
            removed=[file for file in stored if file not in files],
        )


def file_hash(file: str) -> str | None:
    """SHA-1 of size and times of a file, as published; ``None`` when it is gone.

    The contents are not read: a changed file has another time.
    """
    try:
        stat = Path(file).stat()
    except OSError:
        return None
    times = f"{stat.st_size}-{stat.st_ctime}-{stat.st_mtime}"
    return hashlib.sha1(times.encode(), usedforsecurity=False).hexdigest()


def refresh(store: Datastore, embed: Embed, silent: bool = False) -> Gallery:
    """The gallery of a folder as it is now: what is new or changed is embedded, the rest is kept.

    The rows stand in the order of :func:`deepface.images.files.yield_images`, whatever the order
    in which the pictures came. Work is kept picture by picture; when it is cut off, the next
    call goes on from there.

    Raises:
        EmptyDatasource: the folder has no picture.
        DeepFaceError: the datastore cannot be used; see :meth:`Datastore.load`.
    """
    gallery = store.load()
    changes = _changes(store, gallery)
    if not changes.any:
        return gallery
    with store.locked() as writable:
        if writable:  # another process may have done it in the meantime
            gallery = store.load()
            changes = _changes(store, gallery)
            if not changes.any:
                return gallery
        if not silent:
            get_logger().info(
                "Found %d newly added image(s), %d removed image(s), %d replaced image(s).",
                len(changes.new),
                len(changes.removed),
                len(changes.replaced),
            )
        pictures = _embedded(store, changes, embed, writable, silent)
        refreshed = _in_order(
            Gallery.joined([gallery.rows(changes.kept), Gallery.of(pictures)]), changes.files
        )
        saved = store.save(refreshed)
        if saved and store.journal is not None:
            store.journal.delete()
    if not silent:
        get_logger().info("There are now %d representations in %s", len(refreshed), store.path.name)
    return refreshed


def _changes(store: Datastore, gallery: Gallery) -> Changes:
    changes = Changes.between(store.folder, gallery)
    if not changes.files:
        raise EmptyDatasource(
            f"No item found in {store.folder}: neither the folder nor those below it have "
            "pictures (.jpg, .jpeg, .png)"
        )
    return changes


def _embedded(
    store: Datastore, changes: Changes, embed: Embed, writable: bool, silent: bool
) -> list[Picture]:
    """The new and changed pictures, those that an earlier build got done included."""
    journal = store.journal if writable else None
    todo = dict.fromkeys(changes.new + changes.replaced)
    pictures = []
    for picture in journal.read() if journal is not None else []:
        if picture.identity in todo and changes.files[picture.identity] == picture.hash:
            del todo[picture.identity]
            pictures.append(picture)
    if pictures and not silent:
        get_logger().info("%d of them are done already, by a call that was cut off", len(pictures))
    try:
        for file, faces in embed(list(todo)) if todo else ():
            picture = Picture(file, changes.files[file], faces)
            pictures.append(picture)
            if journal is not None:
                try:
                    journal.append(picture)
                except OSError as error:
                    store.warn(error)
                    journal = None
    finally:
        if journal is not None:
            journal.close()
    return pictures


def _in_order(gallery: Gallery, files: dict[str, str]) -> Gallery:
    position = {file: number for number, file in enumerate(files)}
    keys = np.array([position[identity] for identity in gallery.identity.tolist()], dtype=np.intp)
    return gallery.rows(np.argsort(keys, kind="stable"))
