"""Apache Cassandra and ScyllaDB, in the published tables."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime, timezone
from typing import Any
from urllib.parse import unquote

import numpy as np
from cassandra import (
    AuthenticationFailed,
    DriverException,
    OperationTimedOut,
    Unauthorized,
    UnresolvableContactPoints,
)
from cassandra.auth import PlainTextAuthProvider
from cassandra.cluster import Cluster, NoHostAvailable
from numpy.typing import NDArray

from deepface.errors import DatabaseError
from deepface.runtime.execution.batching import chunks
from deepface.search.database.base import (
    PAGE,
    Criteria,
    Id,
    Page,
    Record,
    name_of,
    packed,
    registered_meanwhile,
    unpacked,
)
from deepface.search.database.indexed import LOCKED, PARTS, IndexedDatabase, wait_for_turn
from deepface.search.database.server import PATIENCE, Server

_SERVER = Server(
    "Cassandra",
    "DEEPFACE_CASSANDRA_URI",
    "cassandra://user:password@host1,host2:9042/keyspace",
)
#: Ids of one partition, and requests on their way at a time.
_BUCKET, _AT_A_TIME = 1000, 32
_NAMES = "model_name text, detector_backend text"
_CRITERIA = f"{_NAMES}, aligned boolean, l2_normalized boolean"
_KEY = "model_name, detector_backend, aligned, l2_normalized"
_INDEX_KEY = _KEY.replace("aligned", "align")
_WHERE = " AND ".join(f"{name} = ?" for name in _KEY.split(", "))
_INDEX_WHERE = _WHERE.replace("aligned", "align")
#: The published ones, and three of ours: faces without their vectors, parts of an index, a lock.
_TABLES = {
    "embeddings": f"""id bigint, img_name text, face blob, face_shape text, {_CRITERIA},
        embedding blob, face_hash text, embedding_hash text, created_at timestamp,
        PRIMARY KEY (id)""",
    "embeddings_by_criteria": f"""{_CRITERIA}, bucket bigint, id bigint, img_name text,
        embedding blob, PRIMARY KEY (({_KEY}, bucket), id)""",
    "embeddings_buckets": f"{_CRITERIA}, bucket bigint, PRIMARY KEY (({_KEY}), bucket)",
    "embeddings_by_hash": """face_hash text, embedding_hash text, id bigint,
        PRIMARY KEY ((face_hash, embedding_hash))""",
    "sequences": "name text, next_id bigint, PRIMARY KEY (name)",
    "embeddings_index": f"""{_NAMES}, align boolean, l2_normalized boolean, version uuid,
        chunks int, created_at timestamp, updated_at timestamp, PRIMARY KEY (({_INDEX_KEY}))""",
    "embeddings_index_chunks": """version uuid, chunk int, data blob,
        PRIMARY KEY ((version), chunk)""",
    "embeddings_by_face": "face_hash text, id bigint, PRIMARY KEY ((face_hash), id)",
    "embeddings_index_parts": """version text, part int, data blob,
        PRIMARY KEY ((version, part))""",
    "embeddings_lock": "name text, owner text, PRIMARY KEY (name)",
}
_REPLICATION = {"class": "SimpleStrategy", "replication_factor": 1}


class Cassandra(IndexedDatabase):
    """A cluster of Cassandra, or of ScyllaDB.

    One process writes at a time, by a lock. Without transactions: what an error leaves half stored
    is deleted again.

    Args:
        details: ``cassandra://user:password@host1,host2:9042/keyspace``, or a dict of arguments of
            ``Cluster``, with ``keyspace`` (``deepface``), ``replication``, ``username`` and
            ``password``.
        connection: a session of the caller's; its keyspace is used.
    """

    reusable = True
    connection_method = "prepare"
    driver_errors = (
        DriverException,
        NoHostAvailable,
        UnresolvableContactPoints,
    )

    def __init__(self, details: Any = None, connection: Any = None) -> None:
        options = _options(details) if connection is None else {}
        self._replication = json.dumps(options.pop("replication", _REPLICATION)).replace('"', "'")
        keyspace = options.pop("keyspace", None) or getattr(connection, "keyspace", None)
        self._keyspace = _checked(str(keyspace or "deepface"))
        self._connection: Any = connection or _connect(options)
        self._prepared: dict[str, Any] = {}
        self._tables: set[str] = set()
        self._owner = uuid.uuid4().hex

    def close(self) -> None:
        self._connection.cluster.shutdown()

    def ping(self) -> None:
        self._run("SELECT keyspace_name FROM system_schema.keyspaces")

    @classmethod
    def explain(cls, error: Exception, details: Any) -> Exception:
        causes = [error, *getattr(error, "errors", {}).values()]
        if any(isinstance(cause, AuthenticationFailed) for cause in causes):
            return _SERVER.refused()
        if isinstance(error, Unauthorized):
            return _SERVER.forbidden(error)
        if isinstance(error, (NoHostAvailable, OperationTimedOut, UnresolvableContactPoints)):
            return _SERVER.unreachable(error)
        return DatabaseError(f"Cassandra: {error}")

    def _run(self, statement: str, *values: Any) -> list[Any]:
        """The rows of one statement; ``@`` stands for the keyspace's tables."""
        return self._run_all(statement, [values])

    def _run_all(self, statement: str, values: Iterable[Sequence[Any]]) -> list[Any]:
        """The rows of one statement for each of these values. A table that is read may be missing,
        as some are where only the published library has written: it has none.
        """
        read = re.match(r"SELECT .*@(\w+)", statement)
        if read and not self._has(read[1]):
            return []
        ready, found = self._ready(statement), []
        for portion in chunks(list(values), _AT_A_TIME):
            answers = [self._connection.execute_async(ready, value) for value in portion]
            found += [row for answer in answers for row in answer.result()]
        return found

    def _ready(self, statement: str) -> Any:
        if statement not in self._prepared:
            text = statement.replace("@", f"{self._keyspace}.")
            self._prepared[statement] = self._connection.prepare(text)
        return self._prepared[statement]

    def _applied(self, statement: str, *values: Any) -> bool:
        """Whether a statement with a condition did what it says."""
        return bool(self._connection.execute(self._ready(statement), values).was_applied)

    def _has(self, table: str) -> bool:
        """Whether a table is there."""
        if table not in self._tables:
            rows = self._run(
                "SELECT table_name FROM system_schema.tables WHERE keyspace_name = ?",
                self._keyspace.lower(),
            )
            self._tables = {row[0] for row in rows}
        return table in self._tables

    @contextmanager
    def writing(self) -> Iterator[None]:
        self._make_tables()  # the lock is in one of them
        insert = "INSERT INTO @embeddings_lock (name, owner) VALUES ('write', ?) IF NOT EXISTS"
        wait_for_turn(lambda: self._applied(f"{insert} USING TTL {LOCKED}", self._owner))
        try:
            yield
        finally:
            with suppress(*self.driver_errors):
                self._applied(
                    "DELETE FROM @embeddings_lock WHERE name = 'write' IF owner = ?", self._owner
                )

    def _keep_lock(self) -> None:
        update = f"UPDATE @embeddings_lock USING TTL {LOCKED} SET owner = ?"
        if not self._applied(f"{update} WHERE name = 'write' IF owner = ?", *[self._owner] * 2):
            raise DatabaseError(f"Cassandra did not answer for {LOCKED} seconds: try again")

    def _make_tables(self) -> None:
        if all(map(self._has, _TABLES)):
            return
        rows = self._run("SELECT keyspace_name FROM system_schema.keyspaces")
        if self._keyspace.lower() not in {row[0] for row in rows}:
            self._connection.execute(
                f"CREATE KEYSPACE IF NOT EXISTS {self._keyspace} "
                f"WITH replication = {self._replication}"
            )
        for name, columns in _TABLES.items():
            self._connection.execute(
                f"CREATE TABLE IF NOT EXISTS {self._keyspace}.{name} ({columns})"
            )

    def registered(self, criteria: Criteria, records: Sequence[Record]) -> set[str]:
        """See the base class. A pair of hashes is held once, of whatever criteria, as published."""
        ids = {*self._pairs(records), *self.ids_of_faces(criteria, records)}
        return {str(row[0]) for row in self._of_ids("face_hash", ids)}

    def _of_ids(self, columns: str, ids: Iterable[Id]) -> list[Any]:
        """The records of these ids that exist."""
        statement = f"SELECT {columns} FROM @embeddings WHERE id = ?"
        return self._run_all(statement, [[id_] for id_ in ids])

    def _pairs(self, records: Sequence[Record]) -> list[int]:
        """Ids under these pairs of hashes; some may be of records that were never completed."""
        pairs = self._run_all(
            "SELECT id FROM @embeddings_by_hash WHERE face_hash = ? AND embedding_hash = ?",
            [[record.face_hash, record.embedding_hash] for record in records],
        )
        return [row[0] for row in pairs]

    def ids_of_faces(self, criteria: Criteria, records: Sequence[Record]) -> list[Id]:
        """See the base class; of published ones those with this vector, too."""
        faces = self._run_all(
            "SELECT id FROM @embeddings_by_face WHERE face_hash = ?",
            [[record.face_hash] for record in records],
        )
        ids = {*(row[0] for row in faces), *self._pairs(records)}
        rows = self._of_ids(f"id, {_KEY}", ids)
        return [row[0] for row in rows if Criteria.of(*row[1:]) == criteria]

    def store(self, criteria: Criteria, records: Sequence[Record]) -> Sequence[Id]:
        self._keep_lock()
        first = self._block(len(records))
        ids = range(first, first + len(records))
        try:
            self._store(criteria, records, ids)
        except BaseException:
            with suppress(*self.driver_errors):
                hashes = [(record.face_hash, record.embedding_hash) for record in records]
                self._erase(criteria, hashes, ids)
            raise
        return ids

    def _store(self, criteria: Criteria, records: Sequence[Record], ids: Sequence[int]) -> None:
        made, now = criteria.values, datetime.now(timezone.utc)
        numbered = list(zip(ids, records, strict=True))
        for id_, record in numbered:
            if not self._applied(
                "INSERT INTO @embeddings_by_hash (face_hash, embedding_hash, id) "
                "VALUES (?, ?, ?) IF NOT EXISTS",
                *(record.face_hash, record.embedding_hash, id_),
            ) and not self._take_over(record, id_):
                raise registered_meanwhile(record.img_name)
        self._run_all(
            f"INSERT INTO @embeddings (id, img_name, face, face_shape, {_KEY}, embedding, "
            "face_hash, embedding_hash, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                [
                    *(id_, record.img_name),
                    *(record.pixels, json.dumps(list(record.face.shape))),
                    *(*made, packed(record.embedding)),
                    *(record.face_hash, record.embedding_hash, now),
                ]
                for id_, record in numbered
            ],
        )
        self._run_all(
            "INSERT INTO @embeddings_by_face (face_hash, id) VALUES (?, ?)",
            [[record.face_hash, id_] for id_, record in numbered],
        )
        self._run_all(
            f"INSERT INTO @embeddings_buckets ({_KEY}, bucket) VALUES (?, ?, ?, ?, ?)",
            [[*made, bucket] for bucket in sorted({id_ // _BUCKET for id_ in ids})],
        )
        self._run_all(
            f"INSERT INTO @embeddings_by_criteria ({_KEY}, bucket, id, img_name, embedding) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            [
                [*made, id_ // _BUCKET, id_, record.img_name, packed(record.embedding)]
                for id_, record in numbered
            ],
        )

    def _take_over(self, record: Record, id_: int) -> bool:
        """Claim a pair of hashes that a process has left which was cut off before its record."""
        old = self._pairs([record])
        if self._of_ids("id", old):
            return False
        return not old or self._applied(
            "UPDATE @embeddings_by_hash SET id = ? WHERE face_hash = ? AND embedding_hash = ? "
            "IF id = ?",
            *(id_, record.face_hash, record.embedding_hash, old[0]),
        )

    def _block(self, count: int) -> int:
        """The first of so many ids that nobody has."""
        while True:
            rows = self._run("SELECT next_id FROM @sequences WHERE name = 'embedding_id'")
            first = int(rows[0][0]) if rows else 1
            if rows:
                update = "UPDATE @sequences SET next_id = ? WHERE name = 'embedding_id'"
                taken = self._applied(f"{update} IF next_id = ?", first + count, first)
            else:
                insert = "INSERT INTO @sequences (name, next_id) VALUES ('embedding_id', ?)"
                taken = self._applied(f"{insert} IF NOT EXISTS", first + count)
            if taken:
                return first

    def _erase(
        self, criteria: Criteria, hashes: Sequence[tuple[str, str]], ids: Sequence[int]
    ) -> None:
        """Delete all that there is of some records, with the hashes of face and vector of each."""
        self._run_all(
            f"DELETE FROM @embeddings_by_criteria WHERE {_WHERE} AND bucket = ? AND id = ?",
            [[*criteria.values, id_ // _BUCKET, id_] for id_ in ids],
        )
        self._run_all(
            "DELETE FROM @embeddings_by_face WHERE face_hash = ? AND id = ?",
            [[face, id_] for id_, (face, _) in zip(ids, hashes, strict=True)],
        )
        self._run_all("DELETE FROM @embeddings WHERE id = ?", [[id_] for id_ in ids])
        self._run_all(
            "DELETE FROM @embeddings_by_hash WHERE face_hash = ? AND embedding_hash = ? IF id = ?",
            [[*pair, id_] for id_, pair in zip(ids, hashes, strict=True)],
        )

    def remove(self, criteria: Criteria, ids: Sequence[Id]) -> int:
        """See the base class; the records tell by themselves how they were made."""
        found = self._of_ids(f"{_KEY}, face_hash, embedding_hash, id", ids)
        for made in {Criteria.of(*row[:4]) for row in found}:
            same = [row for row in found if Criteria.of(*row[:4]) == made]
            self._erase(made, [(row[4], row[5]) for row in same], [row[6] for row in same])
        return len(found)

    def pages(self, criteria: Criteria, size: int = PAGE, after: int = -1) -> Iterator[Page]:
        for rows in self._pages_of(criteria, "id, img_name, embedding", size, after):
            yield Page.of(rows, unpacked)

    def entries(self, criteria: Criteria) -> Iterator[tuple[Id, str]]:
        for rows in self._pages_of(criteria, "id, img_name", PAGE, -1):
            yield from ((id_, name_of(name)) for id_, name in rows)

    def ids(self, criteria: Criteria) -> NDArray[np.int64]:
        pages = self._pages_of(criteria, "id", PAGE, -1)
        return np.array([row[0] for rows in pages for row in rows], dtype=np.int64)

    def _pages_of(
        self, criteria: Criteria, columns: str, size: int, after: int
    ) -> Iterator[list[Any]]:
        made = criteria.values
        buckets = self._run(f"SELECT bucket FROM @embeddings_buckets WHERE {_WHERE}", *made)
        for bucket in sorted(row[0] for row in buckets):
            while bucket >= after // _BUCKET and (
                rows := self._run(
                    f"SELECT {columns} FROM @embeddings_by_criteria "
                    f"WHERE {_WHERE} AND bucket = ? AND id > ? LIMIT {size}",
                    *(*made, bucket, after),
                )
            ):
                yield rows
                after = rows[-1][0]

    def fetch(self, criteria: Criteria, ids: Sequence[Id]) -> Page:
        return Page.of(self._of_ids("id, img_name, embedding", ids), unpacked)

    def how_made(self, criteria: Criteria, id_: Id) -> Criteria:
        (made,) = self._of_ids(_KEY, [id_])
        return Criteria.of(*made)

    def place(self) -> str:
        return f"cassandra {self._connection.cluster.metadata.cluster_name} {self._keyspace}"

    def _index_row(self, criteria: Criteria) -> Any:
        statement = f"SELECT version, chunks FROM @embeddings_index WHERE {_INDEX_WHERE}"
        rows = self._run(statement, *criteria.values)
        return rows[0] if rows else None

    def index_data(self, criteria: Criteria) -> bytes | None:
        """See the base class: the first of the published chunks, or what changes with it."""
        row = self._index_row(criteria)
        if row is None:
            return None
        chunks = self._run(
            "SELECT data FROM @embeddings_index_chunks WHERE version = ? AND chunk = 0", row[0]
        )
        data = bytes(chunks[0][0]) if chunks else b""
        return data if data.startswith(PARTS) else str(row[0]).encode()

    def index_part(self, version: str, number: int) -> bytes | None:
        rows = self._run(
            "SELECT data FROM @embeddings_index_parts WHERE version = ? AND part = ?",
            *(version, number),
        )
        return bytes(rows[0][0]) if rows else None

    def set_index_data(self, criteria: Criteria, data: bytes) -> None:
        row, pointer = self._index_row(criteria), uuid.uuid4()
        self._run(
            "INSERT INTO @embeddings_index_chunks (version, chunk, data) VALUES (?, 0, ?)",
            *(pointer, data),
        )
        now = datetime.now(timezone.utc)
        self._run(
            f"INSERT INTO @embeddings_index ({_INDEX_KEY}, version, chunks, created_at, "
            "updated_at) VALUES (?, ?, ?, ?, ?, 1, ?, ?)",
            *(*criteria.values, pointer, now, now),
        )
        if row is not None:
            self._run("DELETE FROM @embeddings_index_chunks WHERE version = ?", row[0])

    def store_index_part(self, version: str, number: int, data: bytes) -> None:
        self._keep_lock()
        self._run(
            "INSERT INTO @embeddings_index_parts (version, part, data) VALUES (?, ?, ?)",
            *(version, number, data),
        )

    def delete_index_parts(self, version: str) -> None:
        number = 0
        while self.index_part(version, number) is not None:
            self._run(
                "DELETE FROM @embeddings_index_parts WHERE version = ? AND part = ?",
                *(version, number),
            )
            number += 1


def _checked(keyspace: str) -> str:
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{0,47}", keyspace):
        raise DatabaseError(
            f"the keyspace {keyspace!r} must be a letter, then up to 47 letters, digits or _"
        )
    return keyspace


def _options(details: Any) -> dict[str, Any]:
    """Arguments of ``Cluster``, with the keyspace."""
    options = dict(details) if isinstance(details, dict) else _parsed(str(details))
    user, password = options.pop("username", None), options.pop("password", None)
    if user:
        options["auth_provider"] = PlainTextAuthProvider(user, password)
    options.setdefault("connect_timeout", PATIENCE)
    return options


def _parsed(uri: str) -> dict[str, Any]:
    found = re.fullmatch(
        r"cassandra://(?:([^:@/]*)(?::([^@/]*))?@)?([^@/:]+)(?::(\d{1,5}))?(?:/([^/?]*))?(?:\?.*)?",
        uri,
    )
    if found is None:
        raise _SERVER.no_address()
    user, password, hosts, port, keyspace = found.groups()
    return {
        "contact_points": hosts.split(","),
        "port": int(port or 9042),
        "keyspace": unquote(keyspace or ""),
        "username": unquote(user or ""),
        "password": unquote(password or ""),
    }


def _connect(options: dict[str, Any]) -> Any:
    cluster = Cluster(**options)
    try:
        return cluster.connect()
    except BaseException:
        cluster.shutdown()
        raise
