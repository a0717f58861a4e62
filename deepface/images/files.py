"""Picture files in a folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from deepface.images.header import detect_image_format
from deepface.logger import get_logger

#: Endings of pictures' names, in lower case.
SUFFIXES = (".jpg", ".jpeg", ".png")


def yield_images(path: str | os.PathLike[str]) -> Iterator[str]:
    """Paths of the JPEG and PNG files in a folder and the folders below it, sorted in each.

    A file counts when both its suffix (.jpg, .jpeg or .png) and its first bytes say so. A path
    starts as ``path`` was written. A folder that does not exist holds none.
    """
    return (file for file in named_as_images(path) if begins_as_image(file))


def list_images(path: str | os.PathLike[str]) -> list[str]:
    """What :func:`yield_images` yields, as a list."""
    return list(yield_images(path))


def named_as_images(path: str | os.PathLike[str]) -> Iterator[str]:
    """The files of :func:`yield_images` by suffix alone: none of them is opened."""
    for folder, folders, files in os.walk(path, onerror=_tell):
        folders.sort()
        for name in sorted(files):
            if name.lower().endswith(SUFFIXES):
                yield os.path.join(folder, name)  # noqa: PTH118 - Path would drop a leading "./"


def _tell(error: OSError) -> None:
    """A folder that cannot be read would be left out without a word."""
    if not isinstance(error, FileNotFoundError):
        get_logger().warning("%s is left out: %s", error.filename, error.strerror)


def begins_as_image(file: str) -> bool:
    """Whether a file's first bytes are those of a JPEG or PNG; one that cannot be read is not."""
    try:
        with Path(file).open("rb") as stream:
            return detect_image_format(stream.read(8)) is not None
    except OSError as error:
        get_logger().warning("%s is left out: %s", file, error.strerror)
        return False
