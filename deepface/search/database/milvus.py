"""Milvus: a collection per criteria. Also Milvus Lite, a file without a server."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from pymilvus import DataType, MilvusClient
from pymilvus.exceptions import MilvusException

from deepface.errors import DatabaseError
from deepface.search.database.base import (
    PAGE,
    Criteria,
    Database,
    Id,
    NearestQuery,
    Page,
    Record,
    Vectors,
)
from deepface.search.database.proven import proven_pages
from deepface.search.database.server import PATIENCE

#: Code of a collection whose index somebody has dropped.
_NO_INDEX = 700
_FIELDS = ("id", "img_name", "embedding")
# Of a file it says for each page that it has no clock, and takes its own.
logging.getLogger("pymilvus.client.iterator.query_iterator").addFilter(
    lambda said: "mvccTs" not in str(said.msg)
)


class Milvus(Database):
    """A Milvus server, or a file.

    Milvus has no transactions: a face that two processes register at the same moment is stored
    once, without an error. Records of the published library, whose ids are random, are searched,
    but not known as registered.

    Args:
        details: a URI, the path of a file ending in ``.db``, or a dict of arguments of
            ``MilvusClient``.
        connection: a ``MilvusClient`` of the caller's.
    """

    connection_method = "has_collection"
    driver_errors = (MilvusException,)

    def __init__(self, details: Any = None, connection: Any = None) -> None:
        self._connection: Any = connection or _connect(details)
        in_file = connection is None and _file_of(details) is not None
        self._index_type = "FLAT" if in_file else "AUTOINDEX"
        self._loaded: set[str] = set()

    @classmethod
    def explain(cls, error: Exception, details: Any) -> Exception:
        text, file = getattr(error, "message", error), _file_of(details)
        if file is not None:
            return DatabaseError(f"the Milvus file {file} cannot be used: {_why_not(file, text)}")
        return DatabaseError(
            "Milvus cannot be reached or failed: is the server running, and is the address in "
            f"connection_details or DEEPFACE_MILVUS_URI right? ({text})"
        )

    def _has(self, criteria: Criteria) -> bool:
        """Whether there is a collection, which is then in the server's memory: after the server, or
        whoever had the file, was started anew, it is not.
        """
        name = criteria.collection
        if name not in self._loaded and self._connection.has_collection(name):
            try:
                self._connection.load_collection(name)
            except MilvusException as error:
                if error.code != _NO_INDEX:
                    raise
                self._make_index(criteria)  # without one a server reads nothing
                self._connection.load_collection(name)
            self._loaded.add(name)
        return name in self._loaded

    def _make_index(self, criteria: Criteria) -> None:
        """As published for a file, which compares with all in any case; a graph on a server."""
        parameters = self._connection.prepare_index_params()
        metric = "COSINE" if criteria.l2_normalized else "L2"
        parameters.add_index("embedding", index_type=self._index_type, metric_type=metric)
        self._connection.create_index(criteria.collection, parameters)

    def prepare(self, criteria: Criteria, dimensions: int) -> None:
        name = criteria.collection
        if not self._has(criteria):
            schema = self._connection.create_schema(auto_id=False, enable_dynamic_field=True)
            schema.add_field("id", DataType.INT64, is_primary=True)
            schema.add_field("embedding", DataType.FLOAT_VECTOR, dim=dimensions)
            self._connection.create_collection(name, schema=schema, consistency_level="Strong")
            self._make_index(criteria)
            self._has(criteria)

    def store(self, criteria: Criteria, records: Sequence[Record]) -> Sequence[Id]:
        rows = [
            {
                "id": _id(record),
                "img_name": record.img_name,
                "embedding": record.embedding.astype(np.float32).tolist(),
            }
            for record in records
        ]
        self._connection.upsert(criteria.collection, rows)
        return [_id(record) for record in records]

    def registered(self, criteria: Criteria, records: Sequence[Record]) -> set[str]:
        hashes: dict[Id, str] = {_id(record): record.face_hash for record in records}
        return {hashes[id_] for id_ in self._stored(criteria, list(hashes))}

    def ids_of_faces(self, criteria: Criteria, records: Sequence[Record]) -> list[Id]:
        return self._stored(criteria, [_id(record) for record in records])

    def _stored(self, criteria: Criteria, ids: Sequence[Id]) -> list[Id]:
        """Which of these ids there are."""
        name = criteria.collection
        if not ids or not self._has(criteria):
            return []
        return [row["id"] for row in self._connection.get(name, list(ids), output_fields=["id"])]

    def dimensions(self, criteria: Criteria) -> int | None:
        if not self._has(criteria):
            return None
        fields = self._connection.describe_collection(criteria.collection)["fields"]
        return next(int(f["params"]["dim"]) for f in fields if f["name"] == "embedding")

    def remove(self, criteria: Criteria, ids: Sequence[Id]) -> int:
        found = self._stored(criteria, ids)
        if found:
            self._connection.delete(criteria.collection, ids=found)
        return len(found)

    def pages(self, criteria: Criteria, size: int = PAGE) -> Iterator[Page]:
        if not self._has(criteria):
            return
        rows = self._connection.query_iterator(
            criteria.collection, batch_size=size, output_fields=list(_FIELDS)
        )
        try:
            while batch := rows.next():
                yield _page(batch)
        finally:
            rows.close()

    def candidates(
        self, criteria: Criteria, query: NearestQuery, size: int = PAGE
    ) -> Iterator[Page]:
        """See the base class. With a ``FLAT`` index, which is published, a search compares with
        every vector.
        """
        found = None
        if self.dimensions(criteria) == query.probes.shape[-1]:
            name = criteria.collection
            indexes = [
                self._connection.describe_index(name, index)
                for index in self._connection.list_indexes(name, field_name="embedding")
            ]
            kinds = [(index["index_type"], index["metric_type"]) for index in indexes]
            if kinds in ([("FLAT", "COSINE")], [("FLAT", "L2")]):
                ask, cosine = partial(self._nearest, name), kinds[0][1] == "COSINE"
                found = proven_pages(self, ask, cosine, query, size)
        return found or self.pages(criteria, size)

    def _nearest(self, collection: str, probes: Vectors, count: int) -> list[tuple[Page, Vectors]]:
        """See :data:`proven.Ask`."""
        found = self._connection.search(
            collection,
            probes.astype(np.float32).tolist(),
            limit=count,
            output_fields=list(_FIELDS),
            consistency_level="Strong",
        )
        return [
            (_page([hit["entity"] for hit in hits]), np.array([hit["distance"] for hit in hits]))
            for hits in found
        ]

    def fetch(self, criteria: Criteria, ids: Sequence[Id]) -> Page:
        if not ids or not self._has(criteria):
            return Page.of([])
        return _page(
            self._connection.get(criteria.collection, list(ids), output_fields=list(_FIELDS))
        )

    def neighbours(self, criteria: Criteria, queries: Vectors, k: int) -> list[list[Id]]:
        if not self._has(criteria):
            return [[] for _ in queries]
        found = self._connection.search(
            criteria.collection, queries.astype(np.float32).tolist(), limit=k
        )
        return [[hit["id"] for hit in hits] for hits in found]


def _file_of(details: Any) -> str | os.PathLike[str] | None:
    place = details.get("uri") if isinstance(details, dict) else details
    is_file = isinstance(place, (str, os.PathLike)) and "://" not in os.fspath(place)
    return place if is_file else None


def _why_not(file: str | os.PathLike[str], text: object) -> str:
    """What the driver does not say of a file, which it opens by a server of its own."""
    if find_spec("milvus_lite") is None:
        return "files need milvus-lite: pip install milvus-lite"
    path = Path(file)
    exists = os.path.exists(path)  # noqa: PTH110 - false also for names that are too long
    there = path if exists else path.parent
    if not os.access(there, os.R_OK | os.W_OK | (os.X_OK if there.is_dir() else 0)):
        return f"check that {there} exists and that you may read and write it"
    if exists and "Open local milvus failed" in str(text):
        return f"it is in use by another program, or is no Milvus file ({text})"
    return str(text)


def _connect(details: Any) -> Any:
    if isinstance(details, dict):
        return MilvusClient(**details)
    return MilvusClient(os.fspath(details), timeout=PATIENCE)


def _id(record: Record) -> int:
    """The same in every process, unlike the published one: 63 bits of the hash."""
    return int(record.face_hash[:16], 16) >> 1


def _page(rows: Sequence[Any]) -> Page:
    return Page.of((row["id"], row.get("img_name"), row["embedding"]) for row in rows)
