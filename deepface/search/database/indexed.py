"""Databases that find no neighbours by themselves: an index is made here and kept in them.

The published library keeps a graph of faiss in one value. Such values are not opened, because a
damaged one ends the process: the records are indexed anew, in memory, until ``build_index`` stores
an index of ours.
"""

from __future__ import annotations

import hashlib
import threading
import time
import uuid
from abc import abstractmethod
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from deepface.errors import DatabaseError, DeepFaceError, EmptyDatasource
from deepface.logger import get_logger
from deepface.search.database.base import (
    PAGE,
    Criteria,
    Database,
    Id,
    Page,
    Vectors,
    nothing_registered,
)
from deepface.search.index import NeighbourIndex

#: How the value begins that names the parts of an index of ours.
PARTS = b"parts2:"
#: Seconds after which the lock of a process that was killed is free; seconds to wait for others.
LOCKED, TURN = 120, 600
#: Indexes that a process keeps in memory.
_INDEXES = 8
_DIGEST = hashlib.sha256().digest_size


class IndexedDatabase(Database):
    """A database with whole numbers as ids, which grow, and a place for the parts of an index."""

    #: Indexes that this process has read: (database, criteria) -> (version, index).
    _cache: ClassVar[dict[tuple[str, Criteria], tuple[str, NeighbourIndex]]] = {}
    _cache_lock: ClassVar[threading.Lock] = threading.Lock()

    @classmethod
    def forget(cls) -> None:
        """Keep no index in memory any longer."""
        with cls._cache_lock:
            cls._cache.clear()

    @abstractmethod
    def place(self) -> str:
        """What tells this database from others."""

    @abstractmethod
    def pages(self, criteria: Criteria, size: int = PAGE, after: int = -1) -> Iterator[Page]:
        """See the base class; records with an id above ``after``, in the order of their ids."""

    @abstractmethod
    def ids(self, criteria: Criteria) -> NDArray[np.int64]:
        """Ids of all records ``(n,)``."""

    def prepare_index(self) -> None:
        """Make what :meth:`set_index_data` and :meth:`store_index_part` need; within
        :meth:`writing`. Who may not can still register and search.
        """
        return

    @abstractmethod
    def index_data(self, criteria: Criteria) -> bytes | None:
        """The value that stands for the index; of a long one, which is published, the beginning
        and whatever changes with it.
        """

    @abstractmethod
    def index_part(self, version: str, number: int) -> bytes | None:
        """A part of an index, ``None`` after the last."""

    @abstractmethod
    def set_index_data(self, criteria: Criteria, data: bytes) -> None:
        """Store what :meth:`index_data` gives; within :meth:`writing`."""

    @abstractmethod
    def store_index_part(self, version: str, number: int, data: bytes) -> None:
        """Store what :meth:`index_part` gives; within :meth:`writing`."""

    @abstractmethod
    def delete_index_parts(self, version: str) -> None:
        """Delete all parts of an index; within :meth:`writing`."""

    def neighbours(self, criteria: Criteria, queries: Vectors, k: int) -> list[list[Id]]:
        """See the base class. Records that are newer than the index are added to it first."""
        with self._cache_lock:
            index = self._index(criteria)
            for page in self.pages(criteria, after=-1 if index is None else index.last_id):
                if index is None:  # in memory, in place of a published one
                    index = NeighbourIndex.empty(page.embeddings.shape[1])
                    self._remember(criteria, str(self._version(criteria)), index)
                index.add(np.array(page.ids, dtype=np.int64), page.embeddings)
            found = [[] for _ in queries] if index is None else index.search(queries, k)
            return [[*row] for row in found]

    def _index(self, criteria: Criteria) -> NeighbourIndex | None:
        """The stored index, read once per process and version; ``None`` for a published one."""
        version = self._version(criteria)
        if version is None:
            raise EmptyDatasource(
                f"No Embeddings index found for {criteria}. You must run build_index first, or "
                "use search_method='exact'."
            )
        known, index = self._cache.get((self.place(), criteria), (None, None))
        if known == version:
            return index
        if version.startswith("published:"):
            return None
        try:
            index = self._read_index(version)
        except DatabaseError:
            if self._version(criteria) == version:
                raise
            return self._index(criteria)  # it was replaced while it was read
        self._remember(criteria, version, index)
        return index

    def _remember(self, criteria: Criteria, version: str, index: NeighbourIndex) -> None:
        self._cache[self.place(), criteria] = (version, index)
        if len(self._cache) > _INDEXES:
            del self._cache[next(iter(self._cache))]

    def build_index(self, criteria: Criteria, max_neighbors_per_node: int, size: int) -> None:
        """See the base class. Adds what is new; starts anew when something was deleted."""
        log = get_logger()
        dimensions = self.dimensions(criteria)
        if dimensions is None:
            raise nothing_registered(criteria, "build_index")
        stored = self.ids(criteria)
        index = self._usable_index(criteria, stored) or NeighbourIndex.empty(dimensions)
        missing = np.setdiff1d(stored, index.ids)
        if not len(missing):
            log.info("All embeddings are already indexed")
            return
        for page in self.pages(criteria, size, after=int(missing[0]) - 1):
            new = np.isin(page.ids, missing)
            if new.any():
                index.add(np.array(page.ids, dtype=np.int64)[new], page.embeddings[new])
        self._write_index(criteria, index)
        log.info("Added %d embeddings to the index; it holds %d", len(missing), len(index))

    def _usable_index(self, criteria: Criteria, stored: NDArray[np.int64]) -> NeighbourIndex | None:
        """The stored index if it is ours, intact, and holds no record that is no more."""
        version = self._version(criteria)
        if version is None or version.startswith("published:"):
            return None
        try:
            index = self._read_index(version)
        except DeepFaceError as error:
            get_logger().warning("%s; the index is built anew", error)
            return None
        if len(np.setdiff1d(index.ids, stored)):
            get_logger().info("Records were deleted since: the index is built anew")
            return None
        return index

    def _version(self, criteria: Criteria) -> str | None:
        """What changes when the stored index does; ``None`` where there is none."""
        data = self.index_data(criteria)
        if not data:
            return None
        if data.startswith(PARTS):
            return data[len(PARTS) :][:64].decode(errors="replace").replace("\0", "")
        return f"published:{hashlib.sha256(data).hexdigest()}"

    def _read_index(self, version: str) -> NeighbourIndex:
        return NeighbourIndex.read(self._checked_parts(version))

    def _checked_parts(self, version: str) -> Iterator[bytes]:
        """Parts with the checksum that they were stored with: faiss reads nothing else."""
        number = 0
        while (stored := self.index_part(version, number)) is not None:
            if stored[:_DIGEST] != _digest(version, number, stored[_DIGEST:]):
                raise DatabaseError("the stored index is damaged: run build_index again")
            yield stored[_DIGEST:]
            number += 1

    def _write_index(self, criteria: Criteria, index: NeighbourIndex) -> None:
        """Store an index. The old parts go last, so that an error leaves one whole index."""
        version, numbers = uuid.uuid4().hex, count()

        def store(part: bytes) -> None:
            number = next(numbers)
            self.store_index_part(version, number, _digest(version, number, part) + part)

        with self.writing():
            self.prepare_index()
            self.prepare(criteria, index.dimensions)
            before = self._version(criteria)
            index.write(store)
            self.set_index_data(criteria, PARTS + version.encode())
            if before is not None:
                self.delete_index_parts(before)


def wait_for_turn(take: Callable[[], bool]) -> None:
    """Call ``take`` until it has the lock of those who write.

    Raises:
        DatabaseError: others have it for :data:`TURN` seconds.
    """
    end = time.monotonic() + TURN
    while not take():
        if time.monotonic() > end:
            raise DatabaseError(f"others have been writing for {TURN} seconds: try again")
        time.sleep(0.05)


def as_bytes(value: Any) -> bytes:
    """A value of a database as bytes: somebody may have stored a text or a number in its place."""
    return (
        bytes(value) if isinstance(value, (bytes, bytearray, memoryview)) else str(value).encode()
    )


def _digest(version: str, number: int, part: bytes) -> bytes:
    return hashlib.sha256(f"{version}:{number}:".encode() + part).digest()
