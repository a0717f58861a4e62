"""The published tables, for SQL databases.

``embeddings`` holds the records, ``embeddings_index`` one approximate index per criteria. The
published library keeps an index in one value, which databases limit to 1 GB; here it is in parts,
in a table of its own, and ``index_data`` names them.
"""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from deepface.errors import DataTypeError
from deepface.runtime.execution.batching import chunks
from deepface.search.database.base import (
    PAGE,
    PORTION,
    Criteria,
    Id,
    Page,
    Record,
    Vectors,
    name_of,
    packed,
    storable,
    unpacked,
)
from deepface.search.database.indexed import IndexedDatabase, as_bytes

_MADE = "model_name, detector_backend, aligned, l2_normalized"
CRITERIA = "model_name = ? AND detector_backend = ? AND aligned = ? AND l2_normalized = ?"
INDEX_CRITERIA = CRITERIA.replace("aligned", "align")


def parts_table(text: str, number: str, data: str) -> str:
    """The statement that makes the table of the parts of an index, for the types of its columns."""
    return (
        f"CREATE TABLE embeddings_index_parts (version {text} NOT NULL, part {number} NOT NULL, "
        f"data {data} NOT NULL, PRIMARY KEY (version, part))"
    )


class SqlDatabase(IndexedDatabase):
    """An SQL database. Statements have ``?`` for parameters; table names come from here only."""

    transactions: ClassVar[bool] = True
    #: The statement that makes a table, by its name.
    tables: ClassVar[dict[str, str]] = {}
    #: How a vector goes into a statement, and how it is read.
    vector_parameter: ClassVar[str] = "?"
    vector_column: ClassVar[str] = "embedding"
    #: How the dialect says "the first n rows", and what counts the bytes of a value.
    first_rows: ClassVar[str] = "LIMIT {}"
    length: ClassVar[str] = "length"
    #: Bytes of a name that the published column takes, where that is few.
    longest_name: ClassVar[int | None] = None

    def ping(self) -> None:
        self.run("SELECT 1")

    @abstractmethod
    def run(self, statement: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """The rows of one statement."""

    def run_many(self, statement: str, rows: Sequence[Sequence[Any]]) -> None:
        """One statement for each row of parameters, in their order."""
        for row in rows:
            self.run(statement, row)

    @abstractmethod
    def writing(self) -> AbstractContextManager[None]:
        """One transaction, while which nobody else writes."""

    @abstractmethod
    def has_table(self, name: str) -> bool:
        """Whether a table exists."""

    def to_vector(self, vector: Vectors) -> Any:
        """As a parameter."""
        return packed(vector)

    def from_vector(self, value: Any) -> NDArray[Any]:
        """From a row."""
        return unpacked(value)

    def to_shape(self, shape: tuple[int, ...]) -> Any:
        """As a parameter."""
        return json.dumps(list(shape))

    def table(self, criteria: Criteria) -> str:
        """The table of these records."""
        return "embeddings"

    def prepare(self, criteria: Criteria, dimensions: int) -> None:
        """See the base class. An account that may make no tables can use those there are."""
        if not self.has_table("embeddings"):
            self.make_tables()

    def prepare_index(self) -> None:
        self.make_tables()

    def make_tables(self) -> None:
        """Make those that are missing."""
        for name, statement in self.tables.items():
            if not self.has_table(name):
                self.run(statement)

    def store(self, criteria: Criteria, records: Sequence[Record]) -> Sequence[Id]:
        for record in records:
            length = len(record.img_name.encode())
            if self.longest_name is not None and length > self.longest_name:
                raise DataTypeError(
                    f"the name {record.img_name[:40]}... has {length} bytes, but the published "
                    f"column takes {self.longest_name}: pass a shorter img_name"
                )
        self.run_many(
            f"INSERT INTO {self.table(criteria)} (img_name, face, face_shape, {_MADE}, embedding, "
            "face_hash, embedding_hash) "
            f"VALUES (?, ?, ?, ?, ?, ?, ?, {self.vector_parameter}, ?, ?)",
            [
                [
                    record.img_name,
                    record.pixels,
                    self.to_shape(record.face.shape),
                    *criteria.values,
                    self.to_vector(record.embedding),
                    record.face_hash,
                    record.embedding_hash,
                ]
                for record in records
            ],
        )
        return ()

    def registered(self, criteria: Criteria, records: Sequence[Record]) -> set[str]:
        """See the base class. A face of other criteria counts where it has the very same vector:
        the published table holds each pair of hashes once.
        """
        vectors = {record.face_hash: record.embedding_hash for record in records}
        columns = f"face_hash, embedding_hash, {_MADE}"
        rows = self._rows_where(criteria, columns, "face_hash", list(vectors))
        return {
            face
            for face, vector, *made in rows
            if vector == vectors.get(face) or Criteria.of(*made) == criteria
        }

    def ids_of_faces(self, criteria: Criteria, records: Sequence[Record]) -> list[Id]:
        hashes = [record.face_hash for record in records]
        return [row[0] for row in self._rows_where(criteria, "id", "face_hash", hashes, True)]

    def _rows_where(
        self, criteria: Criteria, columns: str, key: str, wanted: Sequence[Any], own: bool = False
    ) -> list[tuple[Any, ...]]:
        """The rows whose ``key`` is wanted; ``own``: those of these criteria only."""
        table = self.table(criteria)
        rows: list[tuple[Any, ...]] = []
        condition, values = (f" AND {CRITERIA}", criteria.values) if own else ("", [])
        for portion in chunks(wanted, PORTION) if self.has_table(table) else ():
            rows += self.run(
                f"SELECT {columns} FROM {table} WHERE {key} IN ({_marks(portion)}){condition}",
                [*portion, *values],
            )
        return rows

    def pages(self, criteria: Criteria, size: int = PAGE, after: int = -1) -> Iterator[Page]:
        for rows in self.rows_in_pages(criteria, self._columns, size, after):
            yield Page.of(rows, self.from_vector)

    def entries(self, criteria: Criteria) -> Iterator[tuple[Id, str]]:
        for rows in self.rows_in_pages(criteria, "id, img_name", PAGE):
            yield from ((id_, name_of(name)) for id_, name in rows)

    @property
    def _columns(self) -> str:
        """What a page is made of."""
        return f"id, img_name, {self.vector_column}"

    def rows_in_pages(
        self,
        criteria: Criteria,
        columns: str,
        size: int,
        after: int = -1,
        condition: str = "",
        values: Sequence[Any] = (),
    ) -> Iterator[list[tuple[Any, ...]]]:
        """The rows with an id above ``after`` for which ``condition`` holds, too."""
        table = self.table(criteria)
        more = self.has_table(table)
        while more and (
            rows := self.run(
                f"SELECT {columns} FROM {table} WHERE id > ? AND {CRITERIA}{condition} "
                f"ORDER BY id {self.first_rows.format(size)}",
                [after, *criteria.values, *values],
            )
        ):
            after, more = rows[-1][0], len(rows) == size
            yield rows

    def ids_of_names(self, criteria: Criteria, names: Sequence[str]) -> list[Id]:
        """See the base class. What a server takes for the same text is compared here again."""
        wanted = [storable(name) for name in names]
        rows = self._rows_where(criteria, "id, img_name", "img_name", wanted, True)
        return [id_ for id_, name in rows if name in set(wanted)]

    def ids(self, criteria: Criteria) -> NDArray[np.int64]:
        if not self.has_table(self.table(criteria)):
            return np.zeros(0, np.int64)
        rows = self.run(f"SELECT id FROM {self.table(criteria)} WHERE {CRITERIA}", criteria.values)
        return np.array([row[0] for row in rows], dtype=np.int64)

    def fetch(self, criteria: Criteria, ids: Sequence[Id]) -> Page:
        return Page.of(self._rows_where(criteria, self._columns, "id", ids), self.from_vector)

    def remove(self, criteria: Criteria, ids: Sequence[Id]) -> int:
        found = self._rows_where(criteria, "id", "id", ids)
        if found:
            self.run(f"DELETE FROM {self.table(criteria)} WHERE id IN ({_marks(ids)})", ids)
        return len(found)

    def how_made(self, criteria: Criteria, id_: Id) -> Criteria:
        rows = self._rows_where(criteria, _MADE, "id", [id_])
        return Criteria.of(*rows[0]) if rows else criteria

    def index_data(self, criteria: Criteria) -> bytes | None:
        if not self.has_table("embeddings_index"):
            return None
        rows = self.run(
            f"SELECT id, updated_at, {self.length}(index_data), "
            f"CASE WHEN {self.length}(index_data) < 100 THEN index_data END "
            f"FROM embeddings_index WHERE {INDEX_CRITERIA}",
            criteria.values,
        )
        if not rows or not rows[0][2]:
            return None
        return repr(rows[0]).encode() if rows[0][3] is None else as_bytes(rows[0][3])

    def set_index_data(self, criteria: Criteria, data: bytes) -> None:
        values = [data, *criteria.values]
        if self.run(f"SELECT id FROM embeddings_index WHERE {INDEX_CRITERIA}", values[1:]):
            self.run(
                "UPDATE embeddings_index SET index_data = ?, updated_at = CURRENT_TIMESTAMP "
                f"WHERE {INDEX_CRITERIA}",
                values,
            )
        else:
            self.run(
                "INSERT INTO embeddings_index (index_data, model_name, detector_backend, align, "
                "l2_normalized) VALUES (?, ?, ?, ?, ?)",
                values,
            )

    def index_part(self, version: str, number: int) -> bytes | None:
        rows = self.run(
            "SELECT data FROM embeddings_index_parts WHERE version = ? AND part = ?",
            [version, number],
        )
        return as_bytes(rows[0][0]) if rows else None

    def store_index_part(self, version: str, number: int, data: bytes) -> None:
        self.run(
            "INSERT INTO embeddings_index_parts (version, part, data) VALUES (?, ?, ?)",
            [version, number, data],
        )

    def delete_index_parts(self, version: str) -> None:
        self.run("DELETE FROM embeddings_index_parts WHERE version = ?", [version])


def _marks(values: Sequence[Any]) -> str:
    return ", ".join("?" * len(values))
