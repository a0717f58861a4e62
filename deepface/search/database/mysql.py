"""MySQL and MariaDB, through PyMySQL, in the published tables."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import unquote, urlsplit

import pymysql
from pymysql.constants import SERVER_STATUS
from pymysql.cursors import Cursor

from deepface.errors import DatabaseError
from deepface.search.database.base import Criteria
from deepface.search.database.indexed import TURN, as_bytes
from deepface.search.database.server import PATIENCE, Server
from deepface.search.database.sql import INDEX_CRITERIA, SqlDatabase, parts_table

_SERVER = Server("MySQL", "DEEPFACE_MYSQL_URI", "mysql://user:password@host:port/database")
#: Lock that whoever writes holds, so that ids become visible in their order.
_LOCK = "deepface"
#: Codes of servers and databases that are not there, or no longer.
_NOT_THERE = (1049, 2002, 2003, 2005, 2006, 2013)
_OPTIONS = "ENGINE=InnoDB DEFAULT CHARSET=utf8mb4"
_TABLES = {
    "embeddings": f"""CREATE TABLE embeddings (
        id BIGINT AUTO_INCREMENT PRIMARY KEY,
        img_name TEXT NOT NULL,
        face LONGBLOB NOT NULL,
        face_shape VARCHAR(64) NOT NULL,
        model_name VARCHAR(100) NOT NULL,
        detector_backend VARCHAR(100) NOT NULL,
        aligned BOOLEAN DEFAULT TRUE,
        l2_normalized BOOLEAN DEFAULT FALSE,
        embedding MEDIUMBLOB NOT NULL,
        created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
        face_hash CHAR(64) NOT NULL,
        embedding_hash CHAR(64) NOT NULL,
        CONSTRAINT uq_embeddings_face_embedding UNIQUE (face_hash, embedding_hash),
        KEY ix_embeddings_criteria (model_name, detector_backend, aligned, l2_normalized, id)
    ) {_OPTIONS}""",
    "embeddings_index": f"""CREATE TABLE embeddings_index (
        id INT AUTO_INCREMENT PRIMARY KEY,
        model_name VARCHAR(100) NOT NULL,
        detector_backend VARCHAR(100) NOT NULL,
        align BOOLEAN NOT NULL,
        l2_normalized BOOLEAN NOT NULL,
        created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
        updated_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
        CONSTRAINT uq_embeddings_index_config
            UNIQUE (model_name, detector_backend, align, l2_normalized)
    ) {_OPTIONS}""",
    "embeddings_index_chunks": f"""CREATE TABLE embeddings_index_chunks (
        index_id INT NOT NULL,
        chunk INT NOT NULL,
        data MEDIUMBLOB NOT NULL,
        PRIMARY KEY (index_id, chunk),
        CONSTRAINT fk_embeddings_index_chunks FOREIGN KEY (index_id)
            REFERENCES embeddings_index (id) ON DELETE CASCADE
    ) {_OPTIONS}""",
    "embeddings_index_parts": f"{parts_table('VARCHAR(64)', 'INT', 'LONGBLOB')} {_OPTIONS}",
}
_INDEX_ROW = f"FROM embeddings_index WHERE {INDEX_CRITERIA}"


class MySQL(SqlDatabase):
    """A MySQL or MariaDB server.

    Args:
        details: ``mysql://user:password@host:port/database``, with user and password
            percent-encoded, or a dict of arguments of ``pymysql.connect``.
        connection: a ``pymysql`` connection of the caller's. What is written is committed, unless a
            transaction was open already.
    """

    tables = _TABLES
    connection_method = "server_status"
    driver_errors = (pymysql.Error,)
    reusable = True

    def __init__(self, details: Any = None, connection: Any = None) -> None:
        self._connection: Any = connection or _connect(details)
        self._commits = not self._connection.server_status & SERVER_STATUS.SERVER_STATUS_IN_TRANS

    @classmethod
    def explain(cls, error: Exception, details: Any) -> Exception:
        code, text = (*error.args, "", "")[:2]
        if code in (1044, 1045, 1698):
            return _SERVER.refused(text)
        if code in (1142, 1143, 1227):
            return _SERVER.forbidden(text)
        if code in _NOT_THERE or isinstance(error, pymysql.InterfaceError):
            return _SERVER.unreachable(text or code)
        return DatabaseError(f"MySQL: {text or code or type(error).__name__}")

    def run(self, statement: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with self._connection.cursor(Cursor) as cursor:
            cursor.execute(statement.replace("?", "%s"), list(parameters))
            return [tuple(row) for row in cursor.fetchall()]

    def run_many(self, statement: str, rows: Sequence[Sequence[Any]]) -> None:
        """See the base class. The driver makes statements of a megabyte of the rows."""
        with self._connection.cursor(Cursor) as cursor:
            cursor.executemany(statement.replace("?", "%s"), rows)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """See the base class. Inside a transaction of the caller's, a part of it."""
        if not self.run("SELECT GET_LOCK(?, ?)", [_LOCK, TURN])[0][0]:
            raise DatabaseError(f"others have been writing for {TURN} seconds: try again")
        begin, commit, undo = "START TRANSACTION", "COMMIT", "ROLLBACK"
        if not self._commits:
            begin, commit = "SAVEPOINT deepface", "RELEASE SAVEPOINT deepface"
            undo = "ROLLBACK TO SAVEPOINT deepface"
        try:
            self.run(begin)
            yield
            self.run(commit)
        except BaseException:
            with suppress(pymysql.Error):  # where the connection is lost, so is the transaction
                self.run(undo)
                self._release()
            raise
        self._release()

    def _release(self) -> None:
        self.run("SELECT RELEASE_LOCK(?)", [_LOCK])

    def has_table(self, name: str) -> bool:
        return bool(
            self.run(
                "SELECT 1 FROM information_schema.tables "
                "WHERE table_schema = DATABASE() AND table_name = ?",
                [name],
            )
        )

    def make_tables(self) -> None:
        missing = [name for name in self.tables if not self.has_table(name)]
        if missing and not self._commits:
            raise DatabaseError(
                f"the tables {', '.join(missing)} are missing, and to make them would end the "
                "transaction that is open: commit it first"
            )
        for name in missing:  # which ends the transaction: there is nothing in it yet
            self.run(self.tables[name])
        if missing:
            self.run("START TRANSACTION")

    def place(self) -> str:
        ((database,),) = self.run("SELECT DATABASE()")
        return f"mysql {self._connection.get_host_info()} {self._connection.port} {database}"

    def index_data(self, criteria: Criteria) -> bytes | None:
        """See the base class: the first of the published chunks, with what changes with it."""
        if not self.has_table("embeddings_index_chunks"):
            return None
        rows = self.run(f"SELECT id, updated_at {_INDEX_ROW}", list(criteria.columns.values()))
        if not rows:
            return None
        chunks = self.run(
            "SELECT data FROM embeddings_index_chunks WHERE index_id = ? AND chunk = 0",
            [rows[0][0]],
        )
        data = as_bytes(chunks[0][0]) if chunks else b""
        return data if len(data) < 100 else repr(rows[0]).encode()

    def set_index_data(self, criteria: Criteria, data: bytes) -> None:
        values = list(criteria.columns.values())
        if not self.run(f"SELECT id {_INDEX_ROW}", values):
            self.run(
                "INSERT INTO embeddings_index (model_name, detector_backend, align, "
                "l2_normalized) VALUES (?, ?, ?, ?)",
                values,
            )
        ((index_id,),) = self.run(f"SELECT id {_INDEX_ROW}", values)
        self.run("DELETE FROM embeddings_index_chunks WHERE index_id = ?", [index_id])
        self.run(
            "INSERT INTO embeddings_index_chunks (index_id, chunk, data) VALUES (?, 0, ?)",
            [index_id, data],
        )
        self.run(
            "UPDATE embeddings_index SET updated_at = CURRENT_TIMESTAMP WHERE id = ?", [index_id]
        )


def _connect(details: Any) -> Any:
    options = dict(details) if isinstance(details, dict) else options_of(str(details))
    options.setdefault("connect_timeout", PATIENCE)
    options.setdefault("charset", "utf8mb4")
    return pymysql.connect(**{**options, "autocommit": True})


def options_of(uri: str) -> dict[str, Any]:
    """What ``pymysql.connect`` takes for an address."""
    try:
        parts = urlsplit(uri)
        port = parts.port
    except ValueError:
        port, parts = None, urlsplit("")
    database = parts.path.strip("/")
    if parts.scheme != "mysql" or not re.fullmatch(r"[^/]+", database):
        raise DatabaseError(  # without the address, which holds a password
            "connection_details is no MySQL address: MySQL uri must start with mysql://, as in "
            f"{_SERVER.address}"
        )
    return {
        "host": parts.hostname or "localhost",
        "port": port or 3306,
        "user": unquote(parts.username or ""),
        "password": unquote(parts.password or ""),
        "database": unquote(database),
    }
