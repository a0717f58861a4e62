"""Picture files in a folder."""

from __future__ import annotations

import contextlib
import os
import uuid
from collections import Counter
from collections.abc import Iterator

from deepface.errors import DeepFaceError, as_ours, reason_of
from deepface.images.header import detect_image_format
from deepface.images.paths import not_a_file, open_file
from deepface.images.video import is_video
from deepface.logger import get_logger

#: Endings of pictures' names, in lower case.
SUFFIXES = (".jpg", ".jpeg", ".png")
#: Endings of other pictures, which are read when they are named and do not count in a folder.
OTHER_SUFFIXES = (
    ".webp", ".bmp", ".tif", ".tiff", ".gif", ".avif", ".heic", ".heif", ".jp2", ".jpe", ".jfif",
)  # fmt: skip


def yield_images(path: str | os.PathLike[str]) -> Iterator[str]:
    """Paths of the JPEG and PNG files in a folder and the folders below it, sorted in each.

    A file counts when both its suffix (.jpg, .jpeg or .png) and its first bytes say so. A path
    starts as ``path`` was written. A folder that does not exist holds none.
    """
    return (file for file in named_as_images(path) if begins_as_image(file))


def list_images(path: str | os.PathLike[str]) -> list[str]:
    """What :func:`yield_images` yields, as a list."""
    return list(yield_images(path))


def has_suffix_of_picture(path: str | os.PathLike[str]) -> bool:
    """Whether a name is one of those that count in a folder."""
    return os.fsdecode(path)[-5:].lower().endswith(SUFFIXES)


def record_name(name: str) -> str:
    """What a record is called after the picture that it was made of: by its file or address, and by
    a new UUID where it has none, as published.
    """
    return name if has_suffix_of_picture(name) else str(uuid.uuid4())


def named_as_images(path: str | os.PathLike[str], aloud: bool = False) -> Iterator[str]:
    """The files of :func:`yield_images` by suffix alone: none of them is opened.

    Only regular files count. What else has such a name is left out with a warning; links to nothing
    are not, so that opening them tells.

    Args:
        path: the folder.
        aloud: for a folder that somebody has named: warn where it holds no picture, and of other
            pictures, videos and linked folders in it.

    Raises:
        DeepFaceError: it cannot be listed, with ``aloud``; otherwise that is a warning.
    """
    found = False
    others: Counter[str] = Counter()
    top = os.fspath(path)
    folders = [top]
    while folders:
        folder = folders.pop()
        below = []
        for entry in _entries(folder, strict=aloud and folder is top):
            if _is_folder(entry):
                below.append(entry.path)
            elif not has_suffix_of_picture(entry.name):
                others.update(_what(entry))
            elif _is_file(entry):
                found = True
                yield entry.path
        folders += reversed(below)
    if aloud and not found:
        get_logger().warning("no picture (%s) in the folder %s", ", ".join(SUFFIXES), top)
    if aloud and others:
        get_logger().warning(
            "left out in the folder %s, where %s count: %s. Name them to have them read",
            *(top, ", ".join(SUFFIXES)),
            ", ".join(f"{count} {what}" for what, count in sorted(others.items())),
        )


def _entries(folder: str, strict: bool) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        if strict:
            raise as_ours(error, f"the folder {folder} cannot be read") from error
        if not isinstance(error, FileNotFoundError):  # it would be left out without a word
            get_logger().warning("%s is left out: %s", folder, reason_of(error))
        return []


def _is_folder(entry: os.DirEntry[str]) -> bool:
    with contextlib.suppress(OSError):
        return entry.is_dir(follow_symlinks=False)
    return False


def _is_file(entry: os.DirEntry[str]) -> bool:
    """Whether it is one, or nothing that can be looked at."""
    try:
        if entry.is_file():  # needs no look at the disk, as a rule
            return True
        kind = not_a_file(entry.stat().st_mode)
    except OSError:
        return True
    get_logger().warning("%s is left out: it is %s, not a file", entry.path, kind)
    return False


def _what(entry: os.DirEntry[str]) -> list[str]:
    """What is left out, if anybody may have meant it to count."""
    suffix = os.path.splitext(entry.name)[1].lower()  # noqa: PTH122
    if suffix in OTHER_SUFFIXES or is_video(entry.name):
        return [suffix]
    with contextlib.suppress(OSError):
        return ["linked folders"] if entry.is_symlink() and entry.is_dir() else []
    return []


def begins_as_image(file: str) -> bool:
    """Whether a file's first bytes are those of a JPEG or PNG; one that cannot be read is not."""
    try:
        with open_file(file) as stream:
            return detect_image_format(stream.read(8)) is not None
    except (OSError, DeepFaceError) as error:
        get_logger().warning("%s is left out: %s", file, reason_of(error))
        return False
