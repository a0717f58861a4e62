"""The pictures that are in a folder now, and what is left out of it."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePath

from deepface.errors import DeepFaceError
from deepface.images.files import OTHER_SUFFIXES, SUFFIXES
from deepface.images.header import detect_image_format
from deepface.logger import get_logger

#: Why other pictures are left out, as published.
TAKEN = "galleries take .jpg, .jpeg and .png only"
#: Files that a message names, of each kind.
_EXAMPLES = 3
#: What was last said of a folder, so that it is said once and not at every search.
_told: dict[str, str] = {}


@dataclass
class Scan:
    """What a walk through a folder and those below it found.

    ``files`` are the pictures, path to :func:`file_hash`, in the order of the walk: sorted, the
    files of a folder before those of the folders in it. ``unread`` are files and folders that are
    there and cannot be looked at now. ``left_out`` are the others that look like pictures, by
    reason.
    """

    folder: str
    files: dict[str, str] = field(default_factory=dict)
    unread: dict[str, str] = field(default_factory=dict)
    left_out: dict[str, list[str]] = field(default_factory=dict)

    def hides(self, identity: str) -> bool:
        """Whether a picture may be there, but cannot be looked at now."""
        if not self.unread or identity in self.files:
            return False
        return identity in self.unread or any(
            str(folder) in self.unread for folder in PurePath(identity).parents
        )

    def tell(self) -> None:
        """Say what is left out, unless that was said before."""
        text = self.explanation()
        if text and _told.get(self.folder) != text:
            get_logger().warning("Of the folder %s %s", self.folder, text)
        if text:
            _told[self.folder] = text
        else:
            _told.pop(self.folder, None)

    def explanation(self) -> str:
        """Counts and examples of what is left out; nothing where nothing is."""
        parts = []
        if self.unread:
            names = [f"{name} ({reason})" for name, reason in self.unread.items()]
            parts.append(
                f"{len(names)} cannot be read now: {_some(names)}; what is known of them is kept, "
                "but not searched"
            )
        parts += [
            f"{len(names)} left out because {reason}: {_some(names)}"
            for reason, names in self.left_out.items()
        ]
        return "; ".join(parts)


def scan(folder: str, stored: Mapping[str, str]) -> Scan:
    """Walk through a folder; files whose hash is that of ``stored`` are not opened.

    Raises:
        DeepFaceError: the folder itself cannot be listed.
    """
    found = Scan(folder)

    def cannot_list(error: OSError) -> None:
        if isinstance(error, (FileNotFoundError, NotADirectoryError)):
            return  # it went while the walk was on
        if error.filename == folder:
            raise DeepFaceError(f"the folder {folder} cannot be read: {error.strerror}") from error
        found.unread[str(PurePath(error.filename))] = error.strerror or str(error)

    for path, folders, files in os.walk(folder, onerror=cannot_list):
        folders.sort()
        for name in folders:
            link = os.path.join(path, name)  # noqa: PTH118 - Path would drop a leading "./"
            if os.path.islink(link):  # noqa: PTH114
                found.left_out.setdefault("they are links to folders", []).append(link)
        for name in sorted(files):
            file = os.path.join(path, name)  # noqa: PTH118
            if name.lower().endswith(SUFFIXES):
                _look_at(file, stored.get(file), found)
            elif name.lower().endswith(OTHER_SUFFIXES):
                found.left_out.setdefault(TAKEN, []).append(file)
    return found


def place(path: str, separator: str = os.sep) -> list[tuple[bool, str]]:
    """Where the walk comes to a file: folders come after the files beside them."""
    *folders, name = path.split(separator)  # a Path per picture is slow
    return [*((True, folder) for folder in folders), (False, name)]


def _look_at(file: str, stored: str | None, found: Scan) -> None:
    try:
        status = os.stat(file)  # noqa: PTH116
        if stat.S_ISREG(status.st_mode):
            digest = _hash(status)
            reason = None if digest == stored else _why_not(file)
        else:
            reason = "they are no regular files"
    except FileNotFoundError:
        if not os.path.islink(file):  # noqa: PTH114 - gone while the walk was on
            return
        reason = "they are links to nothing"
    except OSError as error:
        found.unread[str(PurePath(file))] = error.strerror or str(error)
        return
    if reason is None:
        found.files[file] = digest
    else:
        found.left_out.setdefault(reason, []).append(file)


def _why_not(file: str) -> str | None:
    """Why a file is no picture, by its first bytes."""
    with Path(file).open("rb") as stream:
        begin = stream.read(8)
    if not begin:
        return "they are empty"
    return None if detect_image_format(begin) else "their content is neither JPEG nor PNG"


def file_hash(file: str) -> str | None:
    """SHA-1 of size and times of a file, as published; ``None`` when it is gone.

    The contents are not read: a changed file has another time.
    """
    try:
        return _hash(Path(file).stat())
    except OSError:
        return None


def _hash(status: os.stat_result) -> str:
    times = f"{status.st_size}-{status.st_ctime}-{status.st_mtime}"
    return hashlib.sha1(times.encode(), usedforsecurity=False).hexdigest()


def _some(names: list[str]) -> str:
    more = len(names) - _EXAMPLES
    return ", ".join(names[:_EXAMPLES]) + (f" and {more} more" if more > 0 else "")
