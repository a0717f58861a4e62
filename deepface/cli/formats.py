"""Finished results as files: JSON lines, JSON, CSV, Parquet. Each is written as it is read.

A file of a finished run can be read again, so that what a later run adds is written behind it.
"""

from __future__ import annotations

import csv
import io
import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any, NamedTuple, TypeAlias

import click

from deepface.cli.entries import THUMBNAIL, KeptRows, ResultLine, Row
from deepface.errors import MissingPackageError
from deepface.search.table import FIND

#: Gives the entries from the start, each time it is called: columns are known after one round.
Entries: TypeAlias = Callable[[], Iterable[ResultLine]]

#: Rows that are in memory together, and form a row group.
_ROW_GROUP = 1024
#: With one of these a cell begins that a spreadsheet takes for a formula (OWASP, CSV injection).
_FORMULA = tuple("=+-@\t\r\n＝＋－＠")
_FACE = {"source": str, "face": int}
_AREA = dict.fromkeys(
    ("x", "y", "w", "h", "left_eye_x", "left_eye_y", "right_eye_x", "right_eye_y"), int
)
#: The columns of each command's table, whatever was found. What options and models add (``seconds``
#: of a video, ``is_real``, attributes) comes after them.
COLUMNS: Mapping[str, Mapping[str, type]] = {
    "extract": {**_FACE, **_AREA, "confidence": float},
    "represent": {**_FACE, "embedding": list, **_AREA, "face_confidence": float},
    "analyze": {**_FACE, **_AREA, "face_confidence": float},
    "find": {**_FACE, **FIND},
    "verify": {
        "img1_path": str,
        "img2_path": str,
        "verified": bool,
        "distance": float,
        "threshold": float,
        "confidence": float,
        "model": str,
        "detector_backend": str,
        "similarity_metric": str,
        **{
            f"facial_areas_{side}_{name}": kind
            for side in ("img1", "img2")
            for name, kind in _AREA.items()
        },
        "time": float,
    },
}


class Format(NamedTuple):
    """How the entries of a run become a file, and again entries.

    A table begins with the columns of the command that is named. Entries that are read from one
    have no source: its rows say that themselves.
    """

    write: Callable[[Entries, IO[bytes], str], None]
    read: Callable[[Path], Iterator[ResultLine]]


def _write_json_lines(entries: Entries, file: IO[bytes], command: str) -> None:
    """A line per picture: ``{"source": ..., "faces": [...]}``."""
    for entry in entries():
        file.write(without_thumbnails(entry).to_json().encode() + b"\n")


def _read_json_lines(path: Path) -> Iterator[ResultLine]:
    with path.open("rb") as file:
        for line in file:
            yield ResultLine.from_json(line)


def _write_json(entries: Entries, file: IO[bytes], command: str) -> None:
    """One list with what the lines of JSON lines are."""
    before = b"[\n"
    for entry in entries():
        file.write(before + without_thumbnails(entry).to_json().encode())
        before = b",\n"
    file.write(b"[]\n" if before == b"[\n" else b"\n]\n")


def _read_json(path: Path) -> Iterator[ResultLine]:
    """A line is an entry, as it was written: the list need not fit into memory."""
    with path.open("rb") as file:
        for line in file:
            if line.strip() not in (b"[", b"]", b"[]"):
                yield ResultLine.from_json(line.rstrip(b",\n"))


def _write_csv(entries: Entries, file: IO[bytes], command: str) -> None:
    """A row per face, match or pair. An embedding is a JSON list in one cell.

    Always UTF-8, for the sake of its readers: bytes of a file name that are not become escapes.
    A text that a spreadsheet would take for a formula gets an apostrophe before it.
    """
    columns = _columns(entries, command)
    text = io.TextIOWrapper(file, encoding="utf-8", errors="backslashreplace", newline="")
    try:
        writer = csv.DictWriter(text, list(columns), restval="")
        writer.writeheader()
        for row in _rows(entries):
            writer.writerow({name: _cell(value) for name, value in row.items()})
    finally:
        text.detach()  # which flushes; the file stays open


def _cell(value: Any) -> Any:
    if isinstance(value, list):
        return json.dumps(value)
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def _read_csv(path: Path) -> Iterator[ResultLine]:
    longest = csv.field_size_limit(2**31 - 1)  # an embedding may be longer than the 128 kB set
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            for row in reader:
                if None in row or None in row.values():
                    raise ValueError(f"line {reader.line_num} has not as many cells as the first")
                yield KeptRows("", kept=[row])
    except csv.Error as error:
        raise ValueError(str(error)) from error
    finally:
        csv.field_size_limit(longest)


def _write_parquet(entries: Entries, file: IO[bytes], command: str) -> None:
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
    schema = pa.schema([(name, types[kind]) for name, kind in _columns(entries, command).items()])
    rows = _rows(entries)
    with parquet.ParquetWriter(file, schema) as writer:
        while group := list(itertools.islice(rows, _ROW_GROUP)):
            writer.write_table(pa.Table.from_pylist([_encodable(row) for row in group], schema))


def _read_parquet(path: Path) -> Iterator[ResultLine]:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(path) as table:
            for group in table.iter_batches(_ROW_GROUP):
                yield KeptRows("", kept=group.to_pylist())
    except (pa.ArrowException, OSError) as error:  # it raises both for what is damaged
        raise ValueError(str(error)) from error


def _columns(entries: Entries, command: str) -> dict[str, type]:
    """Names and types of the columns: those of the command, and others as they first appear."""
    columns = dict(COLUMNS.get(command, {}))
    for row in _rows(entries):
        for name, value in row.items():
            kind, known = type(value), columns.get(name, type(None))
            if known is type(None) or (known is int and kind is float):
                columns[name] = kind
    return columns or dict(_FACE)


def _rows(entries: Entries) -> Iterator[Row]:
    return (row for entry in entries() for row in entry.rows())


def _encodable(row: Row) -> Row:
    """Parquet's texts are UTF-8; bytes of a file name that are not are shown as escapes."""
    return {
        key: value.encode(errors="backslashreplace").decode() if isinstance(value, str) else value
        for key, value in row.items()
    }


def without_thumbnails(entry: ResultLine) -> ResultLine:
    """The entry as its readers get it."""
    for face in entry.faces:
        face.pop(THUMBNAIL, None)
    return entry


_FORMATS = {
    ".jsonl": Format(_write_json_lines, _read_json_lines),
    ".json": Format(_write_json, _read_json),
    ".csv": Format(_write_csv, _read_csv),
    ".parquet": Format(_write_parquet, _read_parquet),
}


def format_of(path: Path) -> Format:
    """What writes and reads a file of this suffix.

    Raises:
        click.UsageError: nothing does.
        MissingPackageError: Parquet without ``pyarrow``.
    """
    suffix = path.suffix.lower()
    if suffix not in _FORMATS:
        raise click.UsageError(
            f"--output {path}: the suffix decides the format; use one of {', '.join(_FORMATS)}"
        )
    if suffix == ".parquet" and find_spec("pyarrow") is None:
        raise MissingPackageError(f"--output {path} needs pyarrow: pip install pyarrow")
    return _FORMATS[suffix]
