"""Qdrant: a collection per criteria. Also its local mode, in memory or a folder."""

from __future__ import annotations

import os
import threading
import uuid
import warnings
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from typing import Any

import numpy as np
from qdrant_client import QdrantClient, models
from qdrant_client.http.exceptions import ApiException, UnexpectedResponse

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
    parse_uuid,
    storable,
)
from deepface.search.database.proven import proven_pages
from deepface.search.index import SEARCH_EFFORT

#: Seconds to wait for another thread that has the folder.
_PATIENCE = 60
_folders: defaultdict[str, threading.RLock] = defaultdict(threading.RLock)


class Qdrant(Database):
    """A Qdrant server, or its local mode.

    Qdrant has no transactions: a face that two processes register at the same moment is stored
    once, without an error. Published records are known by the face together with its vector.

    Args:
        details: a URL, ``":memory:"``, or a dict of arguments of ``QdrantClient``. A folder
            (``path``) needs ``"allow_pickle": True`` beside it: its files are pickles, which can
            run any program.
        connection: a ``QdrantClient`` of the caller's.
    """

    connection_method = "get_collections"
    driver_errors = (ApiException,)
    id_type = str

    def __init__(self, details: Any = None, connection: Any = None) -> None:
        self._connection: QdrantClient
        with ExitStack() as held:
            self._connection = connection or _connect(details, held)
            self._held = held.pop_all()

    def close(self) -> None:
        with self._held:
            self._connection.close()

    @classmethod
    def explain(cls, error: Exception, details: Any) -> Exception:
        if getattr(error, "status_code", None) in (401, 403):
            return DatabaseError("Qdrant refused the API key: pass the right one as api_key")
        return DatabaseError(
            "Qdrant cannot be reached or failed: is the server running, and is the address in "
            f"connection_details or DEEPFACE_QDRANT_URI right? ({error})"
        )

    def prepare(self, criteria: Criteria, dimensions: int) -> None:
        name = criteria.collection
        if self._connection.collection_exists(name):
            return
        distance = models.Distance.COSINE if criteria.l2_normalized else models.Distance.EUCLID
        self._connection.create_collection(
            name, vectors_config=models.VectorParams(size=dimensions, distance=distance)
        )
        with warnings.catch_warnings(), suppress(UnexpectedResponse):  # names are found without
            warnings.simplefilter("ignore")  # in a folder it has no effect, and need not have
            self._connection.create_payload_index(
                name, "img_name", models.PayloadSchemaType.KEYWORD
            )

    def store(self, criteria: Criteria, records: Sequence[Record]) -> Sequence[Id]:
        points = [
            models.PointStruct(
                id=_ids(record)[0],
                vector=record.embedding.tolist(),
                payload={"img_name": record.img_name},
            )
            for record in records
        ]
        self._connection.upsert(criteria.collection, points)
        return [str(point.id) for point in points]

    def registered(self, criteria: Criteria, records: Sequence[Record]) -> set[str]:
        hashes = {id_: record.face_hash for record in records for id_ in _ids(record)}
        return {hashes[id_] for id_ in self._stored(criteria, list(hashes))}

    def ids_of_faces(self, criteria: Criteria, records: Sequence[Record]) -> list[Id]:
        return list(self._stored(criteria, [id_ for record in records for id_ in _ids(record)]))

    def _stored(self, criteria: Criteria, ids: Sequence[Id]) -> list[str]:
        """Which of these ids there are."""
        if not self._connection.collection_exists(criteria.collection):
            return []
        points = self._connection.retrieve(criteria.collection, list(ids), with_payload=False)
        return [str(point.id) for point in points]

    def ids_of_names(self, criteria: Criteria, names: Sequence[str]) -> list[Id]:
        wanted = models.MatchAny(any=[storable(name) for name in names])
        condition = models.FieldCondition(key="img_name", match=wanted)
        found = self._scrolled(criteria, PAGE, scroll_filter=models.Filter(must=[condition]))
        try:
            return [str(point.id) for points in found for point in points]
        except UnexpectedResponse:  # a strict server lets nothing be asked of names without index
            return super().ids_of_names(criteria, names)

    def _scrolled(self, criteria: Criteria, size: int, **options: Any) -> Iterator[list[Any]]:
        """Points, ``size`` at a time."""
        offset, more = None, self._connection.collection_exists(criteria.collection)
        while more:
            points, offset = self._connection.scroll(
                criteria.collection, limit=size, offset=offset, **options
            )
            more = offset is not None
            yield points

    def dimensions(self, criteria: Criteria) -> int | None:
        vectors = self._vectors(criteria)
        return None if vectors is None else int(vectors.size)

    def _vectors(self, criteria: Criteria) -> models.VectorParams | None:
        """What kind of vectors the collection has; ``None`` where there is none."""
        if not self._connection.collection_exists(criteria.collection):
            return None
        vectors = self._connection.get_collection(criteria.collection).config.params.vectors
        return vectors if isinstance(vectors, models.VectorParams) else None

    def remove(self, criteria: Criteria, ids: Sequence[Id]) -> int:
        found = self._stored(criteria, ids)
        if found:
            selector = models.PointIdsList(points=list(found))
            self._connection.delete(criteria.collection, selector)
        return len(found)

    def pages(self, criteria: Criteria, size: int = PAGE) -> Iterator[Page]:
        for points in self._scrolled(criteria, size, with_vectors=True):
            if points:
                yield _page(points)

    def candidates(
        self, criteria: Criteria, query: NearestQuery, size: int = PAGE
    ) -> Iterator[Page]:
        """See the base class. Of a collection of cosines the server scales the vectors, but for
        those shorter than 3.5e-4, of which it computes something else; a network gives none such.
        """
        vectors = self._vectors(criteria)
        found = None
        if (
            vectors is not None
            and vectors.size == query.probes.shape[-1]
            and vectors.datatype in (None, models.Datatype.FLOAT32)
            and vectors.distance in (models.Distance.COSINE, models.Distance.EUCLID)
        ):
            cosine = vectors.distance == models.Distance.COSINE
            ask = partial(self._nearest, criteria.collection, power=1 if cosine else 2)
            found = proven_pages(self, ask, cosine, query, size)
        return found or self.pages(criteria, size)

    def _nearest(
        self, collection: str, probes: Vectors, count: int, power: int
    ) -> list[tuple[Page, Vectors]]:
        """See :data:`proven.Ask`."""
        every = models.SearchParams(
            exact=True, quantization=models.QuantizationSearchParams(ignore=True)
        )
        requests = [
            models.QueryRequest(
                query=probe.tolist(), limit=count, with_vector=True, with_payload=True, params=every
            )
            for probe in probes
        ]
        return [
            (_page(points), np.array([point.score for point in points]) ** power)
            for points in self._found(collection, requests)
        ]

    def _found(self, collection: str, requests: list[models.QueryRequest]) -> Iterator[list[Any]]:
        with warnings.catch_warnings():  # the local mode compares with all whatever is asked
            warnings.filterwarnings("ignore", message="Local mode performs exact")
            for answer in self._connection.query_batch_points(collection, requests):
                yield answer.points

    def fetch(self, criteria: Criteria, ids: Sequence[Id]) -> Page:
        if not self._connection.collection_exists(criteria.collection):
            return Page.of([])
        return _page(self._connection.retrieve(criteria.collection, list(ids), with_vectors=True))

    def parse_id(self, identity: Any) -> Id | None:
        return parse_uuid(identity)

    def neighbours(self, criteria: Criteria, queries: Vectors, k: int) -> list[list[Id]]:
        requests = [
            models.QueryRequest(
                query=query.tolist(),
                limit=k,
                params=models.SearchParams(hnsw_ef=max(k, SEARCH_EFFORT)),
            )
            for query in queries
        ]
        found = self._found(criteria.collection, requests)
        return [[str(point.id) for point in points] for points in found]


def _connect(details: Any, held: ExitStack) -> QdrantClient:
    """A client; ``held`` is what others wait for until it is closed."""
    if isinstance(details, dict):
        options = dict(details)
    else:
        text = os.fspath(details)
        key = "url" if "://" in text else "location" if text == ":memory:" else "path"
        options = {key: text}
    folder = options.get("path")
    if not options.pop("allow_pickle", False) and folder is not None:
        raise DatabaseError(
            f"the folder {folder} is not opened: qdrant-client keeps points in folders as "
            "pickles, so that whoever can change a file there can run any program as you. Use a "
            "Qdrant server, or database_type='sqlite' or 'milvus' for a file. If nobody else can "
            "write to the folder, say so: connection_details={'path': ..., 'allow_pickle': True}"
        )
    if folder is not None:
        _wait_for(str(folder), held)
    options.setdefault("check_compatibility", False)  # which warns instead of raising an error
    try:
        client = QdrantClient(**options)
    except RuntimeError as error:
        raise DatabaseError(
            "the Qdrant folder is in use by another program: run a Qdrant server for several "
            "programs at a time"
        ) from error
    client.get_collections()  # connects
    return client


def _wait_for(folder: str, held: ExitStack) -> None:
    """A client has a folder for itself: the threads of a program take turns."""
    lock = _folders[os.path.realpath(folder)]
    if not lock.acquire(timeout=_PATIENCE):
        raise DatabaseError(f"another thread has used the Qdrant folder for {_PATIENCE} seconds")
    held.callback(lock.release)


def _ids(record: Record) -> list[str]:
    """What a face is called here, and what the published library calls it."""
    texts = (record.face_hash, record.pair)
    return [str(uuid.uuid5(uuid.NAMESPACE_OID, text)) for text in texts]


def _page(points: Sequence[Any]) -> Page:
    return Page.of((str(p.id), (p.payload or {}).get("img_name"), p.vector) for p in points)
