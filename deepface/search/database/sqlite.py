"""SQLite: the embedded database, one file and nothing to set up. The default.

Files of the published library are read and continued. In tables made here the pixels of faces are
the last column: they are large, and a search reads vectors only.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from deepface.errors import DatabaseError
from deepface.logger import get_logger
from deepface.runtime.home import get_deepface_home
from deepface.search.database.base import Criteria
from deepface.search.database.sql import SqlDatabase, parts_table

#: Seconds to wait for another process that writes.
_PATIENCE = 60
_TABLES = {
    "embeddings": """CREATE TABLE embeddings (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        img_name TEXT NOT NULL,
        model_name TEXT NOT NULL,
        detector_backend TEXT NOT NULL,
        aligned INTEGER DEFAULT 1,
        l2_normalized INTEGER DEFAULT 0,
        embedding BLOB NOT NULL,
        created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
        face_hash TEXT NOT NULL,
        embedding_hash TEXT NOT NULL,
        face_shape TEXT NOT NULL,
        face BLOB NOT NULL,
        UNIQUE (face_hash, embedding_hash)
    )""",
    "embeddings_index": """CREATE TABLE embeddings_index (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        model_name TEXT,
        detector_backend TEXT,
        align INTEGER,
        l2_normalized INTEGER,
        index_data BLOB,
        created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
        updated_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
        UNIQUE (model_name, detector_backend, align, l2_normalized)
    )""",
    "embeddings_index_parts": parts_table("TEXT", "INTEGER", "BLOB"),
}
_INDEX = """CREATE INDEX IF NOT EXISTS embeddings_criteria
    ON embeddings (model_name, detector_backend, aligned, l2_normalized)"""
_told: set[str] = set()


def default_path() -> Path:
    """Where the embedded database is when nobody says where: ``$DEEPFACE_HOME/.deepface``."""
    return Path(get_deepface_home(), ".deepface", "faces.db")


class SQLite(SqlDatabase):
    """A database file.

    Args:
        details: its path (``":memory:"`` for none), a dict of arguments of ``sqlite3.connect``, or
            ``None`` for :func:`default_path`, which is logged once.
        connection: a ``sqlite3.Connection`` of the caller's.
    """

    tables = _TABLES
    driver_errors = (sqlite3.Error,)

    def __init__(self, details: Any = None, connection: Any = None) -> None:
        self._connection: sqlite3.Connection = connection or _connect(details)

    @classmethod
    def explain(cls, error: Exception, details: Any) -> Exception:
        what, text = "your database connection", str(error)
        if not isinstance(details, sqlite3.Connection):
            what = f"the database file {_path(details)}"
        if "not a database" in text or "malformed" in text:
            return DatabaseError(
                f"{what} is damaged or no SQLite file ({text}). It was left as it is: restore a "
                "copy, or name another file."
            )
        if "readonly" in text:
            return DatabaseError(f"{what} cannot be written ({text}): check its permissions")
        if "unable to open" in text:
            return DatabaseError(
                f"{what} cannot be opened: check that its folder exists and that you may use it"
            )
        if "locked" in text:
            return DatabaseError(f"{what} is being written by another program ({text}): try again")
        return DatabaseError(f"{what}: {text}")

    def run(self, statement: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        cursor = self._connection.cursor()
        cursor.row_factory = None  # whatever the caller's connection makes of rows
        return cursor.execute(statement, parameters).fetchall()

    def run_many(self, statement: str, rows: Sequence[Sequence[Any]]) -> None:
        self._connection.executemany(statement, rows)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """See the base class. Inside a transaction of the caller's, a part of it."""
        begin, commit, undo = "BEGIN IMMEDIATE", "COMMIT", ["ROLLBACK"]
        if self._connection.in_transaction:
            begin, commit = "SAVEPOINT deepface", "RELEASE deepface"
            undo = ["ROLLBACK TO deepface", commit]
        self.run(begin)
        try:
            yield
        except BaseException:
            for statement in undo if self._connection.in_transaction else ():
                self.run(statement)
            raise
        self.run(commit)

    def has_table(self, name: str) -> bool:
        return bool(
            self.run("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", [name])
        )

    def prepare(self, criteria: Criteria, dimensions: int) -> None:
        super().prepare(criteria, dimensions)
        self.run(_INDEX)

    def place(self) -> str:
        return str(self.run("PRAGMA database_list")[0][2])


def _path(details: Any) -> str:
    if not isinstance(details, dict):
        return os.fspath(default_path() if details is None else details)
    given = details.get("database", details.get("path"))
    if not isinstance(given, (str, os.PathLike)) or not os.fspath(given):
        raise DatabaseError("connection_details need the path of a file as 'database'")
    return str(os.fspath(given))


def _connect(details: Any) -> sqlite3.Connection:
    path = _path(details)
    if details is None:
        default_path().parent.mkdir(parents=True, exist_ok=True)
    if path not in _told and path != ":memory:":
        _told.add(path)
        get_logger().info("Faces are kept in the database file %s", Path(path).absolute())
    options = dict(details) if isinstance(details, dict) else {}
    options.pop("path", None)
    # Without an isolation level, transactions begin and end where the code says so.
    options |= {"database": path, "isolation_level": None}
    options.setdefault("timeout", _PATIENCE)
    connection: sqlite3.Connection = sqlite3.connect(**options)
    return connection
