"""A gallery as a file: ``npz``, ``feather`` or ``parquet``, in the published columns.

Files of the published library are read, and it reads ours. Nothing is ever unpickled.
"""

from __future__ import annotations

import json
import math
import os
import re
import struct
import subprocess
import sys
import zipfile
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from deepface.arguments import one_of
from deepface.errors import DeepFaceError, MissingPackageError, fault_of
from deepface.search.folder.gallery import Gallery, compact

FORMATS = ("npz", "feather", "parquet")
AREA = ("target_x", "target_y", "target_w", "target_h")
_COLUMNS = ("identity", "hash", "embedding", *AREA)
#: Where our own notes about a file are kept. The published library overlooks it.
_NOTES = "deepface"

#: Notes of the Arrow formats: names that are no UTF-8, row -> name.
_ODD_NAMES = "odd_names"
#: A file may unpack to so many bytes, and so many times its size.
_UNPACKED, _RATIO = 64 << 20, 20
#: What numpy writes before an array. numpy parses it with ``ast``, which fails now and then when
#: threads do so at the same time (a SystemError in Python 3.11 and 3.12).
_NPY_HEADER = re.compile(
    r"\{'descr': '([^']+)', 'fortran_order': (True|False), 'shape': \(([\d, ]*)\), \} *\n"
)

Columns = dict[str, Any]


def check_format(kind: str) -> None:
    """Raise an error for a format that is unknown, or whose package is missing."""
    one_of("datastore_format", kind, FORMATS)
    if kind != "npz":
        _pyarrow()


def write(gallery: Gallery, notes: dict[str, str], kind: str, file: IO[bytes]) -> None:
    """Write a gallery to an open file; ``notes`` come back when it is read."""
    columns: Columns = {
        "identity": gallery.identity,
        "hash": gallery.hash,
        "embedding": gallery.embedding.astype(np.float64),
        "has_embedding": gallery.has_embedding,
        **dict(zip(AREA, gallery.area.T, strict=True)),
    }
    if kind == "npz":
        np.savez(file, allow_pickle=False, **columns, **{_NOTES: np.array(json.dumps(notes))})
    else:
        _write_arrow(columns, notes, kind, file)


def read(file: IO[bytes], kind: str) -> tuple[Gallery, dict[str, str]]:
    """Read what :func:`write` wrote: the gallery and the notes (none in a published file).

    Raises:
        DeepFaceError: the file is damaged or something else.
    """
    try:
        columns, notes = _read_npz(file) if kind == "npz" else _read_arrow(file, kind)
        if missing := [name for name in (*_COLUMNS, "has_embedding") if name not in columns]:
            raise DeepFaceError(f"it does not have the columns {', '.join(missing)}")
        return _gallery(columns), _notes(notes)
    except Exception as error:  # whatever the parsers make of bytes that somebody else wrote
        if isinstance(error, DeepFaceError) or fault_of(error) == "machine":
            raise
        raise DeepFaceError(f"{type(error).__name__}: {error}") from error


def _notes(text: str) -> dict[str, str]:
    notes = json.loads(text) if text else {}
    if not isinstance(notes, dict) or not all(isinstance(note, str) for note in notes.values()):
        raise DeepFaceError("its notes are none of ours")
    return notes


def _gallery(columns: Columns) -> Gallery:
    embedding = _array(columns, "embedding", "fiu", np.float64)
    gallery = Gallery(
        identity=_array(columns, "identity", "U", np.str_),
        hash=_array(columns, "hash", "U", np.str_),
        area=np.stack([_array(columns, name, "iu", np.int64) for name in AREA], axis=-1),
        embedding=compact(embedding),
        has_embedding=_array(columns, "has_embedding", "b", np.bool_),
    )
    count = len(gallery.identity)
    shapes = (gallery.identity.shape, gallery.hash.shape, gallery.has_embedding.shape)
    if embedding.ndim != 2 or {*shapes, embedding.shape[:1]} != {(count,)}:
        raise DeepFaceError("its columns differ in length")
    if gallery.area.shape != (count, 4):
        raise DeepFaceError("its columns differ in length")
    if not np.isfinite(embedding).all():
        raise DeepFaceError("it has vectors with values that are not finite")
    # Code points that are none are found here, not at the first search.
    gallery.identity.tolist(), gallery.hash.tolist()
    return gallery


def _array(columns: Columns, name: str, kinds: str, dtype: Any) -> NDArray[Any]:
    array = np.asarray(columns[name])
    if array.dtype.kind not in kinds and array.size:
        raise DeepFaceError(f"its column {name} is of type {array.dtype}")
    return array.astype(dtype, copy=False)


def _read_npz(file: IO[bytes]) -> tuple[Columns, str]:
    if not zipfile.is_zipfile(file):
        raise DeepFaceError("it is no npz file, or a part of one")
    with zipfile.ZipFile(file) as archive:
        _check_sizes(sum(info.file_size for info in archive.infolist()), file)
        names = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
        columns = {
            name: _read_array(archive, names[name])
            for name in (*_COLUMNS, "has_embedding")
            if name in names
        }
        notes = str(_read_array(archive, names[_NOTES])) if _NOTES in names else ""
    return columns, notes


def _read_array(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> NDArray[Any]:
    """An array that is as large as its file in the archive: its header promises no more."""
    with archive.open(info) as member:
        long = npy.read_magic(member) != (1, 0)
        length = int.from_bytes(member.read(4 if long else 2), "little")
        header = _NPY_HEADER.fullmatch(member.read(length).decode("latin1"))
        if header is None:
            raise DeepFaceError(f"its column {info.filename} is no plain array")
        dtype, fortran = np.dtype(header[1]), header[2] == "True"
        shape = tuple(int(side) for side in header[3].split(",") if side.strip())
        if dtype.hasobject:
            raise DeepFaceError("it has pickled objects (allow_pickle is off)")
        if math.prod(shape) * dtype.itemsize != info.file_size - member.tell():
            raise DeepFaceError(f"its column {info.filename} is not as large as it says")
        array = np.frombuffer(member.read(), dtype)
    return array.reshape(shape, order="F" if fortran else "C")


_COUNT = """
import sys
from pyarrow import parquet
declared = parquet.read_metadata(sys.stdin.buffer)
groups = [declared.row_group(n) for n in range(declared.num_row_groups)]
columns = [g.column(n) for g in groups for n in range(g.num_columns)]
print(sum(max(8 * column.num_values, column.total_uncompressed_size) for column in columns))
"""


def _check_sizes(declared: int, file: IO[bytes]) -> None:
    """A file that unpacks to much more than itself was made to fill the memory."""
    place = file.tell()
    size = file.seek(0, os.SEEK_END)
    file.seek(place)
    if declared > _UNPACKED + _RATIO * size:
        raise DeepFaceError(f"its {size} bytes would unpack to {declared}")


def _write_arrow(columns: Columns, notes: dict[str, str], kind: str, file: IO[bytes]) -> None:
    pa = _pyarrow()
    has_embedding = columns.pop("has_embedding")
    identity = columns.pop("identity").tolist()
    odd = {str(row): name for row, name in enumerate(identity) if _utf8(name) != name}
    if odd:
        notes = {**notes, _ODD_NAMES: json.dumps(odd)}
    vectors = [
        vector if there else None
        for vector, there in zip(columns.pop("embedding"), has_embedding, strict=True)
    ]
    table = pa.table(
        {
            "identity": pa.array([_utf8(name) for name in identity], pa.string()),
            "hash": pa.array(columns.pop("hash").tolist(), pa.string()),
            "embedding": pa.array(vectors, pa.list_(pa.float64())),
            **columns,
        },
        metadata={_NOTES: json.dumps(notes)},
    )
    if kind == "feather":
        from pyarrow import feather

        feather.write_feather(table, file, compression="uncompressed")
    else:
        from pyarrow import parquet

        parquet.write_table(table, file)


def _parquet_bytes(file: IO[bytes]) -> int:
    """What the file says that it unpacks to, by a process of its own: damaged columns end it."""
    if not sys.executable or getattr(sys, "frozen", False):  # a frozen program is its executable
        return 0
    file.seek(0)
    done = subprocess.run(  # noqa: S603 - the program is ours
        [sys.executable, "-c", _COUNT], stdin=file, capture_output=True, check=False
    )
    file.seek(0)
    if done.returncode or not done.stdout.strip().isdigit():
        reason = done.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2]
        raise DeepFaceError(f"it is no parquet file, or a part of one ({reason[:200]})")
    return int(done.stdout)


def _read_feather(file: IO[bytes], pa: Any) -> Any:
    """The table of an Arrow file, batch after batch: each says first what it unpacks to."""
    file.seek(0)
    begin = file.read(8)
    file.seek(-6, os.SEEK_END)
    if begin != b"ARROW1\0\0" or file.read() != b"ARROW1":
        raise pa.ArrowInvalid("it does not begin and end as one")
    file.seek(8)
    messages = pa.ipc.MessageReader.open_stream(file)
    schema = pa.ipc.read_schema(messages.read_next_message())
    batches, declared = [], 0
    for message in messages:
        declared += _unpacked(message)
        _check_sizes(declared, file)
        batches.append(pa.ipc.read_record_batch(message, schema))
        declared += 8 * batches[-1].num_rows * len(schema)  # also of columns that take no bytes
    _check_sizes(declared, file)
    return pa.Table.from_batches(batches, schema)


def _unpacked(message: Any) -> int:
    """Bytes that the compressed buffers of a record batch say that they unpack to, each at its
    begin (Arrow columnar format, ``Message.fbs``).
    """
    data, body = memoryview(message.metadata), memoryview(message.body)

    def field(table: int, number: int) -> int:
        """Where a field of a table is; 0 where it is left out."""
        fields = table - struct.unpack_from("<i", data, table)[0]
        places = struct.unpack_from("<H", data, fields)[0] // 2 - 2
        place = struct.unpack_from("<H", data, fields + 4 + 2 * number)[0] if number < places else 0
        return table + place if place else 0

    def follow(place: int) -> int:
        return place + int(struct.unpack_from("<I", data, place)[0])

    if message.type != "record batch":
        raise DeepFaceError(f"it has a {message.type} where a record batch is expected")
    batch = follow(field(follow(0), 2))
    if not field(batch, 3):  # not compressed
        return 0
    buffers = follow(field(batch, 2))
    (count,) = struct.unpack_from("<I", data, buffers)
    places = struct.iter_unpack("<qq", data[buffers + 4 :][: 16 * count])
    starts = [start for start, length in places if length >= 8]
    return sum(max(0, struct.unpack_from("<q", body, start)[0]) for start in starts)


def _is_plain(type_: Any, pa: Any) -> bool:
    """Whether values are numbers, texts, or lists of numbers."""
    of = pa.types
    if of.is_list(type_) or of.is_large_list(type_) or of.is_fixed_size_list(type_):
        return bool(of.is_floating(type_.value_type))
    plain = (of.is_integer, of.is_floating, of.is_boolean, of.is_string, of.is_large_string)
    return any(check(type_) for check in plain) or bool(of.is_null(type_))


def _read_arrow(file: IO[bytes], kind: str) -> tuple[Columns, str]:
    pa = _pyarrow()
    try:
        if kind == "feather":
            table = _read_feather(file, pa)
        else:
            from pyarrow import parquet

            _check_sizes(_parquet_bytes(file), file)
            table = parquet.read_table(file)
        table.validate(full=True)
    except (pa.ArrowException, OSError) as error:
        raise DeepFaceError(f"it is no {kind} file, or a part of one ({error})") from error
    columns = {name: table.column(name) for name in _COLUMNS if name in table.column_names}
    for name, column in columns.items():
        # Some damaged types end the process when they become Python's values.
        if not _is_plain(column.type, pa):
            raise DeepFaceError(f"its column {name} is of type {str(column.type)[:50]}")
    arrays: Columns = {
        name: np.array(column.to_pylist())
        for name, column in columns.items()
        if name != "embedding"
    }
    if "embedding" in columns:
        vectors = columns["embedding"].to_pylist()
        arrays["has_embedding"] = np.array([vector is not None for vector in vectors], dtype=bool)
        arrays["embedding"] = _stacked(vectors)
    notes = (table.schema.metadata or {}).get(_NOTES.encode(), b"").decode()
    if odd := _notes(notes).get(_ODD_NAMES):
        names = dict(enumerate(arrays["identity"].tolist()))
        names |= {int(row): str(name) for row, name in json.loads(odd).items()}
        arrays["identity"] = np.array(list(names.values()), dtype=np.str_)
    return arrays, notes


def _utf8(name: str) -> str:
    """A name as these formats can hold it: bytes that are no UTF-8 become escapes."""
    return name.encode(errors="backslashreplace").decode()


def _stacked(vectors: list[list[float] | None]) -> NDArray[np.float64]:
    """Vectors ``(n, d)``, with zeros where there is none."""
    zeros = next(([0.0] * len(vector) for vector in vectors if vector is not None), [])
    filled = [zeros if vector is None else vector for vector in vectors]
    return np.array(filled).reshape(len(vectors), len(zeros))


def _pyarrow() -> Any:
    try:
        import pyarrow
    except ModuleNotFoundError as error:
        raise MissingPackageError(
            f"the datastore formats feather and parquet need pyarrow ({error}): "
            "pip install pyarrow (or use datastore_format='npz', which needs nothing)"
        ) from error
    return pyarrow
