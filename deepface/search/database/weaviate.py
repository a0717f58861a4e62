"""Weaviate: a collection per criteria, as published. Vectors are indexed by the server."""

from __future__ import annotations

import base64
import os
import uuid
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import islice
from typing import Any

from packaging.version import Version
from weaviate.classes.config import Configure, DataType, Property, VectorDistances
from weaviate.classes.data import DataObject
from weaviate.classes.query import Filter
from weaviate.exceptions import (
    AuthenticationFailedError,
    InsufficientPermissionsError,
    WeaviateBaseError,
    WeaviateConnectionError,
    WeaviateStartUpError,
)

from deepface.errors import DatabaseError
from deepface.runtime.execution.batching import chunks
from deepface.search.database.base import (
    PAGE,
    Criteria,
    Database,
    Id,
    Page,
    Record,
    Vectors,
    name_of,
    parse_uuid,
)
from deepface.search.database.server import Server
from deepface.search.database.weaviate_options import QUANTIZERS, WeaviateOptions, connected

_SERVER = Server("Weaviate", "DEEPFACE_WEAVIATE_URI", "http://host:8080")
#: Bytes of one request: servers take 10 MB where nobody says otherwise.
_REQUEST = 8_000_000
_PROPERTIES = {
    "img_name": DataType.TEXT,
    "face": DataType.BLOB,
    "face_shape": DataType.INT_ARRAY,
    "model_name": DataType.TEXT,
    "detector_backend": DataType.TEXT,
    "aligned": DataType.BOOL,
    "l2_normalized": DataType.BOOL,
    "face_hash": DataType.TEXT,
    "embedding_hash": DataType.TEXT,
    "embedding": DataType.NUMBER_ARRAY,
}


class Weaviate(Database):
    """A Weaviate server, version 1.27 or later.

    Without transactions: a face that two processes register at the same moment is stored once,
    without an error.

    Args:
        details: a URL, or a dict (or its JSON text) of :class:`WeaviateOptions`.
        connection: a connected ``weaviate.WeaviateClient`` of the caller's.
    """

    reusable = True
    connection_method = "get_meta"
    driver_errors = (WeaviateBaseError,)
    id_type = str

    def __init__(self, details: Any = None, connection: Any = None) -> None:
        self._options = WeaviateOptions.of({} if connection is not None else details)
        self._connection: Any = connection or connected(self._options)

    def ping(self) -> None:
        self._connection.get_meta()

    @classmethod
    def explain(cls, error: Exception, details: Any) -> Exception:
        status = getattr(error, "status_code", None)
        if isinstance(error, AuthenticationFailedError) or status == 401:
            return DatabaseError(
                "Weaviate refused the key or the password. Check connection_details or "
                f"{_SERVER.variable}."
            )
        if isinstance(error, InsufficientPermissionsError) or status == 403:
            return _SERVER.forbidden(error)
        if isinstance(error, (WeaviateConnectionError, WeaviateStartUpError)):
            return _SERVER.unreachable(error)
        return DatabaseError(f"Weaviate: {error}")

    def _collection(self, criteria: Criteria) -> Any:
        """The collection of these criteria, or the tenant's part; ``None`` where there is none."""
        name, tenant = _name(criteria), self._options.tenant
        if not self._connection.collections.exists(name):
            return None
        collection = self._connection.collections.get(name)
        if tenant is None:
            return collection
        if not collection.config.get().multi_tenancy_config.enabled:
            raise DatabaseError(f"the collection {name} is without tenants: leave out 'tenant'")
        return collection.with_tenant(tenant) if collection.tenants.exists(tenant) else None

    def prepare(self, criteria: Criteria, dimensions: int) -> None:
        name, tenant = _name(criteria), self._options.tenant
        if not self._connection.collections.exists(name):
            kinds = VectorDistances
            distance = kinds.COSINE if criteria.l2_normalized else kinds.L2_SQUARED
            neighbours = os.environ.get("WEAVIATE_HNSW_M")
            tenants = Configure.multi_tenancy(
                enabled=True, auto_tenant_creation=True, auto_tenant_activation=True
            )
            self._connection.collections.create(
                name,
                properties=[
                    Property(name=key, data_type=kind) for key, kind in _PROPERTIES.items()
                ],
                vector_config=Configure.Vectors.self_provided(
                    quantizer=self._quantizer(),
                    vector_index_config=Configure.VectorIndex.hnsw(
                        distance_metric=distance,
                        max_connections=int(neighbours) if neighbours else None,
                    ),
                ),
                multi_tenancy_config=tenants if tenant else None,
            )
        if tenant and self._collection(criteria) is None:
            self._connection.collections.get(name).tenants.create(tenant)

    def _quantizer(self) -> Any:
        kind = self._options.quantization
        if kind == "none":
            return None
        since, make = QUANTIZERS[kind]
        version = str(self._connection.get_meta().get("version", "0"))
        if Version(version) < Version(since):
            raise DatabaseError(
                f"quantization={kind!r} needs Weaviate {since} or later, but the server is "
                f"{version}"
            )
        return make()

    def store(self, criteria: Criteria, records: Sequence[Record]) -> Sequence[Id]:
        data, ids = self._collection(criteria).data, [self._id(record) for record in records]
        objects = [
            DataObject(
                uuid=id_,
                vector=record.embedding.tolist(),
                properties={
                    **record.columns(criteria),
                    "face": base64.b64encode(record.pixels).decode(),
                },
            )
            for id_, record in zip(ids, records, strict=True)
        ]
        size = max(1, _REQUEST // (2 * records[0].face.nbytes + 20 * len(records[0].embedding)))
        try:
            for some in chunks(objects, size):
                answer = data.insert_many(some)
                if answer.has_errors:
                    first = next(iter(answer.errors.values()))
                    raise DatabaseError(f"Weaviate refused a face: {first.message}")
        except BaseException:
            with suppress(WeaviateBaseError):
                data.delete_many(Filter.by_id().contains_any(ids))
            raise
        return ids

    def _id(self, record: Record) -> str:
        """One per face and tenant; the published one has the hash of the vector in it, too."""
        tenant = [self._options.tenant] if self._options.tenant else []
        return str(uuid.uuid5(uuid.NAMESPACE_OID, ":".join((*tenant, record.face_hash))))

    def registered(self, criteria: Criteria, records: Sequence[Record]) -> set[str]:
        return {str(found.properties["face_hash"]) for found in self._same(criteria, records)}

    def ids_of_faces(self, criteria: Criteria, records: Sequence[Record]) -> list[Id]:
        return [str(found.uuid) for found in self._same(criteria, records)]

    def _same(self, criteria: Criteria, records: Sequence[Record]) -> list[Any]:
        collection, found = self._collection(criteria), []
        hashes = [record.face_hash for record in records]
        for portion in chunks(hashes, PAGE) if collection is not None else ():
            answer = collection.query.fetch_objects(
                filters=Filter.by_property("face_hash").contains_any(portion),
                limit=2 * len(portion),
                return_properties=["face_hash"],
            )
            found += answer.objects
        return found

    def remove(self, criteria: Criteria, ids: Sequence[Id]) -> int:
        collection = self._collection(criteria)
        if collection is None or not ids:
            return 0
        answer = collection.data.delete_many(Filter.by_id().contains_any([str(i) for i in ids]))
        return int(answer.successful)

    def pages(self, criteria: Criteria, size: int = PAGE) -> Iterator[Page]:
        objects = self._objects(criteria, ["img_name", "embedding"], size)
        while portion := list(islice(objects, size)):
            yield _page(portion)

    def entries(self, criteria: Criteria) -> Iterator[tuple[Id, str]]:
        for found in self._objects(criteria, ["img_name"], PAGE):
            yield str(found.uuid), name_of(found.properties.get("img_name"))

    def _objects(self, criteria: Criteria, properties: list[str], size: int) -> Iterator[Any]:
        collection = self._collection(criteria)
        if collection is not None:
            yield from collection.iterator(return_properties=properties, cache_size=size)

    def fetch(self, criteria: Criteria, ids: Sequence[Id]) -> Page:
        collection, found = self._collection(criteria), []
        for some in chunks(ids, PAGE) if collection is not None else ():
            found += collection.query.fetch_objects_by_ids(
                [*map(str, some)], limit=len(some), return_properties=["img_name", "embedding"]
            ).objects
        return _page(found)

    def parse_id(self, identity: Any) -> Id | None:
        return parse_uuid(identity)

    def neighbours(self, criteria: Criteria, queries: Vectors, k: int) -> list[list[Id]]:
        collection = self._collection(criteria)
        if collection is None:
            return [[] for _ in queries]
        answers = [
            collection.query.near_vector(query.tolist(), limit=k, return_properties=["img_name"])
            for query in queries
        ]
        return [[str(found.uuid) for found in answer.objects] for answer in answers]


def _name(criteria: Criteria) -> str:
    """As published."""
    return criteria.collection.capitalize()


def _page(objects: Sequence[Any]) -> Page:
    return Page.of(
        (str(o.uuid), o.properties.get("img_name"), o.properties.get("embedding")) for o in objects
    )
