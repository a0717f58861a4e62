"""Results on stdout: a table for a person at a terminal, JSON lines for whatever reads a pipe."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from typing import Any, TextIO

from deepface.cli.entries import ResultLine, Row
from deepface.cli.formats import without_thumbnails
from deepface.logger import printable

#: Columns of the tables in their order, as far as a row has them, and their widths.
_WIDTHS = {
    "img1_path": 30,
    "img2_path": 30,
    "source": 40,
    "face": 4,
    "x": 5,
    "y": 5,
    "w": 5,
    "h": 5,
    "verified": 8,
    "identity": 40,
    "distance": 9,
    "threshold": 9,
    "confidence": 10,
    "face_confidence": 15,
    "is_real": 7,
    "antispoof_score": 15,
    "age": 3,
    "dominant_gender": 15,
    "dominant_emotion": 16,
    "dominant_race": 15,
    "embedding": 28,
}
#: At the end of a picture's path is its name: this much of a text that is too long is kept.
_PATHS = ("source", "img1_path", "img2_path", "identity")


class JsonLines:
    """A line per picture."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def write(self, entry: ResultLine) -> None:
        """At once: whoever reads need not wait for a buffer to fill."""
        line = without_thumbnails(entry).to_json(self._file.encoding or "utf-8")
        self._file.write(line + "\n")
        self._file.flush()


class Table:
    """A line per face, match or pair, or one that says that there is none.

    A new heading where the columns change.
    """

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._columns: list[str] = []

    def write(self, entry: ResultLine) -> None:
        """Lines for the rows of an entry."""
        for row in entry.rows():
            columns = [name for name in _WIDTHS if name in row]
            if columns != self._columns:
                self._columns = columns
                self._line(columns, columns)
            self._line(columns, [_cell(row, name) for name in columns])
        if entry.error is None and "faces" in entry.result and not any(entry.rows()):
            # What failed is told at the end, this nowhere else.
            what = "no match" if entry.faces else "no face"
            self._line(["source"], [_cell({"source": entry.source}, "source") + f"  {what}"])
        self._file.flush()

    def _line(self, columns: Sequence[str], cells: Sequence[str]) -> None:
        padded = [
            cell.ljust(_WIDTHS[name]) if name in _PATHS else cell.rjust(_WIDTHS[name])
            for name, cell in zip(columns, cells, strict=True)
        ]
        line = "  ".join(padded).rstrip()
        encoding = self._file.encoding or "utf-8"
        self._file.write(line.encode(encoding, "backslashreplace").decode(encoding) + "\n")


def printer_for(file: TextIO) -> Table | JsonLines:
    """A table on a terminal, else JSON lines."""
    return Table(file) if file.isatty() else JsonLines(file)


def print_rows(rows: Sequence[Row], file: TextIO) -> None:
    """Few rows: a table whose columns are as wide as what is in them, or JSON lines."""
    if not file.isatty():
        file.writelines(json.dumps(row) + "\n" for row in rows)
        return
    names = list(rows[0])
    lines = [names, *([_text(row[name]) for name in names] for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(names))]
    for line in lines:
        cells = [cell.ljust(width) for cell, width in zip(line, widths, strict=True)]
        file.write("  ".join(cells).rstrip() + "\n")


def _cell(row: Row, name: str) -> str:
    value = row[name]
    if name == "embedding" and value:
        return f"{len(value)} numbers: {value[0]:.3f} {value[1]:.3f} ..."
    text = printable(_text(value))
    width = _WIDTHS[name]
    if name in _PATHS and len(text) > width and shutil.get_terminal_size().columns < 200:
        return "..." + text[3 - width :]
    return text


def _text(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
