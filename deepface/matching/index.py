"""Approximate nearest neighbours inside the process: a graph (HNSW) in faiss.

Malkov and Yashunin, "Efficient and robust approximate nearest neighbor search using Hierarchical
Navigable Small World graphs", 2016. faiss (MIT) is what the published library uses, so indexes
that it stored can be read; it keeps vectors in half precision, which halves the memory, adds and
searches in several threads, and writes itself in parts of any size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepface.errors import DatabaseError, DimensionMismatchError, MissingPackageError

#: Candidates that are kept while a vector is added to the graph, as published.
_BUILD_EFFORT = 40
#: Candidates that are kept while the graph is searched: more find more and take longer. Of the ten
#: nearest of 1,000,000 made faces of 512 numbers (``benchmarks/index.py``) 64 find 90.9 %, 128 find
#: 98.1 %, 512 find 99.1 %.
SEARCH_EFFORT = 512
#: Bytes per part of a stored index.
PART = 32 << 20


class NeighbourIndex:
    """Vectors by id. Reading from several threads is safe, reading while adding is not.

    Distances are Euclidean; for vectors of length 1 that is the order of the cosine, too. Ids are
    whole numbers. Nothing can be taken out.
    """

    def __init__(self, index: Any) -> None:
        self._index = index
        graph = _faiss().downcast_index(index.index)
        graph.hnsw.efConstruction = _BUILD_EFFORT
        graph.hnsw.efSearch = SEARCH_EFFORT
        #: Highest id, -1 when there is none.
        self.last_id = int(self.ids.max(initial=-1))

    @classmethod
    def empty(cls, dimensions: int, max_neighbors_per_node: int = 32) -> NeighbourIndex:
        """An index without vectors.

        Args:
            dimensions: length of the vectors.
            max_neighbors_per_node: edges of the graph per vector (twice as many in its lowest
                layer): more find more, and take more memory.
        """
        faiss = _faiss()
        half = faiss.ScalarQuantizer.QT_fp16
        graph = faiss.IndexHNSWSQ(dimensions, half, max_neighbors_per_node)
        graph.is_trained = True  # half precision needs no training
        return cls(faiss.IndexIDMap(graph))

    @property
    def dimensions(self) -> int:
        """Length of the vectors."""
        return int(self._index.d)

    @property
    def ids(self) -> NDArray[np.int64]:
        """Ids of all vectors ``(n,)``, in the order in which they were added."""
        ids: NDArray[np.int64] = _faiss().vector_to_array(self._index.id_map)
        return ids

    def __len__(self) -> int:
        return int(self._index.ntotal)

    def add(self, ids: NDArray[np.int64], vectors: NDArray[Any]) -> None:
        """Add vectors ``(n, d)`` under their ids ``(n,)``.

        Raises:
            DimensionMismatchError: they are of another length than the others.
        """
        self._check(vectors)
        self._index.add_with_ids(np.ascontiguousarray(vectors, dtype=np.float32), ids)
        self.last_id = max(self.last_id, int(ids.max(initial=-1)))

    def search(self, queries: NDArray[Any], k: int) -> list[list[int]]:
        """Ids of about the ``k`` nearest vectors of each query ``(m, d)``, nearest first.

        Raises:
            DimensionMismatchError: the queries are of another length than the vectors.
        """
        self._check(queries)
        k = min(k, len(self))
        if not k:
            return [[] for _ in queries]
        _, found = self._index.search(np.ascontiguousarray(queries, dtype=np.float32), k)
        return [[int(id_) for id_ in row if id_ >= 0] for row in found]

    def _check(self, vectors: NDArray[Any]) -> None:
        if vectors.shape[1] != self.dimensions:
            raise DimensionMismatchError(
                f"the index holds vectors of {self.dimensions} dimensions, not of "
                f"{vectors.shape[1]}: it was built with another network. Run build_index again."
            )

    def write(self, sink: Callable[[bytes], None]) -> None:
        """Give the whole index to ``sink``, in parts of at most :data:`PART` bytes."""
        faiss = _faiss()
        waiting = bytearray()

        def take(data: bytes) -> None:
            waiting.extend(data)
            while len(waiting) >= PART:
                sink(bytes(waiting[:PART]))
                del waiting[:PART]

        writer = faiss.PyCallbackIOWriter(take, PART)
        faiss.write_index(self._index, writer)
        del writer  # flushes
        sink(bytes(waiting))

    @classmethod
    def read(cls, parts: Iterator[bytes]) -> NeighbourIndex:
        """The index that these parts make up, also one of the published library.

        Raises:
            DatabaseError: they are damaged, or no such index.
        """
        faiss = _faiss()
        waiting = bytearray()

        def give(size: int) -> bytes:
            while len(waiting) < size and (part := next(parts, None)) is not None:
                waiting.extend(part)
            data = bytes(waiting[:size])
            del waiting[:size]
            return data

        try:
            return cls(faiss.read_index(faiss.PyCallbackIOReader(give, PART)))
        except (RuntimeError, AttributeError) as error:
            raise DatabaseError("the stored index is damaged: run build_index again") from error


def _faiss() -> Any:
    try:
        import faiss
    except ModuleNotFoundError as error:
        raise MissingPackageError(
            "approximate search needs faiss: pip install faiss-cpu (or use search_method='exact')"
        ) from error
    return faiss
