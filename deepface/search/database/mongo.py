"""MongoDB, in the published collections of the database ``deepface``."""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Iterator, Sequence
from datetime import datetime, timezone
from typing import Any

import numpy as np
import pymongo
from numpy.typing import NDArray
from pymongo.errors import (
    BulkWriteError,
    ConfigurationError,
    DuplicateKeyError,
    OperationFailure,
    PyMongoError,
)

from deepface.errors import DatabaseError
from deepface.search.database.base import (
    PAGE,
    Criteria,
    Id,
    Page,
    Record,
    name_of,
    registered_meanwhile,
    storable,
    tell_once,
)
from deepface.search.database.indexed import LOCKED, IndexedDatabase, as_bytes, wait_for_turn
from deepface.search.database.server import PATIENCE, Server

_SERVER = Server("MongoDB", "DEEPFACE_MONGO_URI", "mongodb://host:27017")
_COLUMNS = dict.fromkeys(("sequence", "img_name", "embedding"), 1)
#: Codes of a user who is not known, and of one who may not do what is asked.
_REFUSED, _FORBIDDEN = (18, 8000), 13


class Mongo(IndexedDatabase):
    """A MongoDB server.

    One process writes at a time, by a lock. Without transactions, which single servers lack: when
    some of the records of a call are refused (the published library has registered them
    meanwhile), the others are taken out again.

    Args:
        details: a URI, or a dict of arguments of ``MongoClient``.
        connection: a ``MongoClient`` of the caller's.
    """

    connection_method = "list_database_names"
    driver_errors = (PyMongoError,)
    reusable = True

    def __init__(self, details: Any = None, connection: Any = None) -> None:
        self._connection: Any = connection or _connect(details)
        self._faces = self._connection["deepface"]["embeddings"]
        self._indexes = self._connection["deepface"]["embeddings_index"]
        self._parts = self._connection["deepface"]["embeddings_index_parts"]
        self._counters = self._connection["deepface"]["counters"]
        self._locks = self._connection["deepface"]["locks"]
        self._owner = uuid.uuid4().hex

    def ping(self) -> None:
        self._connection.admin.command("ping")

    @classmethod
    def explain(cls, error: Exception, details: Any) -> Exception:
        if isinstance(error, OperationFailure):
            text = error.args[0]
            if error.code in _REFUSED:
                return _SERVER.refused(text)
            if error.code == _FORBIDDEN:
                return _SERVER.forbidden(text)
            return DatabaseError(f"MongoDB: {text}")
        if isinstance(error, ConfigurationError):
            return _SERVER.no_address()
        return _SERVER.unreachable(str(error).split(", Timeout")[0])

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        wait_for_turn(self._take_lock)
        try:
            yield
        finally:
            with contextlib.suppress(PyMongoError):
                self._locks.delete_one({"_id": "write", "owner": self._owner})

    def _take_lock(self) -> bool:
        """Whether the lock is this connection's now, for :data:`LOCKED` seconds."""
        now = time.time()
        free = [{"owner": self._owner}, {"until": {"$lt": now}}]
        try:
            self._locks.update_one(
                {"_id": "write", "$or": free},
                {"$set": {"owner": self._owner, "until": now + LOCKED}},
                upsert=True,
            )
        except DuplicateKeyError:  # there is one, but none of these
            return False
        return True

    def _keep_lock(self) -> None:
        if not self._take_lock():
            raise DatabaseError(f"MongoDB did not answer for {LOCKED} seconds: try again")

    def prepare(self, criteria: Criteria, dimensions: int) -> None:
        pair = ("face_hash", "embedding_hash")
        self._order(self._faces, pair, unique=True, name="uniq_face_embedding")
        self._order(self._faces, (*criteria.columns, "sequence"))

    def prepare_index(self) -> None:
        criteria = ("model_name", "detector_backend", "align", "l2_normalized")
        self._order(self._indexes, criteria, unique=True, name="uniq_index_config")
        self._order(self._parts, ("version", "part"), unique=True)

    def _order(self, collection: Any, fields: Sequence[str], **options: Any) -> None:
        """Have a collection indexed by fields. Who may not can write without: the lock keeps ours
        unique.
        """
        try:
            collection.create_index([(name, 1) for name in fields], **options)
        except OperationFailure as error:
            if error.code != _FORBIDDEN:
                raise
            tell_once(f"The collection {collection.name} is used as it is: {self.reason(error)}")

    def registered(self, criteria: Criteria, records: Sequence[Record]) -> set[str]:
        """See the base class. A pair of hashes is held once, of whatever criteria, as published."""
        vectors = {record.face_hash: record.embedding_hash for record in records}
        found = self._faces.find(
            {"face_hash": {"$in": list(vectors)}},
            dict.fromkeys(("face_hash", "embedding_hash", *criteria.columns), 1),
        )
        return {
            face["face_hash"]
            for face in found
            if face["embedding_hash"] == vectors[face["face_hash"]]
            or {name: face.get(name) for name in criteria.columns} == criteria.columns
        }

    def ids_of_faces(self, criteria: Criteria, records: Sequence[Record]) -> list[Id]:
        hashes = [record.face_hash for record in records]
        return self._ids_where({"face_hash": {"$in": hashes}, **criteria.columns})

    def ids_of_names(self, criteria: Criteria, names: Sequence[str]) -> list[Id]:
        wanted = [storable(name) for name in names]
        return self._ids_where({"img_name": {"$in": wanted}, **criteria.columns})

    def _ids_where(self, condition: dict[str, Any]) -> list[Id]:
        return [face["sequence"] for face in self._faces.find(condition, {"sequence": 1})]

    def store(self, criteria: Criteria, records: Sequence[Record]) -> Sequence[Id]:
        self._keep_lock()
        counter = self._counters.find_one_and_update(
            {"_id": "embedding_id"},
            {"$inc": {"seq": len(records)}},
            upsert=True,
            return_document=pymongo.ReturnDocument.AFTER,
        )
        last = int(counter["seq"])
        ids = list(range(last - len(records) + 1, last + 1))
        now = datetime.now(timezone.utc)
        faces: list[dict[str, Any]] = [
            {"sequence": id_, **record.columns(criteria), "created_at": now}
            for id_, record in zip(ids, records, strict=True)
        ]
        try:
            self._faces.insert_many(faces, ordered=True)
        except BaseException as error:
            with contextlib.suppress(PyMongoError):
                self._faces.delete_many({"sequence": {"$in": ids}})
            if isinstance(error, BulkWriteError):
                raise registered_meanwhile() from error
            raise
        return ids

    def remove(self, criteria: Criteria, ids: Sequence[Id]) -> int:
        return int(self._faces.delete_many({"sequence": {"$in": list(ids)}}).deleted_count)

    def pages(self, criteria: Criteria, size: int = PAGE, after: int = -1) -> Iterator[Page]:
        for faces in self._pages_of(criteria, ("img_name", "embedding"), size, after):
            yield _page(faces)

    def entries(self, criteria: Criteria) -> Iterator[tuple[Id, str]]:
        for faces in self._pages_of(criteria, ("img_name",), PAGE, -1):
            yield from ((face["sequence"], name_of(face.get("img_name"))) for face in faces)

    def _pages_of(
        self, criteria: Criteria, fields: Sequence[str], size: int, after: int
    ) -> Iterator[list[dict[str, Any]]]:
        columns = dict.fromkeys(("sequence", *fields), 1)
        while faces := list(
            self._faces.find({**criteria.columns, "sequence": {"$gt": after}}, columns)
            .sort("sequence", 1)
            .limit(size)
        ):
            yield faces
            after = faces[-1]["sequence"]

    def fetch(self, criteria: Criteria, ids: Sequence[Id]) -> Page:
        return _page(self._faces.find({"sequence": {"$in": list(ids)}}, _COLUMNS))

    def how_made(self, criteria: Criteria, id_: Id) -> Criteria:
        face = self._faces.find_one({"sequence": id_}, dict.fromkeys(criteria.columns, 1))
        made: dict[str, Any] = {name: (face or {}).get(name) for name in criteria.columns}
        return Criteria(**made)

    def ids(self, criteria: Criteria) -> NDArray[np.int64]:
        return np.array(self._ids_where(dict(criteria.columns)), dtype=np.int64)

    def place(self) -> str:
        return f"mongo {self._connection!r}"

    def index_data(self, criteria: Criteria) -> bytes | None:
        found = self._indexes.find_one(_index_of(criteria))
        data = as_bytes((found or {}).get("index_data") or b"")
        return data or None

    def index_part(self, version: str, number: int) -> bytes | None:
        found = self._parts.find_one({"version": version, "part": number})
        return None if found is None else as_bytes(found["data"])

    def set_index_data(self, criteria: Criteria, data: bytes) -> None:
        now = datetime.now(timezone.utc)
        self._indexes.update_one(
            _index_of(criteria),
            {"$set": {"index_data": data, "updated_at": now}, "$setOnInsert": {"created_at": now}},
            upsert=True,
        )

    def store_index_part(self, version: str, number: int, data: bytes) -> None:
        self._keep_lock()
        self._parts.insert_one({"version": version, "part": number, "data": data})

    def delete_index_parts(self, version: str) -> None:
        self._parts.delete_many({"version": version})


def _connect(details: Any) -> Any:
    options: dict[str, Any] = {"serverSelectionTimeoutMS": 1000 * PATIENCE}
    options |= details if isinstance(details, dict) else {"host": str(details)}
    try:
        client: Any = pymongo.MongoClient(**options)
    except (ValueError, TypeError) as error:  # not the message: it may quote a password
        raise ConfigurationError("no address") from error
    client.admin.command("ping")
    return client


def _index_of(criteria: Criteria) -> dict[str, Any]:
    """The published index has another name for one of them."""
    return {"align" if k == "aligned" else k: v for k, v in criteria.columns.items()}


def _page(faces: Any) -> Page:
    return Page.of((f.get("sequence"), f.get("img_name"), f.get("embedding")) for f in faces)
