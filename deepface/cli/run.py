"""One run: entries go to where they are wanted, are counted, and what failed is told at the end."""

from __future__ import annotations

import contextlib
import itertools
import shlex
import sys
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import click

from deepface.cli.entries import ResultLine
from deepface.cli.journal import DoneCounts, RunJournal
from deepface.cli.outcome import INTERRUPTED, stdout
from deepface.cli.printed import printer_for
from deepface.cli.sheet import ContactSheet
from deepface.logger import printable
from deepface.runtime.progress import progress_bar

T = TypeVar("T")

#: So many failures are listed at the end; the others are in the results.
_LISTED = 50


class Run:
    """Where the entries of a command go. Use it in a ``with`` block.

    Args:
        output: the file for results; ``None`` is stdout.
        resume: go on with an earlier run; needs ``output``.
        contact_sheet: the file for small pictures of all faces.
        silent: neither progress bar nor summary.
        made_by: see :class:`deepface.cli.journal.RunJournal`.
        unit: what is counted.
    """

    def __init__(
        self,
        output: Path | None,
        resume: bool,
        made_by: dict[str, Any],
        contact_sheet: Path | None = None,
        silent: bool = False,
        unit: str = "picture",
    ) -> None:
        if resume and output is None:
            raise click.UsageError("--resume needs --output: stdout cannot be gone on with")
        self._sheet = None if contact_sheet is None else ContactSheet(contact_sheet)
        self.journal = None if output is None else RunJournal(output, made_by, resume)
        self._printer = printer_for(stdout()) if output is None else None
        self._resume = resume
        self._silent = silent
        self._unit = unit
        self.count = self._faces = self._without = self._failed = 0
        self._failures: list[str] = []
        self._failed_before: dict[str, deque[ResultLine]] = {}
        self._start = 0.0

    def __enter__(self) -> Run:
        return self

    def __exit__(self, *_: object) -> None:
        if self.journal is not None:
            self.journal.close()

    @property
    def shows_progress(self) -> bool:
        """Whether there is somebody to see a bar."""
        return not self._silent and sys.stderr.isatty()

    def write(self, entry: ResultLine) -> None:
        """One more entry."""
        if failed := self._failed_before.get(entry.key):
            failed.popleft()
        self._count(entry)
        if self.journal is not None:
            self.journal.write(entry)
            return
        assert self._printer is not None
        if self._sheet is not None:
            self._sheet.add(entry)
        self._printer.write(entry)

    def drive(self, entries: Iterator[ResultLine], total: int | None) -> int:
        """Take all entries; the exit code is the result."""
        before = self.count
        self._start = time.perf_counter()
        bar = progress_bar(
            self.shows_progress,
            total=total,
            initial=before,
            unit=self._unit if self._unit != "picture" else "image",
            dynamic_ncols=True,
        )
        try:
            # What libraries print must not get among the results.
            with bar, contextlib.redirect_stdout(sys.stderr), contextlib.closing(entries):  # type: ignore[type-var]
                for entry in entries:
                    if self._printer is not None:  # on a terminal, rows go where the bar is
                        bar.clear()
                    self.write(entry)
                    bar.update()
            return self._finish(self.count - before)
        except BrokenPipeError:  # whoever reads has seen enough
            raise
        except Exception:  # a disk that is full, say
            if self.journal is not None:
                self._say_how_to_resume()
            raise
        except KeyboardInterrupt:
            self._say_how_to_resume()
            raise click.exceptions.Exit(INTERRUPTED) from None

    def done(self) -> DoneCounts:
        """What earlier runs have done, counted here, too; what failed is to be tried again."""
        done = DoneCounts()
        if self.journal is not None and self._resume:
            for entry in self.journal.known():
                if entry.error is not None:
                    self._failed_before.setdefault(entry.key, deque()).append(entry)
                else:
                    self._count(entry)
                    done[entry.key] += 1
        return done

    def left(self, items: Iterator[T]) -> Iterator[T]:
        """``items``; the command ends here where there is none, and its output is there."""
        for item in items:
            return itertools.chain([item], items)
        if self.journal is not None and self.journal.is_complete:
            click.echo(f"{self.journal.output} is complete: nothing to go on with", err=True)
            self._count_old_failures()
            raise click.exceptions.Exit(self._tell_failures())
        return iter(())

    def _count(self, entry: ResultLine) -> None:
        self.count += 1
        self._faces += len(entry.faces)
        if entry.error is not None:
            self._failed += 1
            if len(self._failures) < _LISTED:
                names = "\t".join(map(printable, entry.key.split("\t")))
                self._failures.append(f"  {names}: {printable(entry.error)}")
        elif "faces" in entry.result and not entry.faces:
            self._without += 1

    def _finish(self, new: int) -> int:
        if self.journal is not None:
            if self._sheet is not None:
                for entry in self.journal.known():
                    self._sheet.add(entry)
            self.journal.finish()
        if self._sheet is not None:
            self._sheet.finish()
        self._count_old_failures()
        told = self.journal is not None or (
            self.count > 1 and (self._failed or sys.stderr.isatty())
        )
        if told and not self._silent:
            seconds = time.perf_counter() - self._start
            parts = [_plural(self.count, self._unit)]
            if self._unit == "picture":
                parts += [_plural(self._faces, "face"), f"{self._without} without a face"]
            parts += [f"{self._failed} failed", f"{new / seconds:.1f} a second"]
            where = "" if self.journal is None else f" -> {self.journal.output}"
            click.echo(", ".join(parts) + where, err=True)
        return self._tell_failures()

    def _count_old_failures(self) -> None:
        """Those of sources that this run did not have."""
        for entries in self._failed_before.values():
            for entry in entries:
                self._count(entry)

    def _tell_failures(self) -> int:
        """The exit code is the result."""
        if self._failed:
            click.echo(f"{_plural(self._failed, self._unit)} failed:", err=True)
            for line in self._failures:
                click.echo(line, err=True)
            if self._failed > len(self._failures):
                click.echo(f"  ... and {self._failed - len(self._failures)} more", err=True)
        return 1 if self._failed else 0

    def _say_how_to_resume(self) -> None:
        click.echo(f"interrupted after {_plural(self.count, self._unit)}", err=True)
        if self.journal is not None and self.count:
            again = [*sys.argv[1:], *([] if "--resume" in sys.argv else ["--resume"])]
            click.echo(f"go on with: deepface {shlex.join(again)}", err=True)


def _plural(count: int, word: str) -> str:
    return f"{count} {word}" if count == 1 else f"{count} {word}s"
