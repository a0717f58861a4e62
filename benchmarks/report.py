"""Results on the screen and on disk: a table, a JSON document, a CSV file.

A document has the keys of :data:`SCHEMA`. Its rows are flat; a measurement that was repeated has
its median under its name and the quartiles under ``NAME_q1`` and ``NAME_q3``.
"""

from __future__ import annotations

import argparse
import csv
import json
import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from benchmarks.machine import machine, versions

RESULTS = Path(__file__).with_name("results")
SCHEMA: dict[str, type] = {
    "schema": int,
    "benchmark": str,
    "date": str,
    "command": str,
    "machine": dict,
    "versions": dict,
    "settings": dict,
    "notes": list,
    "rows": list,
}
_VERSION = 1
_MACHINE = {"system", "cpu", "cores", "memory_gb", "gpu", "load"}
_VERSIONS = {"python", "deepface", "commit", "torch", "numpy", "opencv"}
#: The folders of an absolute path, but not what follows the host in a URL.
_FOLDERS = re.compile(r"(?<![\w:/.~])/(?:[^\s/:'\"]+/)+")
#: Who asks, in a URL.
_USER = re.compile(r"(?<=://)[^/\s]*@")

Row = dict[str, Any]


@dataclass
class Report:
    """What one command measured.

    Attributes:
        benchmark: the command's name.
        settings: what was chosen, beyond the command line's text.
        rows: one flat dict per measurement.
        notes: what a reader must know to understand the rows.
    """

    benchmark: str
    settings: Row = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    started: datetime = field(default_factory=lambda: datetime.now(timezone.utc))
    machine: Row = field(default_factory=machine)
    versions: dict[str, str | None] = field(default_factory=versions)

    def note(self, text: str) -> None:
        """Add the first line of a text, also to the screen."""
        text = without_folders(text.splitlines()[0])
        self.notes.append(text)
        print(f"note: {text}", file=sys.stderr, flush=True)

    def document(self) -> Row:
        """The JSON document."""
        return {
            "schema": _VERSION,
            "benchmark": self.benchmark,
            "date": self.started.isoformat(timespec="seconds"),
            "command": command_line(sys.argv[1:]),
            "machine": self.machine,
            "versions": self.versions,
            "settings": self.settings,
            "notes": self.notes,
            "rows": self.rows,
        }

    def save(self, folder: Path, tag: str | None = None) -> Path:
        """Write ``BENCHMARK-DATE[-TAG].json`` and the same as ``.csv``; give the JSON's path.

        Saving again replaces both, so a command that takes long can save after every row.
        """
        document = self.document()
        validate(document)
        folder.mkdir(parents=True, exist_ok=True)
        parts = [self.benchmark, self.started.strftime("%Y%m%d-%H%M%S"), *([tag] if tag else [])]
        path = folder / f"{'-'.join(parts)}.json"
        path.write_text(json.dumps(document, indent=1) + "\n")
        with path.with_suffix(".csv").open("w", newline="") as file:
            write_csv(document, file)
        return path

    def finish(self, args: argparse.Namespace, columns: Mapping[str, str] | None = None) -> int:
        """Save the rows and say where; print them, too, if there are ``columns``.

        Returns:
            The exit code: 1 where nothing could be measured.
        """
        if not self.rows:
            return 1
        if columns is not None:
            print(table(self.rows, columns), end="\n\n")
        print(f"written: {self.save(args.out, args.tag)}")
        return 0


def write_csv(document: Row, file: Any) -> None:
    """The rows, each with the machine and the versions."""
    shared = {"benchmark": document["benchmark"], "date": document["date"]}
    shared |= document["machine"] | document["versions"]
    rows = [row | shared for row in document["rows"]]
    columns = list(dict.fromkeys(key for row in rows for key in row))
    writer = csv.DictWriter(file, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)


def validate(document: Mapping[str, Any]) -> None:
    """Check a document.

    Raises:
        ValueError: a key is missing, too many or of the wrong type, a row is not flat, or a text
            has an absolute path: results are published, and a machine's folders are not.
    """
    if set(document) != set(SCHEMA):
        raise ValueError(f"keys missing or unknown: {sorted(set(document) ^ set(SCHEMA))}")
    for key, kind in SCHEMA.items():
        if not isinstance(document[key], kind):
            raise ValueError(f"{key} is not of type {kind.__name__}: {document[key]!r}")
    if document["schema"] != _VERSION:
        raise ValueError(f"schema is {document['schema']}, this program knows {_VERSION}")
    datetime.fromisoformat(document["date"])
    for key, wanted in (("machine", _MACHINE), ("versions", _VERSIONS)):
        if missing := wanted - set(document[key]):
            raise ValueError(f"{key} lacks {sorted(missing)}")
    if not document["rows"]:
        raise ValueError("there are no rows")
    for row in document["rows"]:
        if not isinstance(row, dict) or any(isinstance(v, (dict, list)) for v in row.values()):
            raise ValueError(f"a row is not flat: {row!r}")
    if found := _FOLDERS.search(json.dumps(document, ensure_ascii=False)):
        raise ValueError(f"a path of this machine: {found.group()}")


def without_folders(text: str) -> str:
    """``text`` with absolute paths cut down to their last part."""
    return _FOLDERS.sub("", text)


def command_line(arguments: Sequence[str]) -> str:
    """The command as typed, but for the folders of absolute paths, and users with passwords."""
    words = [_USER.sub("", without_folders(argument.rstrip("/"))) for argument in arguments]
    return f"python -m benchmarks {shlex.join(words)}".strip()


def table(rows: Sequence[Row], columns: Mapping[str, str]) -> str:
    """A Markdown table.

    Args:
        rows: flat dicts.
        columns: key in the rows → heading. A column with quartiles shows them in brackets, one
            that no row has is left out.
    """
    keys = [key for key in columns if any(row.get(key) is not None for row in rows)]
    cells = [[columns[key] for key in keys]]
    cells += [[_cell(row, key) for key in keys] for row in rows]
    widths = [max(len(line[i]) for line in cells) for i in range(len(keys))]
    rule = ["-" * width for width in widths]
    return "\n".join(
        "| "
        + " | ".join(text.ljust(width) for text, width in zip(line, widths, strict=True))
        + " |"
        for line in [cells[0], rule, *cells[1:]]
    )


def _cell(row: Row, key: str) -> str:
    value = row.get(key)
    if value is None:
        return "–"
    if row.get(f"{key}_q1") is not None:
        return f"{_number(value)} ({_number(row[f'{key}_q1'])}–{_number(row[f'{key}_q3'])})"
    return _number(value)


def _number(value: Any) -> str:
    if not isinstance(value, float):
        return str(value)
    return f"{value:.0f}" if abs(value) >= 999.5 else f"{value:.3g}"
