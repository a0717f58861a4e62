"""A run's results on disk while it goes on, so that a run that is cut off can go on later.

Entries are appended to ``OUTPUT.partial``, a line each, as soon as they are there. At the end the
file ``OUTPUT`` is written from it, under another name first: what has the name ``OUTPUT`` is
always complete. Whenever the process ends, even by ``kill -9``, all entries but the one being
written at that moment are kept; half a line at the end is cut off.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from deepface.cli.app import WrongUse
from deepface.cli.entries import Entry
from deepface.cli.formats import writer_for


class Done(Counter[str]):
    """How often each source has an entry."""

    def take(self, name: str) -> bool:
        """Whether one more of this name is done; it is counted off then."""
        if self[name] <= 0:
            return False
        self[name] -= 1
        return True


class Journal:
    """The entries of one run.

    Args:
        output: the file that the run is for.
        made_by: the command and those options that change results; a run goes on only with the
            same.
        resume: go on with a run that was cut off.

    Attributes:
        is_complete: with ``resume``: there is nothing to go on with, and the result is there.

    Raises:
        click.ClickException: another suffix, or the file cannot be written; or a run was cut off
            and ``resume`` is off, or it was made with other options, or it still goes on.
        MissingPackageError: see :func:`deepface.cli.formats.writer_for`.
    """

    def __init__(self, output: Path, made_by: dict[str, Any], resume: bool) -> None:
        self.output = output
        self.path = output.with_name(f"{output.name}.partial")
        self._write_output = writer_for(output)
        self.is_complete = resume and output.exists() and not self.path.exists()
        self._lock = FileLock(output.with_name(f".{output.name}.lock"))
        try:
            output.parent.mkdir(parents=True, exist_ok=True)
            self._lock.acquire(timeout=0)
        except Timeout:
            raise WrongUse(f"another run is writing {output}") from None
        except OSError as error:
            raise WrongUse(
                f"--output {output} cannot be written ({error.strerror}): give a file in a folder "
                "that you may write to"
            ) from error
        try:
            self._open(made_by, resume)
        except BaseException:
            self._unlock()
            raise

    def _open(self, made_by: dict[str, Any], resume: bool) -> None:
        header = json.dumps(made_by, sort_keys=True)
        begun = self.path.exists() and _cut_to_lines(self.path) > 0 and _has_entries(self.path)
        if begun and not resume:
            raise WrongUse(
                f"a run for {self.output} was cut off: go on with --resume, or delete {self.path} "
                "to start anew"
            )
        if begun:
            with self.path.open("rb") as file:
                before = json.loads(file.readline())
            if before != json.loads(header):
                raise WrongUse(
                    f"{self.path} was made with other options:\n  then {json.dumps(before)}\n"
                    f"  now  {header}\nGive the same, or delete it to start anew."
                )
        if not self.is_complete:
            self._file = self.path.open("ab" if begun else "wb", buffering=0)
            if not begun:
                self._file.write(header.encode() + b"\n")

    def entries(self) -> Iterator[Entry]:
        """All entries so far, in order."""
        with self.path.open("rb") as file:
            file.readline()
            for line in file:
                yield Entry.from_json(line)

    def write(self, entry: Entry) -> None:
        """Append an entry; it is on its way to the disk when this returns."""
        self._file.write(entry.to_json().encode() + b"\n")

    def finish(self) -> None:
        """Write the output, and remove the journal."""
        self._file.close()
        scratch = self.output.with_name(f".{self.output.name}.new")
        try:
            self._write_output(self.entries, scratch)
            scratch.replace(self.output)
        finally:
            scratch.unlink(missing_ok=True)
        self.path.unlink()
        self._unlock()

    def close(self) -> None:
        """Leave everything for ``--resume``; nothing where there is nothing to go on with."""
        if not self.is_complete:
            self._file.close()
        if self.path.exists() and not _has_entries(self.path):
            self.path.unlink()
        self._unlock()

    def _unlock(self) -> None:
        self._lock.release()
        Path(self._lock.lock_file).unlink(missing_ok=True)


def _has_entries(path: Path) -> bool:
    with path.open("rb") as file:
        file.readline()
        return bool(file.readline())


def _cut_to_lines(path: Path) -> int:
    """Cut off half a line at the end; the size that is left."""
    size = path.stat().st_size
    with path.open("rb+") as file:
        while size:
            start = max(0, size - (1 << 16))
            file.seek(start)
            block = file.read(size - start)
            size = start + block.rfind(b"\n") + 1
            if size > start:
                break
        file.truncate(size)
    return size
