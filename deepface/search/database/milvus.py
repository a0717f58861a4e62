"""Milvus: a collection per criteria. Also Milvus Lite, a file without a server."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import numpy as np
from pymilvus import MilvusClient
from pymilvus.exceptions import MilvusException

from deepface.errors import DatabaseError
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
    refuse_duplicates,
    refuse_other_length,
)

#: Seconds to wait for a server that does not answer.
_PATIENCE = 10
_FIELDS = ("id", "img_name", "embedding")


class Milvus(Database):
    """A Milvus server, or a file.

    Milvus has no transactions: a face that two processes register at the same moment may be stored
    by both, under one id.

    Args:
        details: a URI, the path of a file ending in ``.db``, or a dict of arguments of
            ``MilvusClient``.
        connection: a ``MilvusClient`` of the caller's.
    """

    driver_errors: ClassVar[tuple[type[Exception], ...]] = (MilvusException,)

    def __init__(self, details: Any = None, connection: Any = None) -> None:
        self._client: Any = connection or _connect(details)

    def close(self) -> None:
        """See the base class."""
        self._client.close()

    @classmethod
    def explain(cls, error: Exception, details: Any) -> Exception:
        """See the base class."""
        return DatabaseError(
            "Milvus cannot be reached or failed: is the server running (a file needs pip install "
            "'pymilvus[milvus_lite]'), and is the address in connection_details or "
            f"DEEPFACE_MILVUS_URI right? ({getattr(error, 'message', error)})"
        )

    def insert(self, criteria: Criteria, records: Sequence[Record]) -> None:
        """See the base class."""
        name = criteria.collection
        page = next(self.pages(criteria, 1), None)
        refuse_other_length(None if page is None else page.embeddings.shape[1], records)
        if not self._client.has_collection(name):
            self._client.create_collection(
                name,
                dimension=len(records[0].embedding),
                vector_field_name="embedding",
                metric_type="COSINE" if criteria.l2_normalized else "L2",
                auto_id=False,
                consistency_level="Strong",
            )
        hashes = ", ".join(f'"{record.face_hash}"' for record in records)
        rows = self._client.query(
            name, filter=f"face_hash in [{hashes}]", output_fields=["face_hash"]
        )
        refuse_duplicates(records, {row["face_hash"] for row in rows})
        rows = [
            {
                "id": _id(record),
                "img_name": record.img_name,
                "face_hash": record.face_hash,
                "embedding": record.embedding.astype(np.float32).tolist(),
            }
            for record in records
        ]
        self._client.insert(name, rows)

    def pages(self, criteria: Criteria, size: int = PAGE) -> Iterator[Page]:
        """See the base class."""
        if not self._client.has_collection(criteria.collection):
            return
        rows = self._client.query_iterator(
            criteria.collection, batch_size=size, output_fields=list(_FIELDS)
        )
        try:
            while batch := rows.next():
                yield _page(batch)
        finally:
            rows.close()

    def fetch(self, criteria: Criteria, ids: Sequence[Id]) -> Page:
        """See the base class."""
        return _page(self._client.get(criteria.collection, list(ids), output_fields=list(_FIELDS)))

    def get(self, criteria: Criteria, identity: Any) -> Stored | None:
        """See the base class."""
        if not str(identity).isdecimal() or not self._client.has_collection(criteria.collection):
            return None
        page = self.fetch(criteria, [int(identity)])
        if not page.ids:
            return None
        return Stored(page.ids[0], criteria, page.names[0], page.embeddings[0])

    def neighbours(self, criteria: Criteria, queries: Vectors, k: int) -> list[list[Id]]:
        """See the base class."""
        if not self._client.has_collection(criteria.collection):
            return [[] for _ in queries]
        found = self._client.search(
            criteria.collection, queries.astype(np.float32).tolist(), limit=k
        )
        return [[hit["id"] for hit in hits] for hits in found]

    def build_index(self, criteria: Criteria, max_neighbors_per_node: int, size: int) -> None:
        """See the base class."""
        get_logger().info("milvus keeps its indexes itself: there is nothing to build")


def _connect(details: Any) -> Any:
    if isinstance(details, dict):
        return MilvusClient(**details)
    return MilvusClient(os.fspath(details), timeout=_PATIENCE)


def _id(record: Record) -> int:
    """The same in every process, unlike the published one."""
    text = f"{record.face_hash}:{record.embedding_hash}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def _page(rows: Sequence[Any]) -> Page:
    return Page.of([(row["id"], row.get("img_name", ""), row["embedding"]) for row in rows])
