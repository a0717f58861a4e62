"""Neo4j: a label per criteria, in the published nodes. Vectors are indexed by the server."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import neo4j
from neo4j.exceptions import (
    AuthError,
    ConfigurationError,
    ConstraintError,
    DriverError,
    Forbidden,
    Neo4jError,
)

from deepface.errors import DatabaseError
from deepface.search.database.base import (
    PAGE,
    Criteria,
    Database,
    Id,
    Page,
    Record,
    Vectors,
    name_of,
    registered_meanwhile,
    storable,
    tell_once,
)
from deepface.search.database.server import PATIENCE, Server

_SERVER = Server("Neo4j", "DEEPFACE_NEO4J_URI", "bolt://user:password@host:7687")
#: What a node is called, as published.
_ID = "coalesce(n.id, elementId(n))"
_ROW = f"{_ID}, n.img_name, n.embedding"


class Neo4j(Database):
    """A Neo4j server, version 5.15 or later.

    Nodes have the published properties but for age, gender, emotion and race, and no relationships
    are made: there is one network to run, not five. Pixels are not kept. They have ``face_key``,
    too: of two processes that register a face at the same moment, one is refused.

    Args:
        details: ``bolt://user:password@host:7687`` (or ``neo4j://``, ``bolt+s://`` ...; nothing is
            percent-decoded, as published), or a dict of arguments of ``GraphDatabase.driver``, and
            ``database``.
        connection: a ``neo4j.Driver`` of the caller's.
    """

    reusable = True
    transactions = True
    connection_method = "verify_connectivity"
    driver_errors = (Neo4jError, DriverError)
    id_type = str

    def __init__(self, details: Any = None, connection: Any = None) -> None:
        options = {} if connection is not None else _options(details)
        self._database: str | None = options.pop("database", None)
        self._connection: Any = connection or _connect(options)
        self._transaction: Any = None

    def ping(self) -> None:
        self._connection.verify_connectivity()

    @classmethod
    def explain(cls, error: Exception, details: Any) -> Exception:
        if isinstance(error, AuthError):
            return _SERVER.refused()
        if isinstance(error, Forbidden):
            return _SERVER.forbidden(error.message)
        if isinstance(error, Neo4jError):
            return DatabaseError(f"Neo4j: {error.message}")
        return _SERVER.unreachable(error)

    @contextmanager
    def _running(self, size: int = PAGE) -> Iterator[Any]:
        """What runs statements: the transaction that is open, or one for this statement."""
        if self._transaction is not None:
            yield self._transaction
        else:
            with self._connection.session(database=self._database, fetch_size=size) as session:
                yield session

    def _run(self, statement: str, **values: Any) -> list[Any]:
        with self._running() as running:
            return [tuple(row.values()) for row in running.run(statement, values)]

    @contextmanager
    def writing(self) -> Iterator[None]:
        with self._connection.session(database=self._database) as session:
            try:
                with session.begin_transaction() as self._transaction:
                    yield
            except ConstraintError as error:
                raise registered_meanwhile() from error
            finally:
                self._transaction = None

    def prepare(self, criteria: Criteria, dimensions: int) -> None:
        """See the base class; the published names. An account that may not change the schema can
        use what there is.
        """
        label = _label(criteria)
        try:
            self._change_schema(
                f"CREATE CONSTRAINT {label}_unique IF NOT EXISTS FOR (n:{label}) "
                "REQUIRE (n.face_hash, n.embedding_hash) IS UNIQUE",
                f"CREATE CONSTRAINT {label}_face_key IF NOT EXISTS FOR (n:{label}) "
                "REQUIRE n.face_key IS UNIQUE",
            )
        except Forbidden as error:
            tell_once(
                f"Without the constraint {label}_face_key two processes that register a face at "
                f"the same moment store it twice: {self.reason(error)}"
            )
        self.try_index(criteria, dimensions)

    def make_index(self, criteria: Criteria, dimensions: int) -> None:
        label, metric = _label(criteria), "cosine" if criteria.l2_normalized else "euclidean"
        self._change_schema(
            f"CREATE VECTOR INDEX {label}_embedding_idx IF NOT EXISTS FOR (n:{label}) "
            f"ON (n.embedding) OPTIONS {{indexConfig: {{`vector.dimensions`: {dimensions}, "
            f"`vector.similarity_function`: '{metric}'}}}}",
        )

    def _change_schema(self, *statements: str) -> None:
        """In transactions of their own, as it must be."""
        with self._connection.session(database=self._database) as session:
            for statement in statements:
                session.run(statement).consume()

    @staticmethod
    def index_name(label: str) -> str:
        """The published name of the index of a label."""
        return f"{label}_embedding_idx"

    def store(self, criteria: Criteria, records: Sequence[Record]) -> Sequence[Id]:
        nodes = [
            {
                "img_name": record.img_name,
                "embedding": record.embedding.tolist(),
                **criteria.columns,
                "face_hash": record.face_hash,
                "embedding_hash": record.embedding_hash,
                "face_key": record.face_hash,
            }
            for record in records
        ]
        self._run(f"UNWIND $nodes AS node CREATE (n:{_label(criteria)}) SET n = node", nodes=nodes)
        return ()

    def registered(self, criteria: Criteria, records: Sequence[Record]) -> set[str]:
        hashes = [record.face_hash for record in records]
        return {row[0] for row in self._where(criteria, "n.face_hash", hashes, "n.face_hash")}

    def ids_of_faces(self, criteria: Criteria, records: Sequence[Record]) -> list[Id]:
        hashes = [record.face_hash for record in records]
        return [str(row[0]) for row in self._where(criteria, "n.face_hash", hashes, _ID)]

    def ids_of_names(self, criteria: Criteria, names: Sequence[str]) -> list[Id]:
        wanted = [storable(name) for name in names]
        return [str(row[0]) for row in self._where(criteria, "n.img_name", wanted, _ID)]

    def _where(self, criteria: Criteria, value: str, wanted: list[Any], result: str) -> list[Any]:
        return self._run(
            f"MATCH (n:{_label(criteria)}) WHERE {value} IN $wanted RETURN {result}",
            wanted=wanted,
        )

    def _of_ids(self, criteria: Criteria, ids: Sequence[Id], result: str) -> list[Any]:
        """Nodes by the server's own id, which is quick, and by a property."""
        own = [id_ for id_ in ids if ":" in str(id_)]
        found = self._where(criteria, "elementId(n)", own, result) if own else []
        if len(found) < len(ids):
            found += self._where(criteria, "n.id", list(ids), result)
        return found

    def remove(self, criteria: Criteria, ids: Sequence[Id]) -> int:
        found = [row[0] for row in self._of_ids(criteria, ids, "elementId(n)")]
        self._run(
            f"MATCH (n:{_label(criteria)}) WHERE elementId(n) IN $found DETACH DELETE n",
            found=found,
        )
        return len(found)

    def pages(self, criteria: Criteria, size: int = PAGE) -> Iterator[Page]:
        for rows in self._pages_of(criteria, _ROW, size):
            yield _page(rows)

    def entries(self, criteria: Criteria) -> Iterator[tuple[Id, str]]:
        for rows in self._pages_of(criteria, f"{_ID}, n.img_name", PAGE):
            yield from ((str(id_), name_of(name)) for id_, name in rows)

    def _pages_of(self, criteria: Criteria, columns: str, size: int) -> Iterator[list[Any]]:
        with self._running(size) as running:
            result = running.run(f"MATCH (n:{_label(criteria)}) RETURN {columns}")
            while rows := [tuple(row.values()) for row in result.fetch(size)]:
                yield rows

    def fetch(self, criteria: Criteria, ids: Sequence[Id]) -> Page:
        return _page(self._of_ids(criteria, ids, _ROW))

    def parse_id(self, identity: Any) -> Id | None:
        text = str(identity)
        return text if re.fullmatch(r"[\w#][\w:#-]{0,200}", text, re.ASCII) else None

    def neighbours(self, criteria: Criteria, queries: Vectors, k: int) -> list[list[Id]]:
        index = self.index_name(_label(criteria))
        found = [
            self._run(
                "CALL db.index.vector.queryNodes($index, $k, $query) YIELD node AS n, score "
                f"RETURN {_ID} ORDER BY score DESC",
                **{"index": index, "k": k, "query": query.tolist()},
            )
            for query in queries
        ]
        return [[str(row[0]) for row in rows] for rows in found]


def _label(criteria: Criteria) -> str:
    """As published, where it needs no quotes."""
    parts = (
        criteria.model_name.replace("-", "_"),
        criteria.detector_backend,
        "Aligned" if criteria.aligned else "Unaligned",
        "Norm" if criteria.l2_normalized else "Raw",
    )
    whole = "".join(part.capitalize() for part in parts)
    if re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{0,99}", whole):
        return whole
    digest = hashlib.sha256(repr(parts).encode()).hexdigest()[:16]
    return f"F{re.sub('[^A-Za-z0-9_]', '', whole)[:80]}_{digest}"


def _page(rows: Sequence[Any]) -> Page:
    return Page.of((str(id_), name, vector) for id_, name, vector in rows)


def _options(details: Any) -> dict[str, Any]:
    """Arguments of ``GraphDatabase.driver``."""
    if isinstance(details, dict):
        return dict(details)
    parts = urlsplit(details if isinstance(details, str) else "")
    login, _, host = parts.netloc.rpartition("@")
    user, _, password = login.partition(":")
    if not re.fullmatch(r"(bolt|neo4j)(\+s|\+ssc)?", parts.scheme) or not host:
        raise _SERVER.no_address()
    return {"uri": f"{parts.scheme}://{host}", "auth": (user, password) if user else None}


def _connect(options: dict[str, Any]) -> Any:
    options.setdefault("connection_timeout", PATIENCE)
    try:
        driver = neo4j.GraphDatabase.driver(**options)
    except (ValueError, ConfigurationError) as error:
        raise _SERVER.no_address() from error
    try:
        driver.verify_connectivity()
    except BaseException:
        driver.close()
        raise
    return driver
