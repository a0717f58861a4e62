"""Finished results as files: JSON lines, JSON, CSV, Parquet. Each is written as it is read."""

from __future__ import annotations

import csv
import itertools
import json
from collections.abc import Callable, Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeAlias

import click

from deepface.cli.entries import THUMBNAIL, Entry, Row
from deepface.errors import MissingPackageError

#: Gives the entries from the start, each time it is called: columns are known after one round.
Entries: TypeAlias = Callable[[], Iterable[Entry]]

#: Rows that are in memory together, and form a row group.
_ROW_GROUP = 1024


def write_json_lines(entries: Entries, path: Path) -> None:
    """A line per picture: ``{"source": ..., "faces": [...]}``."""
    with path.open("w", encoding="utf-8") as file:
        for entry in entries():
            file.write(without_thumbnails(entry).to_json() + "\n")


def write_json(entries: Entries, path: Path) -> None:
    """One list with what the lines of JSON lines are."""
    with path.open("w", encoding="utf-8") as file:
        before = "[\n"
        for entry in entries():
            file.write(before + without_thumbnails(entry).to_json())
            before = ",\n"
        file.write("[]\n" if before == "[\n" else "\n]\n")


def write_csv(entries: Entries, path: Path) -> None:
    """A row per face, match or pair. An embedding is a JSON list in one cell.

    Always UTF-8, for the sake of its readers: bytes of a file name that are not become escapes.
    """
    columns = columns_of(entries)
    with path.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
        writer = csv.DictWriter(file, list(columns), restval="")
        writer.writeheader()
        for row in _rows(entries):
            writer.writerow(
                {k: json.dumps(v) if isinstance(v, list) else v for k, v in row.items()}
            )


def write_parquet(entries: Entries, path: Path) -> None:
    """A row per face, match or pair. An embedding is a list of float32."""
    import pyarrow as pa
    from pyarrow import parquet

    types = {
        str: pa.string(),
        bool: pa.bool_(),
        int: pa.int64(),
        float: pa.float64(),
        list: pa.list_(pa.float32()),
        type(None): pa.float64(),
    }
    schema = pa.schema([(name, types[kind]) for name, kind in columns_of(entries).items()])
    rows = _rows(entries)
    with parquet.ParquetWriter(path, schema) as writer:
        while group := list(itertools.islice(rows, _ROW_GROUP)):
            writer.write_table(pa.Table.from_pylist([_encodable(row) for row in group], schema))


def columns_of(entries: Entries) -> dict[str, type]:
    """Names and types of the columns, in the order of their first appearance."""
    columns: dict[str, type] = {}
    for row in _rows(entries):
        for name, value in row.items():
            kind, known = type(value), columns.get(name, type(None))
            if known is type(None) or (known is int and kind is float):
                columns[name] = kind
    return columns or {"source": str, "face": int}


def _rows(entries: Entries) -> Iterator[Row]:
    return (row for entry in entries() for row in entry.rows())


def _encodable(row: Row) -> Row:
    """Parquet's texts are UTF-8; bytes of a file name that are not are shown as escapes."""
    return {
        key: value.encode(errors="backslashreplace").decode() if isinstance(value, str) else value
        for key, value in row.items()
    }


def without_thumbnails(entry: Entry) -> Entry:
    """The entry as its readers get it."""
    for face in entry.faces:
        face.pop(THUMBNAIL, None)
    return entry


_WRITERS: dict[str, Callable[[Entries, Path], None]] = {
    ".jsonl": write_json_lines,
    ".json": write_json,
    ".csv": write_csv,
    ".parquet": write_parquet,
}


def writer_for(path: Path) -> Callable[[Entries, Path], Any]:
    """What writes a file of this suffix.

    Raises:
        click.UsageError: nothing does.
        MissingPackageError: Parquet without ``pyarrow``.
    """
    suffix = path.suffix.lower()
    if suffix not in _WRITERS:
        raise click.UsageError(
            f"--output {path}: the suffix decides the format; use one of {', '.join(_WRITERS)}"
        )
    if suffix == ".parquet" and find_spec("pyarrow") is None:
        raise MissingPackageError(f"--output {path} needs pyarrow: pip install pyarrow")
    return _WRITERS[suffix]
