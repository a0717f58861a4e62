"""What only a server can do wrong, and what a caller's connection may expect."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from packaging.version import Version

from deepface.errors import DatabaseError, DuplicateEntryError
from deepface.search.database.base import Criteria, NearestQuery
from deepface.search.database.nearest import find_exactly
from deepface.search.database.registry import open_database
from tests.search.database.conftest import CRITERIA, UNIT, fresh_schema, records, stored_names

psycopg = pytest.importorskip("psycopg", reason="pip install 'psycopg[binary]'")
from deepface.search.database.pgvector import PgVector  # noqa: E402 - needs the driver

SECRET = "s3cret-w0rd"


@pytest.fixture
def uri(postgres_uri: str) -> str:
    return fresh_schema(postgres_uri, "test_postgres")


def message(details: Any, database_type: str = "postgres") -> str:
    """What a user reads of a connection that fails; the traceback holds no password either."""
    with pytest.raises(DatabaseError) as caught, open_database(database_type, details) as database:
        stored_names(database)
    error: BaseException | None = caught.value
    while error is not None:
        assert SECRET not in str(error)
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return str(caught.value)


def test_server_that_is_not_there() -> None:
    assert "is the server running" in message(f"postgresql://me:{SECRET}@127.0.0.1:1/faces")


def test_wrong_password(postgres_uri: str) -> None:
    user, rest = postgres_uri.split("@")
    assert "user or the password" in message(f"postgresql://tester:{SECRET}@{rest}")
    assert "user or the password" in message(
        f"host=127.0.0.1 port={rest.split(':')[1].split('/')[0]} user=nobody password={SECRET} "
        "dbname=postgres"
    )
    assert user.startswith("postgresql://tester:")


@pytest.mark.parametrize(
    "details",
    ["faces.db", f"me:{SECRET}@host/faces", f"postgresql://me:{SECRET}@host/faces?nonsense=1"],
)
def test_no_address(details: str) -> None:
    text = message(details)
    assert "postgresql://user:password@host:port/database" in text
    assert "database_type='sqlite'" in text


def test_unknown_database(postgres_uri: str) -> None:
    assert "nowhere" in message(postgres_uri.replace("/postgres", "/nowhere"))


def test_variable_and_dict(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The default type, with a server in the environment, is that server."""
    monkeypatch.setenv("DEEPFACE_POSTGRES_URI", uri)
    with open_database() as database:
        database.insert(CRITERIA, records(2))
    details = psycopg.conninfo.conninfo_to_dict(uri)
    with open_database("postgres", details) as database:
        assert len(stored_names(database)) == 2


@pytest.fixture(params=[False, True], ids=["transactions", "autocommit"])
def connection(request: pytest.FixtureRequest, uri: str) -> Iterator[Any]:
    with psycopg.connect(uri, autocommit=request.param) as found:
        yield found


def test_a_connection_of_the_caller(uri: str, connection: Any) -> None:
    """What is stored is there for others; the connection stays open."""
    with open_database("postgres", connection=connection) as database:
        assert stored_names(database) == []
        database.insert(CRITERIA, records(3))
        with pytest.raises(DuplicateEntryError):
            database.insert(CRITERIA, records(3))
        database.insert(CRITERIA, records(1, seed=1))
        database.build_index(CRITERIA, 8, 100)
    with open_database("postgres", uri) as database:
        assert len(stored_names(database)) == 4
        assert len(database.neighbours(CRITERIA, np.ones((1, 16)), 9)[0]) == 4
    assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_transaction_of_the_caller(uri: str) -> None:
    """Is his to commit."""
    with psycopg.connect(uri) as connection:
        connection.execute("SELECT 1")
        with open_database("postgres", connection=connection) as database:
            database.insert(CRITERIA, records(3))
            assert len(stored_names(database)) == 3
        connection.rollback()
    with open_database("postgres", uri) as database:
        assert stored_names(database) == []


@pytest.mark.parametrize("setting", ["on", "off"])
def test_a_long_transaction_reads_no_row_again(uri: str, setting: str) -> None:
    """The server has no statistics of what it fills; what the caller has set stays so."""
    many = records(300)
    with psycopg.connect(uri) as connection:
        connection.execute(f"SET enable_seqscan = {setting}".encode())
        with open_database("postgres", connection=connection) as database:
            batches = [many[start : start + 10] for start in range(0, 300, 10)]
            assert database.insert_all(CRITERIA, batches) == 300
            assert len(database.ids_of_faces(CRITERIA, many)) == 300
        read = "SELECT sum(seq_tup_read) FROM pg_stat_xact_user_tables WHERE relname = 'embeddings'"
        assert connection.execute(read).fetchall() == [(0,)]
        assert connection.execute("SHOW enable_seqscan").fetchall() == [(setting,)]


def test_an_account_that_may_only_use_the_tables(uri: str) -> None:
    with open_database("postgres", uri) as database:
        database.insert(CRITERIA, records(1))
    with psycopg.connect(uri, autocommit=True) as admin:
        admin.execute("DROP ROLE IF EXISTS clerk")
        admin.execute(f"CREATE ROLE clerk LOGIN PASSWORD '{SECRET}'".encode())
        admin.execute("GRANT USAGE ON SCHEMA test_postgres TO clerk")
        admin.execute("GRANT SELECT ON ALL TABLES IN SCHEMA test_postgres TO clerk")
        clerk = uri.replace(uri[: uri.index("@")], f"postgresql://clerk:{SECRET}")
        with open_database("postgres", clerk) as database:
            assert len(stored_names(database)) == 1
        with (
            pytest.raises(DatabaseError, match="permission denied"),
            open_database("postgres", clerk) as database,
        ):
            database.insert(CRITERIA, records(1, seed=1))
        admin.execute("GRANT INSERT ON ALL TABLES IN SCHEMA test_postgres TO clerk")
        admin.execute("GRANT USAGE ON ALL SEQUENCES IN SCHEMA test_postgres TO clerk")
        with open_database("postgres", clerk) as database:
            database.insert(CRITERIA, records(1, seed=1))
            assert len(stored_names(database)) == 2
        admin.execute("DROP OWNED BY clerk")
        admin.execute("DROP ROLE clerk")


def test_a_server_without_pgvector(uri: str) -> None:
    with psycopg.connect(uri) as connection:
        found = connection.execute(
            "SELECT 1 FROM pg_available_extensions WHERE name = 'vector'"
        ).fetchone()
    if found:
        pytest.skip("this server has pgvector")
    with (
        pytest.raises(DatabaseError, match="lacks the extension pgvector"),
        open_database("pgvector", uri) as database,
    ):
        database.insert(CRITERIA, records(1))


def test_vectors_that_pgvector_cannot_index(pgvector_uri: str) -> None:
    with open_database("pgvector", fresh_schema(pgvector_uri, "test_vector_long")) as database:
        database.insert(CRITERIA, records(30, dimensions=4096))
        database.build_index(CRITERIA, 8, 100)
        query = records(30, dimensions=4096)[7].embedding
        named = database.neighbours(CRITERIA, query[None], 1)[0]
        assert database.fetch(CRITERIA, named).names == ["0-7.jpg"]


@pytest.mark.parametrize("dimensions", [16, 2100, 4096])
@pytest.mark.parametrize("criteria", [CRITERIA, UNIT], ids=["raw", "norm"])
def test_the_index_is_asked(
    pgvector_uri: str, dimensions: int, criteria: Criteria, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By itself the server compares with all: few, or many that it keeps outside of the table."""
    plans: list[str] = []
    run = PgVector.run

    def explained(self: PgVector, statement: str, *arguments: Any) -> list[tuple[Any, ...]]:
        if "ORDER BY" in statement and "LIMIT" in statement:
            plan = run(self, f"EXPLAIN {statement}", *arguments)
            plans.append("\n".join(row[0] for row in plan))
        return run(self, statement, *arguments)

    faces = records(12, dimensions, unit=criteria is UNIT)
    with open_database("pgvector", fresh_schema(pgvector_uri, "test_vector_plan")) as database:
        database.insert(criteria, faces)
        monkeypatch.setattr(PgVector, "run", explained)
        for _ in range(12):  # the driver prepares what is asked often
            database.neighbours(criteria, faces[0].embedding[None], 5)
    assert len(plans) == 12
    for plan in plans:
        assert "Index Scan using embeddings_facenet_opencv_aligned" in plan
        assert "Seq Scan" not in plan


@pytest.mark.parametrize("version", [None, "0.7"])
def test_neighbours_behind_many_that_were_deleted(
    pgvector_uri: str, version: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An index keeps them until the server cleans up; before 0.8 it stops at so many."""
    asked: list[str] = []
    run = PgVector.run
    query = "SELECT extversion FROM pg_extension WHERE extname = 'vector'"

    def noted(self: PgVector, statement: str, *arguments: Any) -> list[tuple[Any, ...]]:
        asked.append(statement)
        told = version is not None and statement == query
        return [(version,)] if told else run(self, statement, *arguments)

    monkeypatch.setattr(PgVector, "run", noted)
    with open_database("pgvector", fresh_schema(pgvector_uri, "test_vector_gone")) as database:
        assert isinstance(database, PgVector)
        for seed in range(8):
            database.insert(CRITERIA, records(100, 4, seed))
        near = database.neighbours(CRITERIA, np.zeros((1, 4)), 700)[0]
        assert database.delete(CRITERIA, near) == 700
        asked.clear()
        assert len(database.neighbours(CRITERIA, np.zeros((1, 4)), 50)[0]) == 50
        assert query in asked
        goes_on = Version(database.run(query)[0][0]) >= Version("0.8")
        assert sum("LIMIT 50" in statement for statement in asked) == (1 if goes_on else 2)


@pytest.mark.parametrize("database_type", ["postgres", "pgvector"])
def test_settings_of_the_caller_stay(database_type: str, pgvector_uri: str) -> None:
    """Whatever is done within a transaction of the caller's, errors included."""
    probe, faces = np.ones((1, 16)), records(4)

    def settings() -> list[Any]:
        query = (
            "SELECT name, setting FROM pg_settings WHERE name NOT LIKE 'transaction%' ORDER BY 1"
        )
        return list(connection.execute(query))

    def refused(criteria: Criteria) -> None:
        with pytest.raises(psycopg.Error), connection.transaction():
            database.neighbours(criteria, np.full((1, 16), np.nan), 5)

    with psycopg.connect(fresh_schema(pgvector_uri, "test_vector_settings")) as connection:
        with open_database(database_type, connection=connection) as database:
            database.insert(CRITERIA, records(2, seed=1))
            database.build_index(CRITERIA, 8, 100)
            database.neighbours(CRITERIA, probe, 5)  # loads the extension, with settings of its own
        connection.commit()
        connection.execute("SET LOCAL work_mem = '5MB'")
        with open_database(database_type, connection=connection) as database:
            before = settings()
            actions: list[Callable[[], Any]] = [
                lambda: database.insert(CRITERIA, faces),
                lambda: database.neighbours(CRITERIA, probe, 5),
                lambda: find_exactly(database, CRITERIA, NearestQuery(probe, "cosine", 0.5, 3)),
                lambda: find_exactly(database, CRITERIA, NearestQuery(probe, "cosine", 0.5, None)),
                lambda: list(database.entries(CRITERIA)),
                lambda: database.ids_of_faces(CRITERIA, faces),
                lambda: database.build_index(CRITERIA, 8, 100),
                lambda: database.delete(CRITERIA, [1]),
            ]
            if database_type == "pgvector":
                actions.append(lambda: refused(CRITERIA))
            for action in actions:
                action()
                assert settings() == before


def test_more_neighbours_than_the_index_can_keep(pgvector_uri: str) -> None:
    with open_database("pgvector", fresh_schema(pgvector_uri, "test_vector_many")) as database:
        for start in range(12):
            database.insert(CRITERIA, records(100, dimensions=4, seed=start))
        assert len(database.neighbours(CRITERIA, np.ones((1, 4)), 1100)[0]) == 1100
