"""Qdrant: a collection per criteria. Also its local mode, a folder without a server."""

from __future__ import annotations

import os
import uuid
import warnings
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

from qdrant_client import QdrantClient, models
from qdrant_client.http.exceptions import ApiException

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
from deepface.search.index import SEARCH_EFFORT


class Qdrant(Database):
    """A Qdrant server, or a folder.

    Qdrant has no transactions: a face that two processes register at the same moment is stored
    once, without an error.

    Args:
        details: a URL, a folder, ``":memory:"``, or a dict of arguments of ``QdrantClient``.
        connection: a ``QdrantClient`` of the caller's.
    """

    driver_errors: ClassVar[tuple[type[Exception], ...]] = (ApiException,)
    id_type: ClassVar[type] = str

    def __init__(self, details: Any = None, connection: Any = None) -> None:
        self._client: QdrantClient = connection or _connect(details)

    def close(self) -> None:
        """See the base class."""
        self._client.close()

    @classmethod
    def explain(cls, error: Exception, details: Any) -> Exception:
        """See the base class."""
        if getattr(error, "status_code", None) in (401, 403):
            return DatabaseError("Qdrant refused the API key: pass the right one as api_key")
        return DatabaseError(
            "Qdrant cannot be reached or failed: is the server running, and is the address in "
            f"connection_details or DEEPFACE_QDRANT_URL right? ({error})"
        )

    def insert(self, criteria: Criteria, records: Sequence[Record]) -> None:
        """See the base class."""
        name = criteria.collection
        if self._client.collection_exists(name):
            page = next(self.pages(criteria, 1), None)
            refuse_other_length(None if page is None else page.embeddings.shape[1], records)
        else:
            refuse_other_length(None, records)
            distance = models.Distance.COSINE if criteria.l2_normalized else models.Distance.EUCLID
            length = len(records[0].embedding)
            self._client.create_collection(
                name, vectors_config=models.VectorParams(size=length, distance=distance)
            )
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # in a folder it has no effect, and need not have
                self._client.create_payload_index(
                    name, "face_hash", models.PayloadSchemaType.KEYWORD
                )
        refuse_duplicates(records, self._registered(criteria, records))
        points = [
            models.PointStruct(
                id=_id(record),
                vector=record.embedding.tolist(),
                payload={"img_name": record.img_name, "face_hash": record.face_hash},
            )
            for record in records
        ]
        self._client.upsert(name, points, wait=True)

    def _registered(self, criteria: Criteria, records: Sequence[Record]) -> set[str]:
        """Hashes of the faces that are there, also of those without a hash, as published."""
        faces = models.MatchAny(any=[record.face_hash for record in records])
        condition = models.FieldCondition(key="face_hash", match=faces)
        found, _ = self._client.scroll(
            criteria.collection, scroll_filter=models.Filter(must=[condition]), limit=len(records)
        )
        stored = {str((point.payload or {})["face_hash"]) for point in found}
        ids = {_id(record): record.face_hash for record in records}
        same = self._client.retrieve(criteria.collection, list(ids), with_payload=False)
        return stored | {ids[str(point.id)] for point in same}

    def pages(self, criteria: Criteria, size: int = PAGE) -> Iterator[Page]:
        """See the base class."""
        if not self._client.collection_exists(criteria.collection):
            return
        offset = None
        while True:
            points, offset = self._client.scroll(
                criteria.collection, limit=size, offset=offset, with_vectors=True
            )
            if points:
                yield _page(points)
            if offset is None:
                return

    def fetch(self, criteria: Criteria, ids: Sequence[Id]) -> Page:
        """See the base class."""
        return _page(self._client.retrieve(criteria.collection, list(ids), with_vectors=True))

    def get(self, criteria: Criteria, identity: Any) -> Stored | None:
        """See the base class."""
        try:
            id_ = str(uuid.UUID(str(identity)))
        except ValueError:
            return None
        if not self._client.collection_exists(criteria.collection):
            return None
        page = self.fetch(criteria, [id_])
        return Stored(id_, criteria, page.names[0], page.embeddings[0]) if page.ids else None

    def neighbours(self, criteria: Criteria, queries: Vectors, k: int) -> list[list[Id]]:
        """See the base class."""
        if not self._client.collection_exists(criteria.collection):
            return [[] for _ in queries]
        requests = [
            models.QueryRequest(
                query=query.tolist(),
                limit=k,
                params=models.SearchParams(hnsw_ef=max(k, SEARCH_EFFORT)),
            )
            for query in queries
        ]
        answers = self._client.query_batch_points(criteria.collection, requests)
        return [[str(point.id) for point in answer.points] for answer in answers]

    def build_index(self, criteria: Criteria, max_neighbors_per_node: int, size: int) -> None:
        """See the base class."""
        get_logger().info("qdrant keeps its indexes itself: there is nothing to build")


def _connect(details: Any) -> QdrantClient:
    if isinstance(details, dict):
        options = dict(details)
    else:
        text = os.fspath(details)
        key = "url" if "://" in text else "location" if text == ":memory:" else "path"
        options = {key: text}
    try:
        return QdrantClient(**options)
    except RuntimeError as error:
        raise DatabaseError(
            "the Qdrant folder is in use by another program: run a Qdrant server for several "
            "programs at a time"
        ) from error


def _id(record: Record) -> str:
    """As published."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{record.face_hash}:{record.embedding_hash}"))


def _page(points: Sequence[Any]) -> Page:
    return Page.of([(str(p.id), str(p.payload.get("img_name", "")), p.vector) for p in points])
