"""Bringing a gallery up to date with its folder."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deepface.errors import DeepFaceError, EmptyDatasource
from deepface.logger import get_logger
from deepface.search.folder.datastore import Datastore
from deepface.search.folder.gallery import Face, Gallery, GalleryPicture
from deepface.search.folder.scan import Scan, place

#: Picture files -> each with its faces, none where none can be found in it; in any order.
Embed = Callable[[list[str]], Iterable[tuple[str, list[Face]]]]


@dataclass(frozen=True)
class Changes:
    """What a folder and its gallery differ in.

    ``kept`` are the rows ``(n,)`` that stay, ``hidden`` the pictures that cannot be looked at now.
    """

    scan: Scan
    kept: NDArray[np.intp]
    hidden: set[str]
    new: list[str]
    replaced: list[str]
    removed: list[str]

    @property
    def any(self) -> bool:
        """Whether there are any."""
        return bool(self.new or self.replaced or self.removed)

    @classmethod
    def between(cls, store: Datastore, gallery: Gallery) -> Changes:
        """Compare; only files that are new or changed are opened."""
        stored = gallery.hashes
        found = store.scan(stored)
        files = found.files
        hidden = {identity for identity in stored if found.hides(identity)}
        rows = zip(gallery.identity.tolist(), gallery.hash.tolist(), strict=True)
        kept = [
            row
            for row, (identity, digest) in enumerate(rows)
            if files.get(identity) == digest or identity in hidden
        ]
        return cls(
            scan=found,
            kept=np.array(kept, dtype=np.intp),
            hidden=hidden,
            new=[file for file in files if file not in stored],
            replaced=[file for file in files if file in stored and stored[file] != files[file]],
            removed=[file for file in stored if file not in files and file not in hidden],
        )

    def shown(self, gallery: Gallery) -> Gallery:
        """What of the gallery is searched now."""
        if not self.hidden:
            return gallery
        return gallery.rows(np.flatnonzero(~np.isin(gallery.identity, list(self.hidden))))


def refresh(store: Datastore, embed: Embed, silent: bool = False) -> Gallery:
    """The gallery of a folder as it is now: what is new or changed is embedded, the rest is kept.

    The rows stand in the order of :func:`deepface.search.folder.scan.scan`, whatever the order in
    which the pictures came. Work is kept picture by picture; when it is cut off, the next call goes
    on from there. Pictures that cannot be looked at for the moment keep their vectors, and are not
    among the rows.

    Raises:
        EmptyDatasource: the folder has no picture.
        DeepFaceError: the datastore cannot be used; see :meth:`Datastore.load`.
    """
    gallery = store.load()
    changes = _changes(store, gallery)
    if not changes.any:
        return changes.shown(gallery)
    with store.locked() as writable:
        if writable:  # another process may have done it in the meantime
            gallery = store.load()
            changes = _changes(store, gallery)
            if not changes.any:
                return changes.shown(gallery)
        if not silent:
            get_logger().info(
                "Found %d newly added image(s), %d removed image(s), %d replaced image(s).",
                len(changes.new),
                len(changes.removed),
                len(changes.replaced),
            )
        pictures = _embedded(store, changes, embed, writable, silent)
        refreshed = _in_order(Gallery.joined([gallery.rows(changes.kept), Gallery.of(pictures)]))
        if not writable:
            store.keep(refreshed)
        elif store.save(refreshed) and store.journal is not None:
            store.journal.delete()
    if not silent:
        get_logger().info("There are now %d representations in %s", len(refreshed), store.path.name)
    return changes.shown(refreshed)


def _changes(store: Datastore, gallery: Gallery) -> Changes:
    changes = Changes.between(store, gallery)
    if not changes.scan.files:
        left_out = changes.scan.explanation()
        raise EmptyDatasource(
            f"No item found in {store.folder}: neither the folder nor those below it have "
            f"pictures (.jpg, .jpeg, .png){'; ' if left_out else ''}{left_out}"
        )
    changes.scan.tell()
    return changes


def _embedded(
    store: Datastore, changes: Changes, embed: Embed, writable: bool, silent: bool
) -> list[GalleryPicture]:
    """The new and changed pictures, those that an earlier build got done included."""
    files = changes.scan.files
    todo = dict.fromkeys(changes.new + changes.replaced)
    journal = store.journal if writable else None
    done = {
        picture.identity: picture
        for picture in (journal.read() if journal is not None else ())
        if picture.identity in todo
        and files[picture.identity] == picture.hash
        and store.problem(picture.faces) is None
    }
    if done and not silent:
        get_logger().info("%d of them are done already, by a call that was cut off", len(done))
    pictures, refused = list(done.values()), ""
    missing = [file for file in todo if file not in done]
    try:
        for file, faces in embed(missing) if missing else ():
            if (problem := store.problem(faces)) is not None:
                refused = f"{file} is left out this time: {problem}"
                get_logger().error("%s", refused)
                continue
            pictures.append(GalleryPicture(file, files[file], faces))
            if journal is not None:
                journal.append(pictures[-1])
    finally:
        if journal is not None:
            journal.close()
    if refused and not pictures:
        raise DeepFaceError(refused)
    return pictures


def _in_order(gallery: Gallery) -> Gallery:
    identities = gallery.identity.tolist()
    order = sorted(range(len(identities)), key=lambda row: place(identities[row]))
    return gallery.rows(np.array(order, dtype=np.intp))
