"""PostgreSQL, through psycopg 3, in the published tables."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np
import psycopg
from numpy.typing import NDArray
from psycopg import pq
from psycopg.adapt import Dumper, Loader
from psycopg.conninfo import conninfo_to_dict
from psycopg.errors import InsufficientPrivilege
from psycopg.rows import tuple_row

from deepface.errors import DatabaseError
from deepface.search.database.base import Criteria, Vectors
from deepface.search.database.server import PATIENCE, Server
from deepface.search.database.sql import SqlDatabase, parts_table

_SERVER = Server(
    "PostgreSQL", "DEEPFACE_POSTGRES_URI", "postgresql://user:password@host:port/database"
)
#: Key of the lock that whoever writes holds, so that ids become visible in their order.
_LOCK = 0x64656570
#: A table of records, for its name and the types of ids and vectors.
EMBEDDINGS = """CREATE TABLE {} (
    id {} PRIMARY KEY,
    img_name TEXT NOT NULL,
    face BYTEA NOT NULL,
    face_shape INT[] NOT NULL,
    model_name TEXT NOT NULL,
    detector_backend TEXT NOT NULL,
    aligned BOOLEAN DEFAULT true,
    l2_normalized BOOLEAN DEFAULT false,
    embedding {} NOT NULL,
    created_at TIMESTAMPTZ DEFAULT now(),
    face_hash TEXT NOT NULL,
    embedding_hash TEXT NOT NULL,
    UNIQUE (face_hash, embedding_hash)
)"""
_TABLES = {
    "embeddings": EMBEDDINGS.format("embeddings", "BIGSERIAL", "FLOAT8[]"),
    "embeddings_index": """CREATE TABLE embeddings_index (
        id SERIAL PRIMARY KEY,
        model_name TEXT,
        detector_backend TEXT,
        align BOOLEAN,
        l2_normalized BOOLEAN,
        index_data BYTEA,
        created_at TIMESTAMPTZ DEFAULT now(),
        updated_at TIMESTAMPTZ DEFAULT now(),
        UNIQUE (model_name, detector_backend, align, l2_normalized)
    )""",
    "embeddings_index_parts": parts_table("TEXT", "INT", "BYTEA"),
}
_INDEX = """CREATE INDEX embeddings_criteria
    ON embeddings (model_name, detector_backend, aligned, l2_normalized, id)"""
_FLOAT8 = psycopg.adapters.types["float8"]
#: An element of an array of numbers as the server sends it, after 20 bytes about the array.
_ELEMENT = np.dtype([("size", ">i4"), ("value", ">f8")])


class _Vector(Loader):
    """``float8[]`` without a Python object per number."""

    format = pq.Format.BINARY

    def load(self, data: Any) -> NDArray[np.float64]:
        return np.frombuffer(bytes(data), dtype=_ELEMENT, offset=20)["value"].astype(np.float64)


class _VectorParameter(Dumper):
    """The other way. As a list, the driver writes the numbers out as text, one by one."""

    format = pq.Format.BINARY
    oid = _FLOAT8.array_oid

    def dump(self, obj: Vectors) -> bytes:
        elements = np.empty(len(obj), _ELEMENT)
        elements["size"], elements["value"] = 8, obj
        # One dimension, no NULL, the type, how many, and the number of the first.
        return struct.pack("!5i", 1, 0, _FLOAT8.oid, len(obj), 1) + elements.tobytes()


class Postgres(SqlDatabase):
    """A PostgreSQL server.

    Args:
        details: a URI (``postgresql://user:password@host:port/database``), a ``key=value`` string,
            or a dict of these keys.
        connection: a ``psycopg.Connection`` of the caller's. What is written is committed, unless
            a transaction was open already.
    """

    tables = _TABLES
    connection_method = "pgconn"
    driver_errors = (psycopg.Error,)
    reusable = True

    def __init__(self, details: Any = None, connection: Any = None) -> None:
        self._connection: psycopg.Connection[Any] = connection or _connect(details)
        idle = self._connection.info.transaction_status == pq.TransactionStatus.IDLE
        self._commits = idle and not self._connection.autocommit

    @classmethod
    def explain(cls, error: Exception, details: Any) -> Exception:
        text = _without_secrets(str(error).strip())
        if "password authentication failed" in text:
            return _SERVER.refused(text)
        if isinstance(error, InsufficientPrivilege):
            return _SERVER.forbidden(text)
        if isinstance(error, psycopg.OperationalError):
            return _SERVER.unreachable(text)
        return DatabaseError(f"PostgreSQL: {text}")

    @contextmanager
    def _cursor(self) -> Iterator[psycopg.Cursor[tuple[Any, ...]]]:
        with self._connection.cursor(binary=True, row_factory=tuple_row) as cursor:
            cursor.adapters.register_loader(_FLOAT8.array_oid, _Vector)
            cursor.adapters.register_dumper(np.ndarray, _VectorParameter)
            yield cursor

    def run(self, statement: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with self._cursor() as cursor:
            cursor.execute(statement.replace("?", "%s").encode(), parameters)
            return cursor.fetchall() if cursor.description else []

    def run_many(self, statement: str, rows: Sequence[Sequence[Any]]) -> None:
        """See the base class. The driver sends them without waiting for each answer."""
        with self._cursor() as cursor:
            cursor.executemany(statement.replace("?", "%s").encode(), rows)

    @contextmanager
    def writing(self) -> Iterator[None]:
        with self._connection.transaction():
            self.run("SELECT pg_advisory_xact_lock(?)", [_LOCK])
            yield
        if self._commits:
            self._connection.commit()

    def has_table(self, name: str) -> bool:
        return self.run("SELECT to_regclass(?) IS NOT NULL", [name])[0][0] is True

    def prepare(self, criteria: Criteria, dimensions: int) -> None:
        is_new = not self.has_table("embeddings")
        super().prepare(criteria, dimensions)
        if is_new:
            self.run(_INDEX)

    def _rows_where(
        self, criteria: Criteria, columns: str, key: str, *options: Any
    ) -> list[tuple[Any, ...]]:
        """See the base class. Faces by the index: without statistics, which a table lacks that the
        open transaction fills, the server would read all of it for each batch.
        """
        index = {"enable_seqscan": "off"} if key == "face_hash" else {}
        with self._settings(index) if index else nullcontext():
            return super()._rows_where(criteria, columns, key, *options)

    @contextmanager
    def _settings(self, settings: Mapping[str, Any]) -> Iterator[None]:
        """Settings of the server, by name, for a block that writes nothing.

        They are rolled back: a transaction of the caller's would keep them.
        """
        with self._connection.transaction(force_rollback=True):
            for name, value in settings.items():
                self.run("SELECT set_config(?, ?, true)", [name, str(value)])
            yield

    def place(self) -> str:
        info = self._connection.info
        return f"postgres {info.host}:{info.port}/{info.dbname}"

    def to_vector(self, vector: Vectors) -> Any:
        return vector

    def from_vector(self, value: Any) -> NDArray[Any]:
        return np.asarray(value)

    def to_shape(self, shape: tuple[int, ...]) -> Any:
        return list(shape)


def _connect(details: Any) -> psycopg.Connection[Any]:
    try:
        given = details if isinstance(details, dict) else conninfo_to_dict(str(details))
    except psycopg.ProgrammingError:  # whose message quotes the address, with its password
        raise DatabaseError(
            f"{_SERVER.no_address()}. For a file use database_type='sqlite'."
        ) from None
    options = dict(given)
    options.setdefault("connect_timeout", PATIENCE)
    return psycopg.connect(**options, autocommit=True)


def _without_secrets(text: str) -> str:
    text = re.sub(r"(://[^:/@\s]*):[^@\s]*@", r"\1:***@", text)
    return re.sub(r"(password\s*=\s*)('[^']*'|\S+)", r"\1***", text)
