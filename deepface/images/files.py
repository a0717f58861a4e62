"""Picture files in a folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from deepface.images.header import detect_image_format
from deepface.logger import get_logger

_SUFFIXES = (".jpg", ".jpeg", ".png")


def yield_images(path: str | os.PathLike[str]) -> Iterator[str]:
    """Paths of the JPEG and PNG files in a folder and the folders below it, sorted in each.

    A file counts when both its suffix (.jpg, .jpeg or .png) and its first bytes say so. A path
    starts as ``path`` was written. A folder that does not exist holds none.
    """
    for folder, folders, files in os.walk(path):
        folders.sort()
        for name in sorted(files):
            if not name.lower().endswith(_SUFFIXES):
                continue
            file = os.path.join(folder, name)  # noqa: PTH118 - Path would drop a leading "./"
            try:
                with Path(file).open("rb") as stream:
                    kind = detect_image_format(stream.read(8))
            except OSError as error:
                get_logger().warning("%s is left out: %s", file, error.strerror)
                continue
            if kind is not None:
                yield file


def list_images(path: str | os.PathLike[str]) -> list[str]:
    """What :func:`yield_images` yields, as a list."""
    return list(yield_images(path))
