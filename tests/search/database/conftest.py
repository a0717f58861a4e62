"""Every database that an engine can be had for: in a file, in a folder, or on loopback."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deepface.search.database.base import Criteria, Database, Record
from deepface.search.database.registry import DATABASES, open_database
from tests.database_servers import ArcadeDB, arcadedb_server, mysql_server, redis_server
from tests.postgres_server import postgres_server
from tests.search.database import sql_imitations

#: Gives a ``with`` block with a connection to the test's own database, again and again.
Opener = Callable[[], AbstractContextManager[Database]]

#: Modules of the drivers whose servers are imitated.
DRIVERS = {
    "oracle": "oracledb",
    "mssql": "pyodbc",
    "db2": "ibm_db_dbi",
    "cassandra": "cassandra",
    "neo4j": "neo4j",
    "weaviate": "weaviate",
    "pinecone": "pinecone",
}

_VECTOR_INDEX = re.compile(
    r"CREATE VECTOR INDEX (?P<label>\w+)_embedding_idx IF NOT EXISTS FOR \(n:(?P=label)\) ON "
    r"\(n.embedding\) OPTIONS {indexConfig: {`vector.dimensions`: (?P<length>\d+), "
    r"`vector.similarity_function`: '(?P<metric>cosine|euclidean)'}}"
)
CRITERIA = Criteria("Facenet", "opencv", aligned=True, l2_normalized=False)
UNIT = Criteria("Facenet", "opencv", aligned=True, l2_normalized=True)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """ArcadeDB takes longer to start than half of all that is fast here."""
    if config.getoption("--fast"):
        started = [item for item in items if "neo4j" in item.name]
        config.hook.pytest_deselected(items=started)
        items[:] = [item for item in items if "neo4j" not in item.name]


@pytest.fixture(scope="session")
def postgres_uri() -> Iterator[str]:
    with postgres_server() as uri:
        yield uri


@pytest.fixture(scope="session")
def pgvector_uri() -> Iterator[str]:
    with postgres_server("vector") as uri:
        yield uri


def fresh_schema(uri: str, name: str) -> str:
    """The URI of an empty schema of its own on a server."""
    import psycopg

    with psycopg.connect(uri, autocommit=True) as connection:
        connection.execute(f'DROP SCHEMA IF EXISTS "{name}" CASCADE'.encode())
        connection.execute(f'CREATE SCHEMA "{name}"'.encode())
        if "vector" in name:
            connection.execute("CREATE EXTENSION IF NOT EXISTS vector SCHEMA public")
    return f"{uri}?options=-csearch_path%3D{name},public"


@pytest.fixture(scope="session")
def mysql_uri() -> Iterator[str]:
    pytest.importorskip("pymysql", reason="pip install pymysql")
    with mysql_server() as uri:
        yield uri


@pytest.fixture(scope="session")
def redis_uri() -> Iterator[str]:
    pytest.importorskip("redis", reason="pip install redis")
    with redis_server() as uri:
        yield uri


@pytest.fixture(scope="session")
def arcadedb() -> Iterator[ArcadeDB]:
    pytest.importorskip("neo4j", reason="pip install neo4j")
    with arcadedb_server() as server:
        yield server


@pytest.fixture
def neo4j_server(arcadedb: ArcadeDB, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of an empty database of ArcadeDB, which speaks Neo4j's protocol and language.

    But for the statement that makes an index of vectors: that is its own.
    """
    from neo4j import Session

    from deepface.search.database.neo4j import Neo4j

    run = Session.run

    def translated(session: Session, statement: str, *values: Any) -> Any:
        if made := _VECTOR_INDEX.fullmatch(statement):
            label, length, metric = made.groups()
            arcadedb.make_index(label, int(length), cosine=metric == "cosine")
            statement = "RETURN 1"
        return run(session, statement, *values)

    monkeypatch.setattr(Session, "run", translated)
    monkeypatch.setattr(Neo4j, "index_name", "{}[embedding]".format)
    arcadedb.clear()
    return arcadedb.address


@pytest.fixture
def pinecone_server() -> Iterator[dict[str, str]]:
    """What the client needs to get to an imitation on loopback."""
    pytest.importorskip("pinecone", reason="pip install pinecone")
    from tests.search.database import pinecone_imitation

    with pinecone_imitation.Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield {"api_key": pinecone_imitation.KEY, "host": server.address}
        server.shutdown()
        thread.join()


def fresh_mysql(uri: str, name: str = "test") -> str:
    """The URI of an empty database."""
    import pymysql

    from deepface.search.database import mysql

    options = mysql.options_of(f"{uri}/mysql")
    with pymysql.connect(**options) as connection, connection.cursor() as cursor:
        cursor.execute(f"DROP DATABASE IF EXISTS {name}")
        cursor.execute(f"CREATE DATABASE {name}")
    return f"{uri}/{name}"


def fresh_redis(uri: str) -> str:
    """The URI of an empty database."""
    import redis

    with redis.Redis.from_url(f"{uri}/0") as client:
        client.flushall()
    return f"{uri}/0"


def opener_of(kind: str, request: pytest.FixtureRequest, folder: Path) -> Opener:
    """An empty database of this type."""
    if kind == "mongo":
        pytest.importorskip("pymongo", reason="pip install pymongo")
        client = pytest.importorskip("mongomock", reason="pip install mongomock").MongoClient()
        return lambda: open_database("mongo", connection=client)
    if kind in DRIVERS:
        pytest.importorskip(DRIVERS[kind], reason=f"pip install {DATABASES[kind].driver}")
        imitate_server(kind, request, folder)
    details = details_of(kind, request, folder)
    return lambda: open_database(kind, details)


def imitate_server(kind: str, request: pytest.FixtureRequest, folder: Path) -> None:
    """Let the driver connect to an imitation of its server."""
    monkeypatch: pytest.MonkeyPatch = request.getfixturevalue("monkeypatch")
    if kind in sql_imitations.SERVERS:
        server = sql_imitations.SERVERS[kind]()
        monkeypatch.setattr(
            server.driver,
            "connect",
            lambda *_, **__: sql_imitations.Connection(folder / kind, server),
        )
    elif kind == "neo4j":
        request.getfixturevalue("neo4j_server")
    elif kind == "weaviate":
        from deepface.search.database import weaviate
        from tests.search.database import weaviate_imitation

        stored: dict[str, Any] = {}
        monkeypatch.setattr(weaviate, "connected", lambda _: weaviate_imitation.Client(stored))
    elif kind == "cassandra":
        from deepface.search.database import cassandra
        from tests.search.database import cassandra_imitation

        monkeypatch.setattr(
            cassandra, "Cluster", lambda **_: cassandra_imitation.Cluster(folder / "cassandra")
        )


def details_of(kind: str, request: pytest.FixtureRequest, folder: Path) -> Any:
    """``connection_details`` of an empty database of this type."""
    if kind == "neo4j":
        return request.getfixturevalue("neo4j_server")
    if kind == "weaviate":
        return "http://127.0.0.1:8080"
    if kind == "pinecone":
        return request.getfixturevalue("pinecone_server")
    if kind == "cassandra":
        return "cassandra://127.0.0.1/faces"
    if kind in sql_imitations.SERVERS:
        return "an address"
    if kind == "sqlite":
        return str(folder / "faces.db")
    if kind == "qdrant":
        pytest.importorskip("qdrant_client", reason="pip install qdrant-client")
        return {"path": str(folder / "qdrant"), "allow_pickle": True}
    if kind == "milvus":
        pytest.importorskip("milvus_lite", reason="pip install pymilvus milvus-lite")
        return str(folder / "milvus.db")
    if kind == "mysql":
        return fresh_mysql(request.getfixturevalue("mysql_uri"))
    if kind == "redis":
        return fresh_redis(request.getfixturevalue("redis_uri"))
    pytest.importorskip("psycopg", reason="pip install 'psycopg[binary]'")
    uri = request.getfixturevalue("postgres_uri" if kind == "postgres" else "pgvector_uri")
    return fresh_schema(uri, f"test_{kind}")


#: Databases whose index is ours.
INDEXED = ("sqlite", "postgres", "mysql", "oracle", "mssql", "db2", "redis", "mongo", "cassandra")
#: Databases that several threads can open (mongomock looks and stores in two steps).
SERVERS = ("sqlite", "postgres", "mysql", "mssql", "redis", "cassandra")
#: Databases where others may write between a check and what follows.
UNLOCKED = ("qdrant", "milvus", "neo4j", "weaviate", "pinecone")
#: Databases without transactions.
UNSAFE = ("redis", "mongo", "cassandra", "qdrant", "milvus", "weaviate", "pinecone")


@pytest.fixture(params=list(DATABASES))
def opener(request: pytest.FixtureRequest, tmp_path: Path) -> Opener:
    return opener_of(request.param, request, tmp_path)


@pytest.fixture(params=INDEXED)
def indexed_opener(request: pytest.FixtureRequest, tmp_path: Path) -> Opener:
    return opener_of(request.param, request, tmp_path)


@pytest.fixture(params=UNSAFE)
def unsafe_opener(request: pytest.FixtureRequest, tmp_path: Path) -> Opener:
    return opener_of(request.param, request, tmp_path)


@pytest.fixture(params=UNLOCKED)
def unlocked_opener(request: pytest.FixtureRequest, tmp_path: Path) -> Opener:
    return opener_of(request.param, request, tmp_path)


@pytest.fixture(params=SERVERS)
def shared_opener(request: pytest.FixtureRequest, tmp_path: Path) -> Opener:
    return opener_of(request.param, request, tmp_path)


def records(count: int, dimensions: int = 16, seed: int = 0, unit: bool = False) -> list[Record]:
    """Random faces of 2x2 pixels."""
    rng = np.random.default_rng(seed)
    vectors = rng.standard_normal((count, dimensions))
    if unit:
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    faces = rng.random((count, 2, 2, 3), dtype=np.float32)
    return [Record(f"{seed}-{i}.jpg", faces[i], vectors[i]) for i in range(count)]


def stored_names(database: Database, criteria: Criteria = CRITERIA) -> list[str]:
    return sorted(name for page in database.pages(criteria) for name in page.names)
