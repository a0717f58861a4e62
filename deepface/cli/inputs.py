"""What the arguments name, as pictures: files, folders, globs, URLs, videos, a list on stdin."""

from __future__ import annotations

import glob
import os
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

import click

from deepface.cli.journal import Done
from deepface.errors import DeepFaceError
from deepface.images.files import named_as_images
from deepface.images.load import item_name
from deepface.images.video import BrokenVideo, Frame, is_video, iter_frames
from deepface.logger import get_logger

STDIN = "-"
#: Pictures that can be read, but do not count in a folder: the published library's rule.
_OTHER_SUFFIXES = (".bmp", ".gif", ".jp2", ".tif", ".tiff", ".webp")
Picture: TypeAlias = str | Frame | BrokenVideo


class Inputs:
    """The pictures that a command's arguments name, in order, each once.

    Nothing is opened before its turn comes but the globs, which must match something. In a folder
    (and those below it) everything counts whose suffix is .jpg, .jpeg or .png, so that a broken
    file is a failure that is reported, and not left out. Of other pictures it is said how many are
    left out.
    """

    def __init__(self, arguments: Sequence[str], every: int = 1) -> None:
        if not arguments:
            raise click.UsageError("no INPUTS: give files, folders, globs, URLs, or - for stdin")
        if arguments.count(STDIN) > 1:
            raise click.UsageError("- (a list on stdin) can be given once only")
        self._parts = [part for argument in arguments for part in _globbed(argument)]
        self._every = every

    @property
    def is_one_picture(self) -> bool:
        """Whether one file or URL was named, and nothing that may hold several."""
        return len(self._parts) == 1 and not _holds_many(self._parts[0])

    def total(self) -> int | None:
        """How many pictures there are, ``None`` where only walking them would tell."""
        count = 0
        for part in self._parts:
            if part == STDIN or is_video(part):
                return None
            count += sum(1 for _ in named_as_images(part)) if _is_folder(part) else 1
        return count

    def pictures(self, done: Done) -> Iterator[Picture]:
        """The pictures that are not done."""
        for picture in _opened(self._named(), self._every):
            if not done.take(item_name(picture)):
                yield picture

    def _named(self) -> Iterator[str]:
        for part in self._parts:
            if part == STDIN:
                yield from lines_of_stdin()
            else:
                yield part


def lines_of_stdin() -> Iterator[str]:
    """The lines that are not empty, as file names: bytes that are no text are kept."""
    for line in sys.stdin.buffer:
        text = os.fsdecode(line).rstrip("\r\n")
        if text.strip():
            yield text


def _globbed(argument: str) -> list[str]:
    if argument == STDIN or "://" in argument or not set("*?[") & set(argument):
        return [argument]
    if argument.startswith("data:") or Path(argument).exists():  # "[1].jpg" is a file, too
        return [argument]
    matches = sorted(glob.glob(argument, recursive=True))  # noqa: PTH207 - may be absolute
    if not matches:
        raise click.UsageError(f"no file matches {argument}")
    return matches


def _holds_many(part: str) -> bool:
    return part == STDIN or is_video(part) or _is_folder(part)


def _is_folder(part: str) -> bool:
    return os.path.isdir(part)  # noqa: PTH112 - false for what is too long for a path


def _other_pictures(folder: str) -> Counter[str]:
    """How many files of a folder have the suffix of a picture that does not count there."""
    suffixes = (Path(file).suffix.lower() for _, _, files in os.walk(folder) for file in files)
    return Counter(suffix for suffix in suffixes if suffix in _OTHER_SUFFIXES)


def _opened(names: Iterable[str], every: int) -> Iterator[Picture]:
    for name in names:
        if is_video(name):
            try:
                yield from iter_frames(name, every)
            except DeepFaceError as error:
                yield BrokenVideo(name, error)
        elif _is_folder(name):
            empty = True
            for file in named_as_images(name):
                empty = False
                yield file
            if empty:
                get_logger().warning("no picture (.jpg, .jpeg, .png) in the folder %s", name)
            if others := _other_pictures(name):
                get_logger().warning(
                    "left out in the folder %s, where .jpg, .jpeg and .png count: %s. A pattern "
                    'names them, e.g. "%s/**/*%s"',
                    *(name, ", ".join(f"{n} {suffix}" for suffix, n in sorted(others.items()))),
                    *(name.rstrip("/"), min(others)),
                )
        else:
            yield name
