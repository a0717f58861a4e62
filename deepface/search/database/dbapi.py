"""SQL servers through drivers of the DB-API (PEP 249): Oracle, SQL Server, Db2."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from typing import Any, ClassVar

from deepface.errors import DatabaseError
from deepface.search.database.base import Criteria
from deepface.search.database.server import Server
from deepface.search.database.sql import SqlDatabase, parts_table


@dataclass(frozen=True)
class Dialect:
    """What differs between these servers."""

    server: Server
    #: Types of columns.
    id: str
    index_id: str
    text: str
    name: str
    flag: str
    face: str
    embedding: str
    index: str
    number: str
    moment: str
    #: In the driver's messages: the user is refused; may not do this; there is no server.
    refused: str
    forbidden: str
    unreachable: str
    #: Whether a table exists, for its name as a parameter, which is in capitals where names fold.
    find_table: str
    folds: bool = True
    #: Lets nobody else write until the transaction ends, so that ids become visible in their order.
    lock: str = "LOCK TABLE embeddings IN EXCLUSIVE MODE"

    @property
    def tables(self) -> dict[str, str]:
        """The published tables, and that of the parts of an index."""
        text = f"{self.text}(100) NOT NULL"
        names = f"model_name {text}, detector_backend {text}"
        unique = "UNIQUE (model_name, detector_backend, align, l2_normalized)"
        return {
            "embeddings": f"""CREATE TABLE embeddings (
                id {self.id} PRIMARY KEY,
                img_name {self.name},
                face {self.face} NOT NULL,
                face_shape VARCHAR(64) NOT NULL,
                {names},
                aligned {self.flag} DEFAULT 1,
                l2_normalized {self.flag} DEFAULT 0,
                embedding {self.embedding} NOT NULL,
                created_at {self.moment},
                face_hash CHAR(64) NOT NULL,
                embedding_hash CHAR(64) NOT NULL,
                CONSTRAINT uq_embeddings_face_embedding UNIQUE (face_hash, embedding_hash)
            )""",
            "embeddings_index": f"""CREATE TABLE embeddings_index (
                id {self.index_id} PRIMARY KEY,
                {names},
                align {self.flag} NOT NULL,
                l2_normalized {self.flag} NOT NULL,
                index_data {self.index},
                created_at {self.moment},
                updated_at {self.moment},
                CONSTRAINT uq_embeddings_index_config {unique}
            )""",
            "embeddings_index_parts": parts_table("VARCHAR(64)", self.number, self.embedding),
        }


class DbApiDatabase(SqlDatabase):
    """A server with the dialect that follows.

    Args:
        details: what the driver's ``connect`` takes: a text, or a dict of its arguments.
        connection: a connection of the driver, the caller's. What it has open is committed together
            with what is written, and undone together with it.
    """

    reusable = True
    dialect: ClassVar[Dialect]
    first_rows = "OFFSET 0 ROWS FETCH NEXT {} ROWS ONLY"

    def __init__(self, details: Any = None, connection: Any = None) -> None:
        self._connection: Any = connection or self.connect(details)
        #: Whether what is read ends its transaction, which would keep others from the lock.
        self._ends = connection is None

    @staticmethod
    @abstractmethod
    def connect(details: str | dict[str, Any]) -> Any:
        """A connection of the driver, which begins transactions by itself."""

    def close(self) -> None:
        with suppress(*self.driver_errors):  # it may be lost already
            self._connection.close()

    @classmethod
    def explain(cls, error: Exception, details: Any) -> Exception:
        text = re.sub(r"(?i)((?:pwd|password)\s*=\s*)(\{[^}]*\}|[^;\s]*)", r"\1***", str(error))
        text = re.sub(r"/[^/@\s]*@", "/***@", " ".join(text.split()))
        dialect, server = cls.dialect, cls.dialect.server
        if re.search(dialect.refused, text):
            return server.refused(text)
        if re.search(dialect.forbidden, text):
            return DatabaseError(
                f"The {server.name} user does not have permission to do this, e.g. to create the "
                f"tables {', '.join(cls.tables)}. Please ask your database administrator to grant "
                f"it. ({text})"
            )
        if re.search(dialect.unreachable, text):
            return server.unreachable(text)
        return DatabaseError(f"{server.name}: {text}")

    def run(self, statement: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with closing(self._connection.cursor()) as cursor:
            self.execute(cursor, statement, [self.to_parameter(value) for value in parameters])
            rows = [tuple(row) for row in cursor.fetchall()] if cursor.description else []
        if self._ends:
            self._connection.commit()
        return rows

    def ping(self) -> None:
        self.has_table("embeddings")

    def execute(self, cursor: Any, statement: str, parameters: list[Any]) -> None:
        """Run a statement with ``?`` for its parameters."""
        cursor.execute(statement, parameters)

    def to_parameter(self, value: Any) -> Any:
        """A value as the driver takes it."""
        return int(value) if isinstance(value, bool) else value

    @contextmanager
    def writing(self) -> Iterator[None]:
        automatic = getattr(self._connection, "autocommit", False) is True  # the caller's
        if automatic:
            self._connection.autocommit = False
        ends, self._ends = self._ends, False
        try:
            yield
            self._connection.commit()
        except BaseException:
            with suppress(*self.driver_errors):  # where the connection is lost, so is this
                self._connection.rollback()
            raise
        finally:
            self._ends = ends
            if automatic:
                self._connection.autocommit = True

    def has_table(self, name: str) -> bool:
        return bool(
            self.run(self.dialect.find_table, [name.upper() if self.dialect.folds else name])
        )

    def prepare(self, criteria: Criteria, dimensions: int) -> None:
        super().prepare(criteria, dimensions)
        self.run(self.dialect.lock)

    def make_tables(self) -> None:
        """See the base class. Others may make the same tables at the same moment."""
        try:
            super().make_tables()
        except self.driver_errors:
            if not all(map(self.has_table, self.tables)):
                raise
