"""Redis, in the published keys."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Sequence
from datetime import datetime, timezone
from typing import Any, TypeAlias

import numpy as np
import redis
from numpy.typing import NDArray

from deepface.errors import DatabaseError
from deepface.search.database.base import PAGE, Criteria, Id, Page, Record, packed, unpacked
from deepface.search.database.indexed import LOCKED, IndexedDatabase
from deepface.search.database.server import PATIENCE, Server

_SERVER = Server("Redis", "DEEPFACE_REDIS_URI", "redis://user:password@host:6379/0")
#: A hash of a face, and a record's id.
Same: TypeAlias = tuple[str, int]


class Redis(IndexedDatabase):
    """A Redis server.

    What one call writes is written at once (``MULTI``), by one process at a time.

    Args:
        details: ``redis://user:password@host:port/number``, or a dict of arguments of
            ``redis.Redis``.
        connection: a ``redis.Redis`` of the caller's; ``decode_responses`` is off.
    """

    connection_method = "get_connection_kwargs"
    driver_errors = (redis.RedisError,)
    reusable = True

    def __init__(self, details: Any = None, connection: Any = None) -> None:
        self._connection: Any = connection or _connect(details)
        if self._connection.get_connection_kwargs().get("decode_responses"):
            raise DatabaseError("the Redis connection needs decode_responses=False")
        self._connection.ping()

    def ping(self) -> None:
        self._connection.ping()

    @classmethod
    def explain(cls, error: Exception, details: Any) -> Exception:
        if isinstance(error, redis.AuthenticationError):
            return _SERVER.refused()
        if isinstance(error, redis.exceptions.NoPermissionError):
            return _SERVER.forbidden(error)
        if isinstance(error, (redis.ConnectionError, redis.TimeoutError)):
            return _SERVER.unreachable(error)
        return DatabaseError(f"Redis: {error}")

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        self._lock = self._connection.lock(self._key("lock"), timeout=LOCKED)
        with self._lock:
            yield

    def registered(self, criteria: Criteria, records: Sequence[Record]) -> set[str]:
        """See the base class. A pair of hashes is held once, of whatever criteria, as published."""
        return {face for face, id_ in self._same_faces(criteria, records) if self._is_there(id_)}

    def ids_of_faces(self, criteria: Criteria, records: Sequence[Record]) -> list[Id]:
        ids = {id_ for _, id_ in self._same_faces(criteria, records)}
        key = self._of(criteria, "criteria")
        return [id_ for id_ in ids if self._connection.zscore(key, str(id_)) is not None]

    def _same_faces(self, criteria: Criteria, records: Sequence[Record]) -> Iterator[Same]:
        """Hashes of faces, and the records that have them; also those of the published library,
        which knows pairs of hashes only. A process that was cut off may have left pairs that no
        record has.
        """
        faces = self._connection.hmget(self._of(criteria, "faces"), [r.face_hash for r in records])
        pairs = self._connection.mget([self._dedup(record) for record in records])
        for record, *found in zip(records, faces, pairs, strict=True):
            yield from ((record.face_hash, int(id_)) for id_ in found if id_ is not None)

    def _is_there(self, id_: Id) -> bool:
        return bool(self._connection.exists(self._face(id_)))

    def store(self, criteria: Criteria, records: Sequence[Record]) -> Sequence[Id]:
        last = self._connection.incrby(self._key("embedding_id"), len(records))
        now = datetime.now(timezone.utc).isoformat()
        with self._connection.pipeline(transaction=True) as batch:
            for id_, record in enumerate(records, last - len(records) + 1):
                fields = {
                    **record.columns(criteria),
                    "face_shape": json.dumps(list(record.face.shape)),
                    "aligned": int(criteria.aligned),
                    "l2_normalized": int(criteria.l2_normalized),
                    "embedding": packed(record.embedding),
                    "created_at": now,
                }
                batch.hset(self._face(id_), mapping=fields)
                batch.zadd(self._of(criteria, "criteria"), {str(id_): id_})
                batch.set(self._dedup(record), id_)
                batch.hset(self._of(criteria, "faces"), record.face_hash, id_)
            batch.execute()
        self._lock.reacquire()  # the next records of the call have as long
        return range(last - len(records) + 1, last + 1)

    def remove(self, criteria: Criteria, ids: Sequence[Id]) -> int:
        found = [id_ for id_ in ids if self._is_there(id_)]
        fields = self._fields(found, "face_hash", "embedding_hash", *criteria.columns)
        with self._connection.pipeline(transaction=True) as batch:
            for id_, (face, vector, *made) in zip(found, fields, strict=True):
                stored = _criteria(made)
                batch.delete(self._face(id_), self._key("dedup", _text(face), _text(vector)))
                batch.zrem(self._of(stored, "criteria"), str(id_))
                batch.hdel(self._of(stored, "faces"), _text(face))
            batch.execute()
        return len(found)

    def pages(self, criteria: Criteria, size: int = PAGE, after: int = -1) -> Iterator[Page]:
        for ids in self._ids_in_pages(criteria, size, after):
            page = self.fetch(criteria, ids)
            if page.ids:
                yield page

    def entries(self, criteria: Criteria) -> Iterator[tuple[Id, str]]:
        for ids in self._ids_in_pages(criteria, PAGE, -1):
            for id_, (name,) in zip(ids, self._fields(ids, "img_name"), strict=True):
                yield id_, _text(name)

    def fetch(self, criteria: Criteria, ids: Sequence[Id]) -> Page:
        fields = zip(ids, self._fields(ids, "img_name", "embedding"), strict=True)
        return Page.of(
            (
                (id_, _text(name), vector)
                for id_, (name, vector) in fields
                if name is not None or vector is not None
            ),
            unpacked,
        )

    def how_made(self, criteria: Criteria, id_: Id) -> Criteria:
        (made,) = self._fields([id_], *criteria.columns)
        return _criteria(made)

    def ids(self, criteria: Criteria) -> NDArray[np.int64]:
        pages = list(self._ids_in_pages(criteria, PAGE, -1))
        return np.array([id_ for page in pages for id_ in page], dtype=np.int64)

    def _ids_in_pages(self, criteria: Criteria, size: int, after: int) -> Iterator[list[int]]:
        key = self._of(criteria, "criteria")
        while found := self._connection.zrangebyscore(key, f"({after}", "+inf", 0, size):
            ids = [int(id_) for id_ in found]
            yield ids
            after = ids[-1]

    def _fields(self, ids: Sequence[Id], *names: str) -> list[list[bytes | None]]:
        with self._connection.pipeline(transaction=False) as batch:
            for id_ in ids:
                batch.hmget(self._face(id_), list(names))
            found: list[list[bytes | None]] = batch.execute()
        return found

    def place(self) -> str:
        options = self._connection.get_connection_kwargs()
        return "redis " + " ".join(str(options.get(key)) for key in ("host", "port", "path", "db"))

    def index_data(self, criteria: Criteria) -> bytes | None:
        key = self._of(criteria, "index")
        length = self._connection.hstrlen(key, "index_data")
        if length < 100:
            return self._connection.hget(key, "index_data") if length else None  # type: ignore[no-any-return]
        return f"{length} {self._connection.hget(key, 'updated_at')}".encode()

    def index_part(self, version: str, number: int) -> bytes | None:
        return self._connection.get(self._key("index_part", version, number))  # type: ignore[no-any-return]

    def set_index_data(self, criteria: Criteria, data: bytes) -> None:
        key, now = self._of(criteria, "index"), datetime.now(timezone.utc).isoformat()
        self._connection.hset(key, mapping={"index_data": data, "updated_at": now})
        self._connection.hsetnx(key, "created_at", now)

    def store_index_part(self, version: str, number: int, data: bytes) -> None:
        self._lock.reacquire()  # the next part has as long
        self._connection.set(self._key("index_part", version, number), data)

    def delete_index_parts(self, version: str) -> None:
        number = 0
        while self._connection.delete(self._key("index_part", version, number)):
            number += 1

    def _key(self, *parts: Any) -> str:
        return ":".join(("deepface", *map(str, parts)))

    def _face(self, id_: Id) -> str:
        return self._key("embedding", id_)

    def _dedup(self, record: Record) -> str:
        return self._key("dedup", record.face_hash, record.embedding_hash)

    def _of(self, criteria: Criteria, kind: str) -> str:
        flags = (int(criteria.aligned), int(criteria.l2_normalized))
        return self._key(kind, criteria.model_name, criteria.detector_backend, *flags)


def _text(value: bytes | None) -> str:
    return (value or b"").decode(errors="backslashreplace")


def _criteria(fields: Sequence[bytes | None]) -> Criteria:
    model, detector, aligned, normalized = fields
    return Criteria(_text(model), _text(detector), aligned == b"1", normalized == b"1")


def _connect(details: Any) -> Any:
    options = {"socket_connect_timeout": PATIENCE}
    if isinstance(details, dict):
        return redis.Redis(**{**options, **details})
    try:
        return redis.Redis.from_url(str(details), **options)
    except ValueError:  # whose message may quote the address, with its password
        raise _SERVER.no_address() from None
