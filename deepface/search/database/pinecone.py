"""Pinecone: an index in the cloud per criteria."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
from pinecone import Pinecone as Client
from pinecone import ServerlessSpec
from pinecone.errors.exceptions import ForbiddenError, PineconeError, UnauthorizedError

from deepface.errors import DatabaseError
from deepface.runtime.execution.batching import chunks
from deepface.search.database.base import PAGE, Criteria, Database, Id, Page, Record, Vectors

#: Characters of an index's name; numbers in one request, which takes 2 MB; ids in one address.
_LONGEST_NAME, _NUMBERS, _IDS = 45, 80_000, 50
#: Most neighbours of one query.
_MOST = 10_000
_VARIABLE = "DEEPFACE_PINECONE_API_KEY"


class Pinecone(Database):
    """Indexes of one API key.

    Without transactions, and what was just written may take seconds until it is found: a face that
    two processes register at the same moment is stored once, without an error. Vectors are kept in
    float32, pixels are not kept. Published records are known by the face together with its vector.

    Args:
        details: the API key, or a dict of arguments of ``pinecone.Pinecone``. Indexes are made in
            the cloud ``DEEPFACE_PINECONE_CLOUD`` (``aws``) and the region
            ``DEEPFACE_PINECONE_REGION`` (``us-east-1``).
        connection: a ``pinecone.Pinecone`` of the caller's.
    """

    reusable = True
    connection_method = "has_index"
    driver_errors = (PineconeError,)
    id_type = str

    def __init__(self, details: Any = None, connection: Any = None) -> None:
        options = dict(details) if isinstance(details, dict) else {"api_key": details}
        self._connection: Any = connection or Client(**options)
        self._indexes: dict[str, Any] = {}
        if connection is None:
            self.ping()

    def close(self) -> None:
        for index in self._indexes.values():
            index.close()
        self._connection.close()

    def ping(self) -> None:
        self._connection.list_indexes()

    @classmethod
    def explain(cls, error: Exception, details: Any) -> Exception:
        if isinstance(error, (UnauthorizedError, ForbiddenError)):
            return DatabaseError(
                f"Pinecone refused the API key, or what it may do. Check connection_details or "
                f"{_VARIABLE}."
            )
        if getattr(error, "status_code", None) is None:
            return DatabaseError(f"Pinecone cannot be reached: are you online? ({error})")
        return DatabaseError(f"Pinecone failed: {error}")

    def _index(self, criteria: Criteria) -> Any:
        """The index of these criteria, ``None`` where there is none."""
        name = _name(criteria)
        if name not in self._indexes:
            if not self._connection.has_index(name):
                return None
            self._indexes[name] = self._connection.Index(name)
        return self._indexes[name]

    def prepare(self, criteria: Criteria, dimensions: int) -> None:
        if self._index(criteria) is not None:
            return
        self._connection.create_index(
            _name(criteria),
            dimension=dimensions,
            metric="cosine" if criteria.l2_normalized else "euclidean",
            spec=ServerlessSpec(
                cloud=os.environ.get("DEEPFACE_PINECONE_CLOUD", "aws"),
                region=os.environ.get("DEEPFACE_PINECONE_REGION", "us-east-1"),
            ),
        )

    def store(self, criteria: Criteria, records: Sequence[Record]) -> Sequence[Id]:
        index, ids = self._index(criteria), [record.face_hash for record in records]
        vectors = [
            {
                "id": id_,
                "values": record.embedding.astype(np.float32).tolist(),
                "metadata": {"img_name": record.img_name},
            }
            for id_, record in zip(ids, records, strict=True)
        ]
        size = max(1, _NUMBERS // len(records[0].embedding))
        try:
            for some in chunks(vectors, size):
                index.upsert(vectors=some)
        except BaseException:
            with suppress(PineconeError):
                index.delete(ids=ids)
            raise
        return ids

    def registered(self, criteria: Criteria, records: Sequence[Record]) -> set[str]:
        return {str(id_).partition(":")[0] for id_ in self.ids_of_faces(criteria, records)}

    def ids_of_faces(self, criteria: Criteria, records: Sequence[Record]) -> list[Id]:
        ids = [id_ for record in records for id_ in (record.face_hash, record.pair)]
        return self.fetch(criteria, ids).ids

    def remove(self, criteria: Criteria, ids: Sequence[Id]) -> int:
        found = self.fetch(criteria, ids).ids
        if found:
            self._index(criteria).delete(ids=found)
        return len(found)

    def pages(self, criteria: Criteria, size: int = PAGE) -> Iterator[Page]:
        index = self._index(criteria)
        for found in index.list(limit=min(size, 100)) if index is not None else ():
            page = self.fetch(criteria, [str(item.id) for item in found.vectors])
            if page.ids:  # what was just deleted is still listed
                yield page

    def fetch(self, criteria: Criteria, ids: Sequence[Id]) -> Page:
        index, rows = self._index(criteria), []
        for some in chunks(ids, _IDS) if index is not None else ():
            found = index.fetch(ids=[str(id_) for id_ in some]).vectors
            rows += [
                (id_, (vector.metadata or {}).get("img_name"), vector.values)
                for id_, vector in found.items()
            ]
        return Page.of(rows)

    def parse_id(self, identity: Any) -> Id | None:
        """See the base class: a face's hash; of published records, two."""
        text = str(identity)
        return text if re.fullmatch(r"[0-9a-f]{64}(:[0-9a-f]{64})?", text) else None

    def neighbours(self, criteria: Criteria, queries: Vectors, k: int) -> list[list[Id]]:
        index = self._index(criteria)
        if index is None:
            return [[] for _ in queries]
        answers = [
            index.query(vector=query.astype(np.float32).tolist(), top_k=min(k, _MOST))
            for query in queries
        ]
        return [[str(match.id) for match in answer.matches] for answer in answers]


def _name(criteria: Criteria) -> str:
    """As published, but for names that Pinecone does not take: with a ``_``, or too long."""
    name = criteria.collection.replace("_", "-")
    if len(name) > _LONGEST_NAME:
        digest = hashlib.sha256(name.encode()).hexdigest()[:16]
        name = f"{name[: _LONGEST_NAME - 17].rstrip('-')}-{digest}"
    return name
