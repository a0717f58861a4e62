"""A gallery as a file: ``npz``, ``feather`` or ``parquet``, in the published columns.

Files of the published library are read, and it reads ours. Nothing is ever unpickled.
"""

from __future__ import annotations

import json
import zipfile
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from deepface.errors import DeepFaceError, MissingPackageError
from deepface.search.folder.faces import Gallery, compact

FORMATS = ("npz", "feather", "parquet")
AREA = ("target_x", "target_y", "target_w", "target_h")
_COLUMNS = ("identity", "hash", "embedding", *AREA)
#: Where our own notes about a file are kept. The published library overlooks it.
_NOTES = "deepface"

Columns = dict[str, Any]


def check_format(kind: str) -> None:
    """Raise an error for a format that is unknown, or whose package is missing."""
    if kind not in FORMATS:
        raise ValueError(f"unknown datastore_format {kind!r}; use one of {', '.join(FORMATS)}")
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
        if missing := [name for name in _COLUMNS if name not in columns]:
            raise DeepFaceError(f"it does not have the columns {', '.join(missing)}")
        return _gallery(columns), dict(json.loads(notes)) if notes else {}
    except MissingPackageError:
        raise
    except (ValueError, TypeError, KeyError, OverflowError, EOFError, zipfile.BadZipFile) as error:
        raise DeepFaceError(str(error)) from error


def _gallery(columns: Columns) -> Gallery:
    embedding = np.asarray(columns["embedding"], dtype=np.float64)
    gallery = Gallery(
        identity=np.asarray(columns["identity"], dtype=np.str_),
        hash=np.asarray(columns["hash"], dtype=np.str_),
        area=np.stack([np.asarray(columns[name], dtype=np.int64) for name in AREA], axis=-1),
        embedding=compact(embedding),
        has_embedding=np.asarray(columns["has_embedding"], dtype=bool),
    )
    count = len(gallery.identity)
    shapes = (gallery.hash.shape, gallery.has_embedding.shape, gallery.area.shape[:1])
    if embedding.ndim != 2 or {*shapes, embedding.shape[:1]} != {(count,)}:
        raise DeepFaceError("its columns differ in length")
    if not np.isfinite(embedding).all():
        raise DeepFaceError("it has vectors with values that are not finite")
    return gallery


def _read_npz(file: IO[bytes]) -> tuple[Columns, str]:
    if not zipfile.is_zipfile(file):
        raise DeepFaceError("it is no npz file, or a part of one")
    file.seek(0)
    with np.load(file, allow_pickle=False) as arrays:
        columns = {name: arrays[name] for name in (*_COLUMNS, "has_embedding") if name in arrays}
        notes = str(arrays[_NOTES]) if _NOTES in arrays else ""
    if "has_embedding" not in columns:
        raise DeepFaceError("it does not have the column has_embedding")
    return columns, notes


def _write_arrow(columns: Columns, notes: dict[str, str], kind: str, file: IO[bytes]) -> None:
    pa = _pyarrow()
    has_embedding = columns.pop("has_embedding")
    vectors = [
        vector if there else None
        for vector, there in zip(columns.pop("embedding"), has_embedding, strict=True)
    ]
    table = pa.table(
        {
            "identity": pa.array(columns.pop("identity").tolist(), pa.string()),
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


def _read_arrow(file: IO[bytes], kind: str) -> tuple[Columns, str]:
    pa = _pyarrow()
    try:
        if kind == "feather":
            from pyarrow import feather

            table = feather.read_table(file)
        else:
            from pyarrow import parquet

            table = parquet.read_table(file)
    except (pa.ArrowException, OSError) as error:
        raise DeepFaceError(f"it is no {kind} file, or a part of one ({error})") from error
    columns = {name: table.column(name) for name in _COLUMNS if name in table.column_names}
    arrays: Columns = {
        name: np.array(column.to_pylist())
        for name, column in columns.items()
        if name != "embedding"
    }
    if "embedding" in columns:
        vectors = columns["embedding"].to_pylist()
        arrays["has_embedding"] = np.array([vector is not None for vector in vectors], dtype=bool)
        arrays["embedding"] = _stacked(vectors)
    return arrays, (table.schema.metadata or {}).get(_NOTES.encode(), b"").decode()


def _stacked(vectors: list[list[float] | None]) -> NDArray[np.float64]:
    """Vectors ``(n, d)``, with zeros where there is none."""
    there = [vector for vector in vectors if vector is not None]
    zeros = [0.0] * (len(there[0]) if there else 0)
    return np.array([zeros if vector is None else vector for vector in vectors]).reshape(
        len(vectors), len(zeros)
    )


def _pyarrow() -> Any:
    try:
        import pyarrow
    except ModuleNotFoundError as error:
        raise MissingPackageError(
            "the datastore formats feather and parquet need pyarrow: pip install pyarrow "
            "(or use datastore_format='npz', which needs nothing)"
        ) from error
    return pyarrow
