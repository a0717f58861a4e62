"""What the arguments name, as pictures: files, folders, globs, URLs, videos, a list on stdin."""

from __future__ import annotations

import codecs
import glob
import io
import os
import re
import sys
from collections.abc import Iterator, Sequence
from typing import TypeAlias, cast

import click

from deepface.cli.journal import DoneCounts
from deepface.images.files import named_as_images
from deepface.images.load import item_name
from deepface.images.paths import is_folder
from deepface.images.sources import pictures_of
from deepface.images.video import BrokenVideo, Frame, is_video

STDIN = "-"
#: What a text file may begin with, written by some programs of Windows.
_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
Picture: TypeAlias = str | Frame | BrokenVideo


class Inputs:
    """The pictures that a command's arguments name, in order, each once.

    Nothing is opened before its turn comes but the globs, which must match something. In a folder
    (and those below it) everything counts whose suffix is .jpg, .jpeg or .png, so that a broken
    file is a failure that is reported, and not left out. Of other pictures and of videos it is said
    how many are left out.

    Args:
        arguments: the names.
        every: only every n-th frame of a video.
        null: names on stdin end with a NUL, not with a line.
    """

    def __init__(self, arguments: Sequence[str], every: int = 1, null: bool = False) -> None:
        if not arguments:
            raise click.UsageError("no INPUTS: give files, folders, globs, URLs, or - for stdin")
        if arguments.count(STDIN) > 1:
            raise click.UsageError("- (a list on stdin) can be given once only")
        self._parts = [part for argument in arguments for part in _globbed(argument)]
        self._every = every
        self._null = null

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
            count += sum(1 for _ in named_as_images(part)) if is_folder(part) else 1
        return count

    def pictures(self, done: DoneCounts) -> Iterator[Picture]:
        """The pictures that are not done."""
        for picture in pictures_of(self._named(), self._every):
            if not done.take(item_name(picture)):
                yield picture

    def _named(self) -> Iterator[str]:
        for part in self._parts:
            if part == STDIN:
                yield from filter(str.strip, records_of_stdin(self._null))
            else:
                yield part


def records_of_stdin(null: bool) -> Iterator[str]:
    """Lines, or what NULs end, as file names: bytes that are no text are kept, a mark is not."""
    end, rest = "\0" if null else "\n", ""
    for text in _text_of_stdin():
        *whole, rest = (rest + text).split(end)
        yield from (record if null else record.rstrip("\r") for record in whole)
    if rest:
        yield rest if null else rest.rstrip("\r")


def _text_of_stdin() -> Iterator[str]:
    """As it comes: what is there is not held back until there is more.

    Around Python's buffer: a thread that waits in it would make the interpreter's exit a crash.
    """
    if sys.stdin is None:
        raise click.UsageError("there is no stdin to read a list from")
    stdin = cast("io.RawIOBase", getattr(sys.stdin.buffer, "raw", sys.stdin.buffer))
    head = b""
    while any(mark[: len(head)] == head != mark for mark in _MARKS):
        if not (more := stdin.read(3 - len(head))):
            break
        head += more
    encoding, errors = sys.getfilesystemencoding(), sys.getfilesystemencodeerrors()
    for mark, marked in _MARKS.items():
        if head.startswith(mark):
            encoding, errors = marked, errors if marked.startswith("utf-8") else "replace"
    decoder = codecs.getincrementaldecoder(encoding)(errors)
    yield decoder.decode(head)
    while block := stdin.read(1 << 16):
        yield decoder.decode(block)
    yield decoder.decode(b"", final=True)


def _globbed(argument: str) -> list[str]:
    if argument == STDIN or "://" in argument or not set("*?[") & set(argument):
        return [argument]
    if argument.startswith("data:") or os.path.lexists(argument):  # "[1].jpg" is a file, too
        return [argument]
    matches = sorted(glob.glob(argument, recursive=True))  # noqa: PTH207 - may be absolute
    if not matches:
        folder = re.split(r"[*?[]", argument)[0].rpartition("/")[0] or "."
        reason = ""
        try:
            os.scandir(folder).close()
        except OSError as error:  # which glob does not tell
            reason = f": {folder} cannot be looked into ({error.strerror})"
        raise click.UsageError(f"no file matches {argument}{reason}")
    return matches


def _holds_many(part: str) -> bool:
    return part == STDIN or is_video(part) or is_folder(part)
