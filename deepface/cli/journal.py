"""A run's results on disk: while it goes on, when it was cut off, and when more is added later.

Entries are appended to ``OUTPUT.partial``, a line each, as soon as they are there. At the end the
file ``OUTPUT`` is written from it, under another name first: what has the name ``OUTPUT`` is
always complete. Whenever the process ends, even by ``kill -9``, all entries but the one being
written at that moment are kept; half a line at the end is cut off.

``.OUTPUT.run`` stays beside a finished ``OUTPUT``: the options it was made with, and a line per
entry without its results. From it a later run knows what is missing, and what failed.
"""

from __future__ import annotations

import io
import json
import os
import secrets
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple, TypeAlias

from filelock import Timeout

from deepface.cli.entries import ResultLine
from deepface.cli.formats import format_of
from deepface.cli.outcome import WrongUse, one_line
from deepface.runtime.safe_files import (
    create,
    locked,
    naming,
    open_existing,
    open_to_append,
    replacing,
)

#: Entries with the number of the run that made them, 0 for those of a finished output.
_Runs: TypeAlias = Iterator[tuple[int, ResultLine]]


class DoneCounts(Counter[str]):
    """How often each source has an entry."""

    def take(self, name: str) -> bool:
        """Whether one more of this name is done; it is counted off then."""
        if self[name] <= 0:
            return False
        self[name] -= 1
        return True


class _Header(NamedTuple):
    """The first line of a journal or record.

    ``size`` is that of the finished output that a record belongs to, or that a journal adds to;
    ``None`` if it adds to none. ``journal`` tells journals apart; in a record it is the last one.
    """

    made_by: dict[str, Any]
    size: int | None
    journal: str


class RunJournal:
    """The entries of one run, and of the runs that it goes on with.

    What failed can be tried again by a later run: a failure counts until there is another entry of
    its source.

    Args:
        output: the file that the run is for.
        made_by: the command and those options that change results; a run goes on only with the
            same.
        resume: go on with a run that was cut off, or add to one that is finished.

    Raises:
        click.ClickException: another suffix, or the file cannot be written; or a run was cut off
            and ``resume`` is off, or it was made with other options, or it still goes on; or what
            is to be gone on with was damaged.
        MissingPackageError: see :func:`deepface.cli.formats.format_of`.
    """

    def __init__(self, output: Path, made_by: dict[str, Any], resume: bool) -> None:
        self.output = output
        self.path = output.with_name(f"{output.name}.partial")
        self._adds = False
        self._record = output.with_name(f".{output.name}.run")
        self._format = format_of(output)
        self._command = str(made_by.get("command", ""))
        self._made_by = json.loads(json.dumps(made_by))
        self._begun = False
        self._file: IO[bytes] | None = None
        with ExitStack() as stack:
            try:
                output.parent.mkdir(parents=True, exist_ok=True)
                stack.enter_context(locked(output.with_name(f".{output.name}.lock"), timeout=0))
            except Timeout:
                raise WrongUse(f"another run is writing {output}") from None
            except OSError as error:
                raise WrongUse(
                    f"--output {output} cannot be written ({one_line(error)}): give a file in a "
                    "folder that you may write to"
                ) from error
            for path in (output, self.path, self._record):
                if path.exists() and not path.is_file():
                    raise WrongUse(f"--output {output} cannot be written: {path} is no file")
            self._open(resume)
            self._held = stack.pop_all()

    def _open(self, resume: bool) -> None:
        self._begun = _holds_entries(self.path)
        if self._begun and not resume:
            raise WrongUse(
                f"a run for {self.output} was cut off: go on with --resume, or delete {self.path} "
                "to start anew"
            )
        if self._begun:
            header = _header(self.path)
            self._adds = header.size is not None
            if _was_finished(self.path, self.output):  # it was cut off at the very end
                if not self._record.exists() or _header(self._record).journal != header.journal:
                    self._remember(header)
                self.path.unlink()
                self._begun = False
            else:
                self._check(self.path, header)
        if resume and not self._begun and self.output.exists():
            if not self._record.exists():
                raise WrongUse(
                    f"{self.output} is there, but not {self._record}, which says how it was made: "
                    "leave out --resume to make it anew"
                )
            self._check(self._record, _header(self._record))
            self._adds = True

    def _check(self, path: Path, header: _Header) -> None:
        if header.made_by != self._made_by:
            changes = _changes(header.made_by, self._made_by)
            raise WrongUse(
                f"{self.output} was made with other options: {changes}. Give the same; or delete "
                f"{path} and leave out --resume to start anew"
            )
        if header.size not in (None, _size(self.output)):
            raise WrongUse(
                f"{self.output} was changed since {path} was written: delete that and leave out "
                "--resume to start anew"
            )

    @property
    def is_complete(self) -> bool:
        """Whether the output is there, with all that runs have had so far."""
        return self._adds and not self._begun and self._file is None

    def known(self) -> Iterator[ResultLine]:
        """What the runs before have: each entry, of a finished output without its results."""
        return self._settled(lambda: (entry for _, entry in _lines(self._record)))()

    def files_before(self) -> set[str]:
        """The pictures that a finished output lists, and that this run does not have as its own."""
        if not self.output.exists():
            return set()
        try:
            listed = {
                face["file"]
                for entry in self._format.read(self.output)
                for face in entry.faces
                if isinstance(face.get("file"), str)
            }
        except ValueError:  # something else has the name: it lists nothing
            return set()
        return listed - {face.get("file") for entry in self.known() for face in entry.faces}

    def write(self, entry: ResultLine) -> None:
        """Append an entry; it is on its way to the disk when this returns."""
        with naming(self.path):
            if self._file is None:
                self._file = self._started()
            self._file.write(entry.to_json().encode() + b"\n")
            self._file.flush()

    def _started(self) -> IO[bytes]:
        file: IO[bytes]
        if self._begun:
            file = io.BufferedWriter(open_to_append(self.path))
            file.write(b"{}\n")  # here a run begins
            return file
        file = create(self.path)
        file.write(json.dumps(self._header()).encode() + b"\n")
        return file

    def _header(self) -> _Header:
        size = _size(self.output) if self._adds else None
        return _Header(self._made_by, size, secrets.token_hex(8))

    def finish(self) -> None:
        """Write the output, unless there is nothing to add to it, and remove the journal."""
        if self.is_complete:
            return
        if self._file is not None:
            self._file.close()
        entries = self._settled(self._listed)
        with replacing(self.output) as file:
            self._format.write(entries, file, self._command)
            file.flush()
            if self.path.exists():
                with io.BufferedWriter(open_to_append(self.path)) as journal:
                    journal.write(b"%d\n" % os.fstat(file.fileno()).st_ino)
        self._remember(_header(self.path) if self.path.exists() else self._header())
        self.path.unlink(missing_ok=True)

    def close(self) -> None:
        """Leave everything for ``--resume``."""
        with self._held, naming(self.path):
            if self._file is not None:
                self._file.close()

    def _remember(self, header: _Header) -> None:
        with replacing(self._record) as record:
            header = header._replace(size=_size(self.output))
            record.write(json.dumps(header).encode() + b"\n")
            for entry in self.known():
                record.write(entry.outline().to_json().encode() + b"\n")

    def _listed(self) -> Iterator[ResultLine]:
        """The entries of the finished output."""
        with _intact(self.output):
            yield from self._format.read(self.output)

    def _settled(
        self, before: Callable[[], Iterator[ResultLine]]
    ) -> Callable[[], Iterator[ResultLine]]:
        """The entries of all runs but the failures that a later run has tried again.

        ``before`` gives those of the finished output that is added to.
        """

        def runs() -> _Runs:
            if self._adds:
                yield from ((0, entry) for entry in before())
            if self.path.exists():
                yield from _lines(self.path)

        # A run that goes on with none tries nothing again: its entries need not be read twice.
        again = _tried_again(runs()) if self._adds or self._begun else Counter()

        def settled() -> Iterator[ResultLine]:
            left = Counter(again)
            for _, entry in runs():
                if entry.error is not None and left[entry.key]:
                    left[entry.key] -= 1
                else:
                    yield entry

        return settled


def _tried_again(runs: _Runs) -> Counter[str]:
    """How many failures of each source have another entry in a later run."""
    failed: dict[str, deque[int]] = {}
    again: Counter[str] = Counter()
    for number, entry in runs:
        earlier = failed.get(entry.key)
        if earlier and earlier[0] < number:
            earlier.popleft()
            again[entry.key] += 1
        if entry.error is not None:
            failed.setdefault(entry.key, deque()).append(number)
    return again


def _changes(then: Any, now: dict[str, Any]) -> str:
    """Which options differ, for a message."""
    then = then if isinstance(then, dict) else {}
    return ", ".join(
        f"{name} was {then.get(name)!r} and is {now.get(name)!r}"
        for name in dict.fromkeys([*then, *now])
        if then.get(name) != now.get(name)
    )


def _lines(path: Path) -> _Runs:
    """The entries of a journal or record."""
    number = 1
    with _intact(path), io.BufferedReader(open_existing(path, "rb")) as file:
        file.readline()
        for line in file:
            mark = line.strip()
            if mark == b"{}" or mark.isdigit():  # a run begins, or was to end
                number += 1
            else:
                yield number, ResultLine.from_json(line)


def _header(path: Path) -> _Header:
    with _intact(path), io.BufferedReader(open_existing(path, "rb")) as file:
        return _Header(*json.loads(file.readline()))


@contextmanager
def _intact(path: Path) -> Iterator[None]:
    """What cannot be read in the block becomes an error that names the file."""
    try:
        yield
    except (ValueError, TypeError, RecursionError) as error:
        raise WrongUse(
            f"{path} is not as it was written ({error}): delete it and leave out --resume to start "
            "anew"
        ) from error


def _size(path: Path) -> int | None:
    return path.stat().st_size if path.exists() else None


def _holds_entries(path: Path) -> bool:
    """Whether there is a line behind the header, when half a line at the end is cut off."""
    if not path.exists():
        return False
    with open_existing(path, "r+b") as file:
        size = file.seek(0, os.SEEK_END)
        while size:
            start = max(0, size - (1 << 16))
            file.seek(start)
            block = file.read(size - start)
            size = start + block.rfind(b"\n") + 1
            if size > start:
                break
        file.truncate(size)
        file.seek(0)
        lines = io.BufferedReader(file)
        lines.readline()
        return bool(lines.readline())


def _was_finished(path: Path, output: Path) -> bool:
    """Whether a journal's last line says that the output was put in place as the file it is."""
    inode = output.stat().st_ino if output.exists() else -1
    with open_existing(path, "rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - 32))
        return file.read().rpartition(b"\n")[0].rpartition(b"\n")[2] == b"%d" % inode
