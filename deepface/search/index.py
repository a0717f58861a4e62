"""Approximate nearest neighbours inside the process: one bit per number, by faiss (MIT).

Gao and Long, "RaBitQ: Quantizing high-dimensional vectors with a theoretical error bound for
approximate nearest neighbor search", SIGMOD 2024. Vectors are turned at random and kept as signs;
all are compared, which takes a few machine instructions each, and of the nearest by signs the
distances are computed from the vectors themselves, in half precision. There is nothing to build,
and faces of people who are all equally unlike, among which a graph loses its way, are found as well
as others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepface.errors import DatabaseError, DimensionMismatchError, MissingPackageError

#: For each neighbour that is looked for, and for so many at least, the distances of so many of the
#: nearest by signs are computed.
_CANDIDATES, _LEAST = 32, 8
#: Most signs per vector: faiss adds their weights up in 16 bits. Longer vectors are projected.
_MOST_SIGNS = 512
#: Candidates that a server's graph keeps while it is searched: more find more and take longer.
SEARCH_EFFORT = 512
#: Bytes per part of a stored index: MySQL takes packets of 16 MB, in which each byte may take two,
#: and MongoDB documents of as much.
PART = 4 << 20


class NeighbourIndex:
    """Vectors by id. Reading from several threads is safe, reading while adding is not.

    Distances are Euclidean; for vectors of length 1 that is the order of the cosine, too. Ids are
    whole numbers. Nothing can be taken out.
    """

    def __init__(self, index: Any) -> None:
        self._index = index
        refined = _faiss().downcast_index(index.index)
        if not hasattr(refined, "k_factor"):
            raise DatabaseError("the stored index is of another kind: run build_index again")
        refined.k_factor = _CANDIDATES
        #: Highest id, -1 when there is none.
        self.last_id = int(self.ids.max(initial=-1))

    @classmethod
    def empty(cls, dimensions: int) -> NeighbourIndex:
        """An index without vectors of this length."""
        faiss = _faiss()
        signs = min(_MOST_SIGNS, -(-dimensions // 64) * 64)
        kind = f"RR{signs},RaBitQfs,Refine(SQfp16)"
        return cls(faiss.IndexIDMap(faiss.index_factory(dimensions, kind)))

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
        floats = np.ascontiguousarray(vectors, dtype=np.float32)
        if len(floats) and not self._index.is_trained:
            self._index.train(floats)  # their mean, from which the others are seen
        self._index.add_with_ids(floats, ids)
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
        floats = np.ascontiguousarray(queries, dtype=np.float32)
        _, found = self._index.search(floats, min(max(k, _LEAST), len(self)))
        return [[int(id_) for id_ in row if id_ >= 0][:k] for row in found]

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
        """The index that these parts make up.

        Some damage ends the process: whoever reads parts from where others write checks them first.

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
            f"approximate search needs faiss ({error}): pip install faiss-cpu "
            "(or use search_method='exact')"
        ) from error
    if not hasattr(faiss, "IndexRaBitQFastScan"):
        raise MissingPackageError(
            f"approximate search needs faiss 1.13 or later, not {faiss.__version__}: "
            "pip install -U faiss-cpu (or use search_method='exact')"
        )
    return faiss
