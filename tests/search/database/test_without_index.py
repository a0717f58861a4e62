"""Indexes that cannot be made, or not be asked: faces are stored and found all the same."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deepface.errors import DatabaseError, DimensionMismatchError, MissingPackageError
from deepface.search.database.base import Criteria, Database, NearestQuery, tell_once
from deepface.search.database.indexed import IndexedDatabase
from deepface.search.database.nearest import Hit, find_approximately, find_exactly
from deepface.search.database.pgvector import PgVector
from deepface.search.database.registry import open_database
from tests.search.database.conftest import (
    CRITERIA,
    Opener,
    details_of,
    opener_of,
    records,
    stored_names,
)

QUERIES = np.array([record.embedding for record in records(3, seed=9)])


@pytest.fixture(autouse=True)
def told(caplog: pytest.LogCaptureFixture) -> Any:
    """What was told in this test."""
    tell_once.cache_clear()
    return lambda: [line.getMessage() for line in caplog.records if line.levelname == "WARNING"]


def exactly(database: Database, k: int = 5) -> list[list[Hit]]:
    return find_exactly(database, CRITERIA, NearestQuery(QUERIES, "euclidean", np.inf, k))


def by_index(database: Database, k: int | None = 5) -> list[list[Hit]]:
    return find_approximately(database, CRITERIA, NearestQuery(QUERIES, "euclidean", np.inf, k))


def failing(error: Exception) -> Any:
    def fails(*_: object, **__: object) -> None:
        raise error

    return fails


def failures(database: Database) -> Iterator[Exception]:
    """What may come of an index: the first of the driver, the others of ours."""
    yield database.driver_errors[0]("no such index today")
    yield DatabaseError("no such index today")
    yield MissingPackageError("no such index today")
    yield DimensionMismatchError("no such index today")


def test_an_index_that_cannot_be_asked(
    opener: Opener, told: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opener() as database:
        database.insert(CRITERIA, records(30))
        for error in failures(database):
            tell_once.cache_clear()
            before = len(told())
            monkeypatch.setattr(database, "neighbours", failing(error))
            assert by_index(database) == by_index(database) == exactly(database)
            assert by_index(database, None) == exactly(database, 20)
            assert by_index(database, 0) == [[], [], []]
            (line,) = told()[before:]
            assert "compared with every record" in line and "build_index" in line
            assert "no such index today" in line or type(error) is database.driver_errors[0]


def test_a_database_that_fails_as_a_whole(
    opener: Opener, told: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opener() as database:
        database.insert(CRITERIA, records(3))
        dimensions = database.dimensions(CRITERIA)
        monkeypatch.setattr(database, "dimensions", lambda _: dimensions)
        monkeypatch.setattr(database, "neighbours", failing(DatabaseError("first")))
        monkeypatch.setattr(database, "candidates", failing(DatabaseError("second")))
        with pytest.raises(DatabaseError, match="first"):
            by_index(database)
        assert told() == []


def test_an_index_that_cannot_be_made(
    opener: Opener, told: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the server's own: told once. By ours: whoever calls build_index is told."""
    with opener() as database:
        error = database.driver_errors[0]("no right to make one")
        monkeypatch.setattr(type(database), "make_index", failing(error))
        if isinstance(database, IndexedDatabase):
            monkeypatch.setattr(type(database), "prepare_index", failing(error))
        database.insert(CRITERIA, records(20))
        database.insert(CRITERIA, records(10, seed=1))
        assert len(stored_names(database)) == 30
        if isinstance(database, IndexedDatabase) and not isinstance(database, PgVector):
            with pytest.raises(type(error)):
                database.build_index(CRITERIA, 8, 100)
            assert told() == []
            return
        database.build_index(CRITERIA, 8, 100)
        (line,) = told()
        assert "No index was made" in line and "call build_index" in line
        assert [[h.id for h in own] for own in by_index(database)] == [
            [h.id for h in own] for own in exactly(database)
        ]


def test_neo4j_without_an_index_of_vectors(
    request: pytest.FixtureRequest, tmp_path: Path, told: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ArcadeDB refuses the statement that makes it, as an old server would."""
    Session = pytest.importorskip("neo4j").Session  # noqa: N806
    run = Session.run
    details = details_of("neo4j", request, tmp_path)
    monkeypatch.setattr(Session, "run", run)
    with open_database("neo4j", details) as database:
        database.insert(CRITERIA, records(30))
        assert by_index(database) == exactly(database)
        database.build_index(CRITERIA, 8, 100)
    made, asked = told()
    assert "No index was made" in made and "cannot be asked" in asked


def limited_user(uri: str, statements: list[str]) -> str:
    """The URI of a user of PostgreSQL with no rights but these."""
    import psycopg

    with psycopg.connect(uri, autocommit=True) as connection:
        connection.execute("DROP ROLE IF EXISTS limited")
        connection.execute("CREATE ROLE limited LOGIN PASSWORD 'limited'")
        for statement in statements:
            connection.execute(statement.encode())
    return uri.replace(uri.split("://")[1].split("@")[0], "limited:limited")


def test_pgvector_where_no_index_may_be_made(
    request: pytest.FixtureRequest, tmp_path: Path, told: Any
) -> None:
    """The rest of the transaction, and what it is a part of, is kept."""
    pytest.importorskip("psycopg")
    import psycopg

    uri = details_of("pgvector", request, tmp_path)
    refuse = """CREATE FUNCTION refuse() RETURNS event_trigger LANGUAGE plpgsql
        AS $$ BEGIN RAISE 'access method hnsw does not exist'; END $$"""
    with psycopg.connect(uri, autocommit=True) as connection:
        connection.execute(refuse)
        connection.execute(
            "CREATE EVENT TRIGGER refuse ON ddl_command_start WHEN TAG IN ('CREATE INDEX') "
            "EXECUTE FUNCTION refuse()"
        )
        try:
            with open_database("pgvector", uri) as database:
                database.insert(CRITERIA, records(30))
                database.build_index(CRITERIA, 8, 100)
            (line,) = told()
            assert "hnsw does not exist" in line
        finally:
            connection.execute("DROP EVENT TRIGGER refuse")
    with open_database("pgvector", uri) as database:
        assert by_index(database) == exactly(database)
        database.build_index(CRITERIA, 8, 100)
        assert by_index(database) == exactly(database)
        assert isinstance(database, PgVector)
        assert database.has_table(f"{CRITERIA.collection}_euclidean_idx")


@pytest.mark.parametrize("kind", ["postgres", "pgvector"])
def test_users_of_postgres_who_may_make_nothing(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path, told: Any
) -> None:
    """Tables are there, without those of an index where they are ours; or nothing is there."""
    pytest.importorskip("psycopg")
    import psycopg

    uri = details_of(kind, request, tmp_path)
    with open_database(kind, uri) as database:
        database.insert(CRITERIA, records(30))
        database.run("DROP TABLE IF EXISTS embeddings_index_parts")  # type: ignore[attr-defined]
    schema, grants = f"test_{kind}", []
    for what in ("ALL TABLES", "ALL SEQUENCES"):
        grants.append(f"GRANT ALL ON {what} IN SCHEMA {schema} TO limited")
    limited = limited_user(uri, [f"GRANT USAGE ON SCHEMA {schema} TO limited", *grants])
    try:
        with open_database(kind, limited) as database:
            database.insert(CRITERIA, records(10, seed=1))
            assert len(exactly(database, 50)[0]) == 40
            if kind == "pgvector":
                assert by_index(database) == exactly(database)
                database.build_index(CRITERIA, 8, 100)
            assert database.delete(CRITERIA, list(range(1, 6))) == 5
        other = Criteria("ArcFace", "opencv", aligned=True, l2_normalized=False)
        with (
            pytest.raises(DatabaseError, match="ask for the right"),
            open_database(kind, limited) as database,
        ):
            if kind == "postgres":
                database.build_index(CRITERIA, 8, 100)
            database.insert(other, records(1))
        assert told() == []
    finally:
        with psycopg.connect(uri, autocommit=True) as connection:
            connection.execute("DROP OWNED BY limited")
            connection.execute("DROP ROLE limited")


def test_a_user_of_mysql_who_may_make_nothing(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    pytest.importorskip("pymysql")
    uri = details_of("mysql", request, tmp_path)
    with open_database("mysql", uri) as database:
        database.insert(CRITERIA, records(30))
        database.run("DROP TABLE embeddings_index_parts")  # type: ignore[attr-defined]
        database.run("CREATE OR REPLACE USER limited@'%%' IDENTIFIED BY 'limited'")  # type: ignore[attr-defined]
        database.run("GRANT SELECT, INSERT, UPDATE, DELETE ON test.* TO limited@'%%'")  # type: ignore[attr-defined]
    limited = uri.replace(uri.split("://")[1].split("@")[0], "limited:limited")
    with open_database("mysql", limited) as database:
        database.insert(CRITERIA, records(10, seed=1))
        assert len(exactly(database, 50)[0]) == 40
        assert database.delete(CRITERIA, [1, 2]) == 2
    with (
        pytest.raises(DatabaseError, match="ask for the right"),
        open_database("mysql", limited) as database,
    ):
        database.build_index(CRITERIA, 8, 100)


def test_qdrant_where_names_are_not_indexed(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A strict server refuses to look for them then; neither is needed."""
    details = details_of("qdrant", request, tmp_path)
    from httpx import Headers
    from qdrant_client import QdrantClient
    from qdrant_client.http.exceptions import UnexpectedResponse

    refused = UnexpectedResponse(400, "strict mode", b"index required", Headers())
    client = QdrantClient(path=details["path"])
    with closing(client), open_database("qdrant", connection=client) as database:
        monkeypatch.setattr(client, "create_payload_index", failing(refused))
        database.insert(CRITERIA, records(5))
        scroll = client.scroll

        def strict(*given: Any, scroll_filter: Any = None, **options: Any) -> Any:
            if scroll_filter is not None:
                raise refused
            return scroll(*given, **options)

        monkeypatch.setattr(client, "scroll", strict)
        (found,) = database.ids_of_names(CRITERIA, ["0-3.jpg"])
        assert database.fetch(CRITERIA, [found]).names == ["0-3.jpg"]


def test_mongo_where_no_index_may_be_made(
    request: pytest.FixtureRequest, tmp_path: Path, told: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    opener = opener_of("mongo", request, tmp_path)
    from mongomock import Collection
    from pymongo.errors import OperationFailure

    refused = OperationFailure("not authorized", 13)
    monkeypatch.setattr(Collection, "create_index", failing(refused))
    with opener() as database:
        database.insert(CRITERIA, records(30))
        database.build_index(CRITERIA, 8, 100)
        assert by_index(database) == exactly(database)
        assert all("ask for the right" in line for line in told()) and len(told()) == 3


def test_a_collection_of_milvus_without_an_index(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server loads none of those; Milvus Lite does, so it is told to refuse."""
    details = details_of("milvus", request, tmp_path)
    from pymilvus import MilvusClient
    from pymilvus.exceptions import MilvusException

    client = MilvusClient(details)
    with open_database("milvus", connection=client) as database:
        database.insert(CRITERIA, records(5))
        client.release_collection(CRITERIA.collection)
        client.drop_index(CRITERIA.collection, "embedding")
    load = client.load_collection

    def refuse(name: str) -> None:
        if not client.list_indexes(name):
            raise MilvusException(700, "index not found")
        load(name)

    monkeypatch.setattr(client, "load_collection", refuse)
    with closing(client), open_database("milvus", connection=client) as database:
        assert len(stored_names(database)) == 5
        assert by_index(database) == exactly(database)
