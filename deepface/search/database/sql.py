"""The published two tables, for SQL databases that find no neighbours by themselves.

``embeddings`` holds the records, ``embeddings_index`` one approximate index per criteria. The
published library keeps an index in one value, which databases limit to 1 GB; here it is in parts,
in a table of its own, and ``index_data`` names them. An index of the published library is read.
"""

from __future__ import annotations

import threading
import uuid
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from deepface.errors import DatabaseError, DeepFaceError
from deepface.logger import get_logger
from deepface.search.database.base import (
    PAGE,
    Criteria,
    Database,
    Id,
    Page,
    Record,
    Stored,
    Vectors,
    nothing_registered,
    refuse_duplicates,
    refuse_other_length,
)
from deepface.search.index import NeighbourIndex

_CRITERIA = "model_name = ? AND detector_backend = ? AND aligned = ? AND l2_normalized = ?"
_INDEX_CRITERIA = _CRITERIA.replace("aligned", "align")
_PARTS = b"parts:"
#: Ids per query: SQLite takes no more than 999 parameters in old versions.
_IDS = 500
#: Indexes that a process keeps in memory.
_INDEXES = 8


class SqlDatabase(Database):
    """An SQL database. Statements have ``?`` for parameters; table names come from here only."""

    #: How a vector goes into a statement, and how it is read.
    vector_parameter: ClassVar[str] = "?"
    vector_column: ClassVar[str] = "embedding"
    #: Indexes that this process has read: (database, criteria) -> (version, index).
    _cache: ClassVar[dict[tuple[str, Criteria], tuple[str, NeighbourIndex]]] = {}
    _cache_lock: ClassVar[threading.Lock] = threading.Lock()

    @abstractmethod
    def run(self, statement: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """The rows of one statement."""

    @abstractmethod
    def writing(self) -> AbstractContextManager[None]:
        """One transaction, while which nobody else writes."""

    @abstractmethod
    def has_table(self, name: str) -> bool:
        """Whether a table exists."""

    @abstractmethod
    def create_tables(self, criteria: Criteria, dimensions: int) -> None:
        """Make the tables that are missing; within :meth:`writing`."""

    @abstractmethod
    def place(self) -> str:
        """What tells this database from others."""

    @abstractmethod
    def to_vector(self, vector: Vectors) -> Any:
        """As a parameter."""

    @abstractmethod
    def from_vector(self, value: Any) -> NDArray[Any]:
        """From a row."""

    @abstractmethod
    def to_shape(self, shape: tuple[int, ...]) -> Any:
        """As a parameter."""

    def table(self, criteria: Criteria) -> str:
        """The table of these records."""
        return "embeddings"

    def insert(self, criteria: Criteria, records: Sequence[Record]) -> None:
        """See the base class."""
        table = self.table(criteria)
        hashes = [(record.face_hash, record.embedding_hash) for record in records]
        with self.writing():
            self.create_tables(criteria, len(records[0].embedding))
            refuse_other_length(self._length(criteria), records)
            refuse_duplicates(records, self._registered(criteria, dict(hashes)))
            for record, own in zip(records, hashes, strict=True):
                self.run(
                    f"INSERT INTO {table} (img_name, face, face_shape, model_name, "  # noqa: S608
                    "detector_backend, aligned, l2_normalized, embedding, face_hash, "
                    f"embedding_hash) VALUES (?, ?, ?, ?, ?, ?, ?, {self.vector_parameter}, ?, ?)",
                    [
                        record.img_name,
                        np.ascontiguousarray(record.face, dtype=np.float32).tobytes(),
                        self.to_shape(record.face.shape),
                        *_values(criteria),
                        self.to_vector(record.embedding),
                        *own,
                    ],
                )

    def _length(self, criteria: Criteria) -> int | None:
        """Length of the vectors that are stored."""
        page = next(self.pages(criteria, 1), None)
        return None if page is None else page.embeddings.shape[1]

    def _registered(self, criteria: Criteria, hashes: dict[str, str]) -> set[str]:
        """Which of these faces (hash -> hash of the vector) are stored for these criteria.

        Or for others with the very same vector: the published table holds each pair of hashes once.
        """
        rows = []
        for some in _portions(list(hashes)):
            rows += self.run(
                f"SELECT face_hash, embedding_hash, ({_CRITERIA}) AS same "  # noqa: S608
                f"FROM {self.table(criteria)} WHERE face_hash IN ({_marks(some)})",
                [*_values(criteria), *some],
            )
        return {face for face, vector, same in rows if same or vector == hashes[face]}

    def pages(self, criteria: Criteria, size: int = PAGE, after: int = -1) -> Iterator[Page]:
        """See the base class; records with an id above ``after``, in the order of their ids."""
        table = self.table(criteria)
        if not self.has_table(table):
            return
        while True:
            rows = self.run(
                f"SELECT id, img_name, {self.vector_column} FROM {table} "  # noqa: S608
                f"WHERE id > ? AND {_CRITERIA} ORDER BY id LIMIT ?",
                [after, *_values(criteria), size],
            )
            if not rows:
                return
            after = rows[-1][0]
            yield Page.of([(id_, name, self.from_vector(vector)) for id_, name, vector in rows])

    def fetch(self, criteria: Criteria, ids: Sequence[Id]) -> Page:
        """See the base class."""
        rows = []
        for some in _portions(ids):
            rows += self.run(
                f"SELECT id, img_name, {self.vector_column} "  # noqa: S608
                f"FROM {self.table(criteria)} WHERE id IN ({_marks(some)})",
                some,
            )
        return Page.of([(id_, name, self.from_vector(vector)) for id_, name, vector in rows])

    def get(self, criteria: Criteria, identity: Any) -> Stored | None:
        """See the base class."""
        table = self.table(criteria)
        if not str(identity).isdecimal() or not self.has_table(table):
            return None
        rows = self.run(
            "SELECT model_name, detector_backend, aligned, l2_normalized, img_name, "  # noqa: S608
            f"{self.vector_column} FROM {table} WHERE id = ?",
            [int(identity)],
        )
        if not rows:
            return None
        model, detector, aligned, normalized, name, vector = rows[0]
        made = Criteria(model, detector, bool(aligned), bool(normalized))
        return Stored(
            int(identity), made, name, np.asarray(self.from_vector(vector), dtype=np.float64)
        )

    def neighbours(self, criteria: Criteria, queries: Vectors, k: int) -> list[list[Id]]:
        """See the base class. Records that are newer than the index are added to it first."""
        with self._cache_lock:
            index = self._index(criteria)
            for page in self.pages(criteria, after=index.last_id):
                index.add(np.array(page.ids, dtype=np.int64), page.embeddings)
            return [list(row) for row in index.search(queries, k)]

    def _index(self, criteria: Criteria) -> NeighbourIndex:
        """The stored index, read once per process and version."""
        version = self._index_version(criteria)
        if version is None:
            raise DatabaseError(
                f"No Embeddings index found for {criteria}. You must run build_index first, or "
                "use search_method='exact'."
            )
        key = (self.place(), criteria)
        if key not in self._cache or self._cache[key][0] != version:
            try:
                index = self._read_index(criteria, version)
            except DatabaseError:
                if self._index_version(criteria) == version:
                    raise
                return self._index(criteria)  # it was replaced while it was read
            self._cache[key] = (version, index)
            if len(self._cache) > _INDEXES:
                del self._cache[next(iter(self._cache))]
        return self._cache[key][1]

    def build_index(self, criteria: Criteria, max_neighbors_per_node: int, size: int) -> None:
        """See the base class. Adds what is new; starts anew when something was deleted."""
        log = get_logger()
        stored = self._ids(criteria)
        if not len(stored):
            raise nothing_registered(criteria, "build_index")
        index = self._usable_index(criteria, stored)
        known = np.zeros(0, np.int64) if index is None else index.ids
        missing = np.setdiff1d(stored, known)
        if not len(missing):
            log.info("All embeddings are already indexed")
            return
        for page in self.pages(criteria, size, after=int(missing[0]) - 1):
            new = np.isin(page.ids, missing)
            if index is None:
                index = NeighbourIndex.empty(page.embeddings.shape[1])
            if new.any():
                index.add(np.array(page.ids, dtype=np.int64)[new], page.embeddings[new])
        if index is not None:
            self._write_index(criteria, index)
            log.info("Added %d embeddings to the index; it holds %d", len(missing), len(index))

    def _ids(self, criteria: Criteria) -> NDArray[np.int64]:
        if not self.has_table(self.table(criteria)):
            return np.zeros(0, np.int64)
        rows = self.run(
            f"SELECT id FROM {self.table(criteria)} WHERE {_CRITERIA}",  # noqa: S608
            _values(criteria),
        )
        return np.array([row[0] for row in rows], dtype=np.int64)

    def _usable_index(self, criteria: Criteria, stored: NDArray[np.int64]) -> NeighbourIndex | None:
        """The stored index, unless it holds records that are no more, or is damaged."""
        version = self._index_version(criteria)
        if version is None:
            return None
        try:
            index = self._read_index(criteria, version)
        except DeepFaceError as error:
            get_logger().warning("%s; the index is built anew", error)
            return None
        if len(np.setdiff1d(index.ids, stored)):
            get_logger().info("Records were deleted since: the index is built anew")
            return None
        return index

    def _index_version(self, criteria: Criteria) -> str | None:
        """What changes when the stored index does."""
        if not self.has_table("embeddings_index"):
            return None
        rows = self.run(
            "SELECT id, updated_at, length(index_data), CASE WHEN length(index_data) < 100 "  # noqa: S608
            f"THEN index_data END FROM embeddings_index WHERE {_INDEX_CRITERIA}",
            _values(criteria),
        )
        if not rows or not rows[0][2]:
            return None
        id_, updated, length, name = rows[0]
        if name is not None and bytes(name).startswith(_PARTS):
            return bytes(name)[len(_PARTS) :].decode()
        return f"published:{id_}:{updated}:{length}"

    def _read_index(self, criteria: Criteria, version: str) -> NeighbourIndex:
        if version.startswith("published:"):
            rows = self.run(
                f"SELECT index_data FROM embeddings_index WHERE {_INDEX_CRITERIA}",  # noqa: S608
                _values(criteria),
            )
            return NeighbourIndex.read(iter([bytes(row[0]) for row in rows]))
        return NeighbourIndex.read(self._parts(version))

    def _parts(self, version: str) -> Iterator[bytes]:
        number = 0
        while rows := self.run(
            "SELECT data FROM embeddings_index_parts WHERE version = ? AND part = ?",
            [version, number],
        ):
            yield bytes(rows[0][0])
            number += 1

    def _write_index(self, criteria: Criteria, index: NeighbourIndex) -> None:
        version = uuid.uuid4().hex
        number = 0

        def write_part(data: bytes) -> None:
            nonlocal number
            self.run(
                "INSERT INTO embeddings_index_parts (version, part, data) VALUES (?, ?, ?)",
                [version, number, data],
            )
            number += 1

        with self.writing():
            self.create_tables(criteria, index.dimensions)
            before = self._index_version(criteria)
            index.write(write_part)
            self.run(
                "INSERT INTO embeddings_index (model_name, detector_backend, align, l2_normalized, "
                "index_data) VALUES (?, ?, ?, ?, ?) ON CONFLICT (model_name, detector_backend, "
                "align, l2_normalized) DO UPDATE SET index_data = excluded.index_data, "
                "updated_at = CURRENT_TIMESTAMP",
                [*_values(criteria), _PARTS + version.encode()],
            )
            self.run("DELETE FROM embeddings_index_parts WHERE version = ?", [before])


def _values(criteria: Criteria) -> list[Any]:
    return [
        criteria.model_name,
        criteria.detector_backend,
        criteria.aligned,
        criteria.l2_normalized,
    ]


def _marks(values: Sequence[Any]) -> str:
    return ", ".join("?" * len(values))


def _portions(values: Sequence[Any]) -> Iterator[list[Any]]:
    for start in range(0, len(values), _IDS):
        yield list(values[start : start + _IDS])
