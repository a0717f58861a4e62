"""Servers that are not there or refuse, and files that cannot be used."""

from __future__ import annotations

import importlib
import os
import pkgutil
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deepface.errors import DatabaseError, DuplicateEntryError
from deepface.search.database.base import Database, Record
from deepface.search.database.indexed import LOCKED, TURN
from deepface.search.database.registry import DATABASES, open_database
from tests.search.database import sql_imitations
from tests.search.database.conftest import (
    CRITERIA,
    DRIVERS,
    details_of,
    imitate_server,
    opener_of,
    records,
    stored_names,
)

#: Where nobody listens, with a password that no message may show.
NOWHERE: dict[str, tuple[str, Any]] = {
    "qdrant": ("qdrant_client", "http://127.0.0.1:1"),
    "milvus": ("pymilvus", "http://127.0.0.1:1"),
    "postgres": ("psycopg", "postgresql://u:pass123@127.0.0.1:1/d"),
    "pgvector": ("psycopg", "postgresql://u:pass123@127.0.0.1:1/d"),
    "mysql": ("pymysql", "mysql://u:pass123@127.0.0.1:1/d"),
    "redis": ("redis", "redis://:pass123@127.0.0.1:1/0"),
    "mongo": (
        "pymongo",
        {"host": "mongodb://u:pass123@127.0.0.1:1", "serverSelectionTimeoutMS": 200},
    ),
    "oracle": ("oracledb", "u/pass123@127.0.0.1:1/service"),
    "mssql": ("pyodbc", "DRIVER={none};SERVER=127.0.0.1,1;UID=u;PWD=pass123"),
    "db2": ("ibm_db", "DATABASE=d;HOSTNAME=127.0.0.1;PORT=1;PROTOCOL=TCPIP;UID=u;PWD=pass123;"),
    "cassandra": ("cassandra", "cassandra://u:pass123@127.0.0.1:1/faces"),
    "neo4j": ("neo4j", "bolt://u:pass123@127.0.0.1:1"),
    "weaviate": ("weaviate", {"url": "http://127.0.0.1:1", "api_key": "pass123"}),
    "pinecone": ("pinecone", {"api_key": "pass123", "host": "http://127.0.0.1:1", "timeout": 0.2}),
}
#: What is asked of it: also what would need no server, but for finding out.
QUESTIONS: dict[str, Callable[[Database], object]] = {
    "names": stored_names,
    "register": lambda database: database.insert(CRITERIA, records(1)),
    "identify": lambda database: database.get(CRITERIA, "no such id"),
    "index": lambda database: database.build_index(CRITERIA, 8, 8),
    "delete nothing": lambda database: database.delete(CRITERIA, []),
    "search": lambda database: database.neighbours(CRITERIA, np.ones((1, 16)), 1),
}


#: Connected to when they are opened, in seconds: one question is enough.
EAGER = ("oracle", "mssql", "db2", "cassandra", "neo4j", "weaviate", "pinecone")


@pytest.mark.parametrize(
    ("database_type", "question"),
    [(t, q) for t in NOWHERE for q in QUESTIONS if t not in EAGER or q == "register"],
)
def test_server_that_is_not_there(database_type: str, question: str) -> None:
    package, details = NOWHERE[database_type]
    pytest.importorskip(package)
    with (
        pytest.raises(DatabaseError, match="cannot be reached") as caught,
        open_database(database_type, details) as database,
    ):
        QUESTIONS[question](database)
    assert "pass123" not in str(caught.value)
    says_how = database_type not in ("qdrant", "milvus", "pinecone")
    assert ("right? It is like" in str(caught.value)) == says_how


@pytest.mark.parametrize(
    ("database_type", "details"),
    [
        ("mysql", "u:pass123@h"),
        ("mysql", "mysql://u:pass123@h"),
        ("mysql", "mysql://u:pass123@h:99999999/d"),
        ("mysql", "postgres://u:pass123@h/d"),
        ("redis", "u:pass123@h"),
        ("redis", "redis://:pass123@h:x/0"),
        ("mongo", "u:pass123@h"),
        ("mongo", "mongodb://u:pass123@h:x"),
        ("postgres", "u:pass123@h"),
        ("cassandra", "u:pass123@h"),
        ("cassandra", "cassandra://u:pass123@h:x/k"),
        ("neo4j", "u:pass123@h"),
        ("neo4j", "http://u:pass123@h"),
    ],
)
def test_addresses_that_are_none(database_type: str, details: str) -> None:
    pytest.importorskip(NOWHERE[database_type][0])
    with (
        pytest.raises(DatabaseError, match=r"address: (it is like|MySQL uri)") as caught,
        open_database(database_type, details),
    ):
        pass
    assert "pass123" not in str(caught.value)


def refusals() -> Iterator[tuple[str, Exception, str]]:
    """What drivers raise when a server refuses, and what must be said of it."""
    import ibm_db_dbi
    import neo4j.exceptions
    import oracledb
    import pyodbc
    from cassandra import AuthenticationFailed, Unauthorized
    from cassandra.cluster import NoHostAvailable
    from weaviate.exceptions import AuthenticationFailedError

    secret = "UID=u;PWD=pass123;"
    yield "oracle", oracledb.DatabaseError("ORA-01017: invalid username/password"), "user or the"
    yield "oracle", oracledb.DatabaseError("ORA-01031: insufficient privileges"), "permission"
    yield "oracle", oracledb.OperationalError("DPY-4011: connection closed"), "cannot be reached"
    yield "oracle", oracledb.DatabaseError("ORA-00904 in u/pass123@h:1521/s"), "Oracle: ORA-00904"
    yield "mssql", pyodbc.InterfaceError("28000", "Login failed (18456)"), "user or the password"
    yield "mssql", pyodbc.ProgrammingError("42000", "CREATE TABLE denied (262)"), "permission"
    yield "mssql", pyodbc.OperationalError("08S01", f"link failure {secret}"), "cannot be reached"
    yield "db2", ibm_db_dbi.OperationalError(f"SQL30082N {secret}"), "user or the password"
    yield "db2", ibm_db_dbi.ProgrammingError("no privilege SQLSTATE=42501"), "permission"
    yield "db2", ibm_db_dbi.OperationalError("SQL1024N SQLSTATE=08003"), "cannot be reached"
    refused = NoHostAvailable("none", {"h": AuthenticationFailed("bad credentials")})
    yield "cassandra", refused, "user or the password"
    yield "cassandra", Unauthorized("no CREATE permission"), "ask for the right"
    yield "neo4j", neo4j.exceptions.AuthError("unauthorized"), "user or the password"
    yield "neo4j", neo4j.exceptions.Forbidden("no rights"), "ask for the right"
    yield "neo4j", neo4j.exceptions.SessionExpired("gone"), "cannot be reached"
    yield "weaviate", AuthenticationFailedError("anonymous access"), "key or the password"


def test_what_servers_refuse() -> None:
    for driver in DRIVERS.values():
        pytest.importorskip(driver)
    for database_type, error, expected in refusals():
        adapter = pkgutil.resolve_name(DATABASES[database_type].path)
        assert isinstance(error, adapter.driver_errors)
        explained = adapter.explain(error, None)
        assert isinstance(explained, DatabaseError)
        assert expected in str(explained) and "pass123" not in str(explained), database_type


def test_wrong_key_of_pinecone(pinecone_server: dict[str, str]) -> None:
    with (
        pytest.raises(DatabaseError, match="refused the API key") as caught,
        open_database("pinecone", {**pinecone_server, "api_key": "pass123"}),
    ):
        pass
    assert "pass123" not in str(caught.value)


def test_wrong_password_of_neo4j(neo4j_server: str) -> None:
    with (
        pytest.raises(DatabaseError, match="refused the user or the password"),
        open_database("neo4j", wrong_password(neo4j_server)),
    ):
        pass


def wrong_password(uri: str) -> str:
    return re.sub(r":[^:@/]*@", ":pass123@", uri)


@pytest.mark.parametrize("database_type", ["postgres", "mysql", "redis"])
def test_wrong_password(database_type: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    details = wrong_password(details_of(database_type, request, tmp_path))
    with (
        pytest.raises(DatabaseError, match="refused the user or the password") as caught,
        open_database(database_type, details),
    ):
        pass
    assert "pass123" not in str(caught.value)


@pytest.mark.parametrize("database_type", ["mysql", "redis"])
def test_connection_of_the_caller(
    database_type: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """Whatever its rows look like; it stays open, and what is written is committed."""
    details = details_of(database_type, request, tmp_path)
    if database_type == "mysql":
        import pymysql.cursors

        from deepface.search.database import mysql

        options = {**mysql.options_of(details), "cursorclass": pymysql.cursors.DictCursor}
        connection: Any = pymysql.connect(**options)
    else:
        import redis

        connection = redis.Redis.from_url(details)
    for number in range(2):
        with open_database(database_type, connection=connection) as database:
            database.insert(CRITERIA, records(2, seed=number))
            database.build_index(CRITERIA, 8, 100)
            database.neighbours(CRITERIA, np.ones((1, 16)), 2)
    with open_database(database_type, details) as database:
        assert len(stored_names(database)) == 4
    connection.close()


@pytest.mark.parametrize("kind", sql_imitations.SERVERS)
def test_connection_of_the_caller_that_commits_by_itself(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not within what is written whole or not at all; afterwards again."""
    pytest.importorskip(DRIVERS[kind], reason=f"pip install {DATABASES[kind].driver}")
    imitate_server(kind, request, tmp_path)
    connection = importlib.import_module(DRIVERS[kind]).connect()
    connection.autocommit = True
    first, *others = records(3)
    with open_database(kind, connection=connection) as database:
        database.insert(CRITERIA, [first])
        with monkeypatch.context() as patched:
            patched.setattr(database, "check", lambda *_: None)
            with pytest.raises(database.driver_errors):
                database.insert(CRITERIA, [*others, first])
        assert connection.autocommit is True
        assert stored_names(database) == [first.img_name]
    connection.close()


def test_mysql_within_a_transaction_of_the_caller(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    details = details_of("mysql", request, tmp_path)
    import pymysql

    from deepface.search.database import mysql

    connection = pymysql.connect(**mysql.options_of(details))
    connection.begin()
    with (
        pytest.raises(DatabaseError, match="commit it first"),
        open_database("mysql", connection=connection) as database,
    ):
        database.insert(CRITERIA, records(1))
    connection.rollback()
    with open_database("mysql", details) as database:
        database.insert(CRITERIA, records(1))
    connection.begin()
    with open_database("mysql", connection=connection) as database:
        database.insert(CRITERIA, records(2, seed=1))
        with pytest.raises(DuplicateEntryError):
            database.insert(CRITERIA, records(2, seed=1))
        assert len(stored_names(database)) == 3
    connection.rollback()
    with open_database("mysql", details) as database:
        assert len(stored_names(database)) == 1
    connection.close()


def test_qdrant_folders_are_opened_only_when_asked_for(tmp_path: Path) -> None:
    """qdrant-client unpickles what is in them."""
    pytest.importorskip("qdrant_client")
    details = {"path": str(tmp_path / "q"), "allow_pickle": True}
    with open_database("qdrant", details) as database:
        database.insert(CRITERIA, records(2))
    (storage,) = tmp_path.rglob("storage.sqlite")
    connection = sqlite3.connect(storage)
    bomb = f"cposix\nsystem\n(S'touch {tmp_path}/ran'\ntR.".encode()
    connection.execute("UPDATE points SET point = ?", [bomb])
    connection.commit()
    connection.close()
    refused: list[Any] = [str(tmp_path / "q"), tmp_path / "q", {"path": str(tmp_path / "q")}]
    for folder in refused:
        with (
            pytest.raises(DatabaseError, match=r"pickles.*'allow_pickle': True"),
            open_database("qdrant", folder),
        ):
            pass
    assert not (tmp_path / "ran").exists()
    with open_database("qdrant", ":memory:") as database:
        database.insert(CRITERIA, records(1))


@pytest.mark.parametrize("variable", ["DEEPFACE_QDRANT_URI", "DEEPFACE_QDRANT_URL"])
def test_variables_of_qdrant(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The published one, and that of our earlier versions."""
    pytest.importorskip("qdrant_client")
    for name in ("DEEPFACE_QDRANT_URI", "DEEPFACE_QDRANT_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, ":memory:")
    with open_database("qdrant") as database:
        assert stored_names(database) == []


@pytest.fixture
def closed_folder() -> Iterator[Path]:
    """A folder in which this process, for the time being, may do nothing."""
    for name in (
        "qdrant_client",
        "milvus_lite.server_manager",
        "deepface.search.database.milvus",
    ):  # while it may
        with suppress(ImportError):
            importlib.import_module(name)
    folder = Path(tempfile.mkdtemp())
    (folder / "faces.db").touch()
    folder.chmod(0o555)
    is_root = os.geteuid() == 0
    if is_root:
        os.seteuid(65534)
    yield folder
    if is_root:
        os.seteuid(0)
    folder.chmod(0o755)
    shutil.rmtree(folder)


@pytest.mark.skipif(not hasattr(os, "seteuid"), reason="needs POSIX permissions")
@pytest.mark.parametrize("database_type", ["sqlite", "qdrant", "milvus"])
def test_places_that_cannot_be_written(
    database_type: str, closed_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip(
        {"qdrant": "qdrant_client", "milvus": "milvus_lite"}.get(database_type, "os")
    )
    monkeypatch.setenv("DEEPFACE_HOME", str(closed_folder))
    places: dict[str, list[Any]] = {
        "sqlite": [None, closed_folder / "new.db", closed_folder / "faces.db"],
        "qdrant": [{"path": str(closed_folder / "q"), "allow_pickle": True}],
        "milvus": [closed_folder / "m.db", {"uri": str(closed_folder / "m.db")}],
    }
    for place in places[database_type]:
        with (
            pytest.raises(DatabaseError, match=str(closed_folder)) as caught,
            open_database(database_type, place) as database,
        ):
            database.insert(CRITERIA, records(1))
        assert "server" not in str(caught.value)


def test_milvus_file_in_use(tmp_path: Path) -> None:
    pytest.importorskip("milvus_lite")
    path = tmp_path / "milvus.db"
    script = (
        "import sys, time; from pymilvus import MilvusClient; client = MilvusClient(sys.argv[1]); "
        "print('open', flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", script, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None and other.stdout.readline() == b"open\n"
        with (
            pytest.raises(DatabaseError, match=r"milvus\.db.* in use by another program"),
            open_database("milvus", path) as database,
        ):
            stored_names(database)
        other.kill()


def test_qdrant_folder_in_use(tmp_path: Path) -> None:
    pytest.importorskip("qdrant_client")
    details = {"path": str(tmp_path), "allow_pickle": True}
    with (
        open_database("qdrant", details),
        pytest.raises(DatabaseError, match="in use by another program"),
        open_database("qdrant", details),
    ):
        pass


def test_threads_take_turns_at_a_qdrant_folder(tmp_path: Path) -> None:
    pytest.importorskip("qdrant_client")
    details = {"path": str(tmp_path), "allow_pickle": True}

    def register(record: Record) -> None:
        with open_database("qdrant", details) as database:
            database.insert(CRITERIA, [record])

    many = records(6)
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(register, many))
    with open_database("qdrant", details) as database:
        assert stored_names(database) == [record.img_name for record in many]


def test_qdrant_client_of_the_caller() -> None:
    client = pytest.importorskip("qdrant_client").QdrantClient(":memory:")
    for number in range(2):
        with open_database("qdrant", connection=client) as database:
            database.insert(CRITERIA, records(2, seed=number))
    assert client.get_collection(CRITERIA.collection).points_count == 4
    client.close()


def test_qdrant_records_of_the_published_library_are_known() -> None:
    """They have no hash of the face, but the same id."""
    models = pytest.importorskip("qdrant_client").models
    client = pytest.importorskip("qdrant_client").QdrantClient(":memory:")
    (record,) = records(1)
    with open_database("qdrant", connection=client) as database:
        database.insert(CRITERIA, [record])
        (page,) = database.pages(CRITERIA)
        client.delete_payload(
            CRITERIA.collection, ["face_hash"], models.PointIdsList(points=[str(page.ids[0])])
        )
        with pytest.raises(DuplicateEntryError):
            database.insert(CRITERIA, [record])
    client.close()


def test_milvus_client_of_the_caller(tmp_path: Path) -> None:
    pytest.importorskip("milvus_lite")
    client = pytest.importorskip("pymilvus").MilvusClient(str(tmp_path / "milvus.db"))
    with open_database("milvus", connection=client) as database:
        database.insert(CRITERIA, records(3))
        assert len(database.neighbours(CRITERIA, np.ones((1, 16)), 2)[0]) == 2
    assert client.has_collection(CRITERIA.collection)
    client.close()


def test_milvus_file_that_is_something_else(tmp_path: Path) -> None:
    pytest.importorskip("milvus_lite")
    path = tmp_path / "milvus.db"
    path.write_text("no database")
    with pytest.raises(DatabaseError, match="Milvus"), open_database("milvus", path) as database:
        stored_names(database)
    assert path.read_text() == "no database"


@pytest.mark.parametrize(
    ("details", "said"),
    [
        ({"adress": "x"}, "Unknown Weaviate connection option"),
        ({"deployment": "embedded"}, "deployment must be"),
        ({"api_key": "a", "auth": {"api_key": "b"}}, "one of api_key and auth"),
        ({"tenant": "a b"}, "tenant must be"),
        ({"tenant": "x" * 65}, "tenant must be"),
        ({"quantization": "zip"}, "quantization must be one of none, rq"),
        ({"url": "ftp://h"}, "Weaviate's address is like"),
        ({"tenant": "x"}, "Weaviate's address is like"),
        ({"url": "http://h", "timeout": "soon"}, "timeout must be"),
        ({"url": "http://h", "auth": {"nobody": 1}}, "auth needs"),
        ({"url": "https://x.weaviate.cloud"}, "needs api_key or auth"),
        ('{"url": "http://h", "tenant": ""}', "tenant must be"),
        ('{"url": ', "is no JSON"),
    ],
)
def test_options_of_weaviate_that_cannot_be(details: Any, said: str) -> None:
    pytest.importorskip("weaviate")
    with pytest.raises(DatabaseError, match=said), open_database("weaviate", details):
        pass


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        (None, {}),
        *((one, {"query": 7, "insert": 7}) for one in (7, 7.0, "7")),
        *((all_, {"init": 1, "query": 2, "insert": 3}) for all_ in ([1, 2, 3], "1, 2,3")),
        ({"query": 5}, {"query": 5}),
    ],
)
def test_timeouts_of_weaviate(given: Any, seconds: dict[str, float]) -> None:
    pytest.importorskip("weaviate")
    from weaviate.classes.init import Timeout

    from deepface.search.database.weaviate_options import WeaviateOptions

    assert WeaviateOptions.of({"url": "http://h", "timeout": given}).seconds() == Timeout(**seconds)


@pytest.mark.parametrize(
    ("details", "http", "grpc"),
    [
        ("http://h", ("h", 80, False), ("h", 50051, False)),
        ("https://h", ("h", 443, True), ("h", 50051, True)),
        ("h", ("h", 8080, False), ("h", 50051, False)),
        ("http://h:99", ("h", 99, False), ("h", 50051, False)),
        (
            {"url": "", "deployment": "local"},
            ("localhost", 8080, False),
            ("localhost", 50051, False),
        ),
        (
            {"http_host": "h", "http_port": 1, "http_secure": True, "grpc_port": 2},
            *(("h", 1, True), ("h", 2, True)),
        ),
        (
            {"url": "http://h", "grpc_host": "g", "grpc_secure": True},
            *(("h", 80, False), ("g", 50051, True)),
        ),
    ],
)
def test_where_weaviate_is_reached(
    details: Any, http: Any, grpc: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    weaviate = pytest.importorskip("weaviate")
    from deepface.search.database.weaviate_options import WeaviateOptions, connected

    monkeypatch.setattr(weaviate, "connect_to_custom", lambda **given: given)
    found = connected(WeaviateOptions.of(details))
    for protocol, expected in (("http", http), ("grpc", grpc)):
        assert tuple(found[f"{protocol}_{what}"] for what in ("host", "port", "secure")) == expected


@pytest.mark.parametrize(
    "details", [{"url": "https://x.weaviate.cloud"}, {"url": "h", "deployment": "cloud"}]
)
def test_weaviate_cloud_is_reached_by_its_own_door(
    details: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    weaviate = pytest.importorskip("weaviate")
    from deepface.search.database.weaviate_options import WeaviateOptions, connected

    monkeypatch.setattr(weaviate, "connect_to_weaviate_cloud", lambda *a, **options: (a, options))
    (host,), options = connected(
        WeaviateOptions.of({**details, "api_key": "k", "headers": {"X-A": "b"}})
    )
    assert host == details["url"].removeprefix("https://")
    assert options["auth_credentials"].api_key == "k"
    assert options["headers"]["X-A"] == "b" and options["skip_init_checks"] is False


def test_tenants_of_weaviate(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """Each has the same face; who asks for none, or before it was made, finds nobody."""
    opener_of("weaviate", request, tmp_path)
    for number, tenant in enumerate(("ours", "theirs")):
        details = {"url": "http://h", "tenant": tenant}
        with open_database("weaviate", details) as database:
            assert stored_names(database) == []
            database.insert(CRITERIA, records(2 + number))
            assert len(stored_names(database)) == 2 + number
            assert len(database.neighbours(CRITERIA, np.ones((1, 16)), 9)[0]) == 2 + number
    with open_database("weaviate", {"url": "http://h", "tenant": "nobody"}) as database:
        assert stored_names(database) == []
        assert database.get(CRITERIA, "00000000-0000-0000-0000-000000000000") is None


@pytest.mark.parametrize(("kind", "refused"), [("rq", "1.32"), ("rq-1", "1.33"), ("none", None)])
def test_quantization_of_weaviate(
    kind: str,
    refused: str | None,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    opener_of("weaviate", request, tmp_path)
    from tests.search.database import weaviate_imitation

    monkeypatch.setattr(weaviate_imitation.Client, "version", "1.31.9")
    with open_database("weaviate", {"url": "http://h", "quantization": kind}) as database:
        if refused is None:
            database.insert(CRITERIA, records(2))
        else:
            with pytest.raises(DatabaseError, match=f"needs Weaviate {refused}"):
                database.insert(CRITERIA, records(2))


def test_cassandra_keyspaces() -> None:
    pytest.importorskip("cassandra")
    for keyspace in ("1x", "a b", "x;DROP", "x" * 49):
        with (
            pytest.raises(DatabaseError, match="keyspace"),
            open_database("cassandra", {"contact_points": ["127.0.0.1"], "keyspace": keyspace}),
        ):
            pass


def test_one_writes_to_mongo_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also after a process was killed while it had the lock."""
    pytest.importorskip("pymongo")
    client = pytest.importorskip("mongomock").MongoClient()
    with (
        open_database("mongo", connection=client) as first,
        open_database("mongo", connection=client) as second,
    ):
        with first.writing(), monkeypatch.context() as patched:
            patched.setattr(time, "monotonic", partial(next, count(0, TURN)))
            with pytest.raises(DatabaseError, match="others have been writing"):
                second.insert(CRITERIA, records(1))
        second.insert(CRITERIA, records(1))
        with first.writing():
            first.store(CRITERIA, records(1, seed=1))
            late = time.time() + LOCKED + 1
            monkeypatch.setattr(time, "time", lambda: late)  # its lock has run out
            second.insert(CRITERIA, records(1, seed=2))
        assert len(stored_names(second)) == 3
