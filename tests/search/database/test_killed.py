"""A process or a server that is killed while faces are registered."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deepface.errors import DatabaseError
from deepface.search.database.base import Record
from deepface.search.database.indexed import LOCKED
from deepface.search.database.registry import open_database
from tests.database_servers import arcadedb_server, mysql_server, redis_server
from tests.postgres_server import postgres_server
from tests.search.database.conftest import (
    CRITERIA,
    DRIVERS,
    details_of,
    fresh_mysql,
    fresh_redis,
    imitate_server,
    records,
    stored_names,
)

#: Registers twenty faces, and stops for ever when ten of them are stored.
_REGISTER = """
import json, pkgutil, sys
from deepface.search.database.registry import DATABASES, open_database
from tests.search.database.conftest import CRITERIA, records
kind, details = sys.argv[1], json.loads(sys.argv[2])
if kind == "neo4j":  # the test has made the indexes
    pkgutil.resolve_name(DATABASES[kind].path).make_index = lambda *_: None
def portions():
    yield records(20)[:10]
    print("ten", flush=True)
    sys.stdin.read()
with open_database(kind, details) as database:
    database.insert(CRITERIA, records(1, seed=1))
    database.insert_all(CRITERIA, portions())
"""


@pytest.mark.parametrize(
    "kind", ["sqlite", "postgres", "mysql", "redis", "qdrant", "milvus", "neo4j"]
)
def test_a_process_that_is_killed_in_the_middle(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """It leaves nothing half stored, and stands in nobody's way; where the engine has transactions,
    nothing at all.
    """
    if kind in DRIVERS:
        pytest.importorskip(DRIVERS[kind])
        imitate_server(kind, request, tmp_path)
    details = details_of(kind, request, tmp_path)
    if kind == "neo4j":
        with open_database(kind, details) as database:
            database.prepare(CRITERIA, 16)
    command = [sys.executable, "-c", _REGISTER, kind, json.dumps(details)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, env=environment, **pipes) as process:
        assert process.stdout is not None
        assert b"ten\n" in iter(process.stdout.readline, b"")
        process.kill()
    many = records(20)
    with open_database(kind, details) as database:
        if kind == "redis":  # a lock that ends by itself; the test does not wait for it
            import redis

            with redis.Redis.from_url(details) as client:
                assert 0 < client.ttl("deepface:lock") <= LOCKED
                client.delete("deepface:lock")
        left = stored_names(database)
        first = [] if database.transactions else [record.img_name for record in many[:10]]
        assert left == sorted(["1-0.jpg", *first])
        database.insert(CRITERIA, many[len(first) :])
        database.build_index(CRITERIA, 8, 100)
        for record in many:
            ids = database.ids_of_faces(CRITERIA, [record])
            assert database.neighbours(CRITERIA, record.embedding[None], 1) == [ids]
            assert database.fetch(CRITERIA, ids).names == [record.img_name]
        assert len(stored_names(database)) == 21


SERVERS: dict[str, tuple[str, Any, Callable[[Any], str]]] = {
    "mysql": ("pymysql", mysql_server, fresh_mysql),
    "redis": ("redis", redis_server, fresh_redis),
    "postgres": ("psycopg", postgres_server, str),
    "neo4j": ("neo4j", arcadedb_server, lambda server: server.address),
}


@pytest.mark.parametrize("kind", list(SERVERS))
def test_a_server_that_is_killed_in_the_middle(kind: str) -> None:
    """Whoever registers, and whoever comes later, gets an error of ours."""
    driver, server, fresh = SERVERS[kind]
    pytest.importorskip(driver)
    with ExitStack() as running:
        details = fresh(running.enter_context(server()))

        def cut_off() -> Iterator[list[Record]]:
            yield records(2, seed=1)
            running.close()
            yield records(2, seed=2)

        with (
            pytest.raises(DatabaseError, match="cannot be reached"),
            open_database(kind, details) as database,
        ):
            database.insert(CRITERIA, records(2))
            database.insert_all(CRITERIA, cut_off())
        with (
            pytest.raises(DatabaseError, match="cannot be reached"),
            open_database(kind, details) as database,
        ):
            database.neighbours(CRITERIA, np.ones((1, 16)), 1)
