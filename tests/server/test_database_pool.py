"""Connections to a database: kept between requests, replaced when they are dead, few at a time."""

from __future__ import annotations

import json
import socket
import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from fastapi.testclient import TestClient

from deepface.search.database.registry import open_database
from deepface.server.batching import DeadlineExceeded
from deepface.server.database_pool import ConnectionPool
from tests.database_servers import redis_server
from tests.postgres_server import postgres_server
from tests.server.conftest import client_of
from tests.server.test_batching import Gate
from tests.server.test_limits import SKIP, picture
from tests.stand_ins import ColorModel, cached


class Wire:
    """Forwards connections to a server; counts them, cuts them, and may let none through."""

    def __init__(self, port: int) -> None:
        self._to = ("127.0.0.1", port)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self._ends: list[socket.socket] = []
        self.count, self.closed = 0, False
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listening.accept()
            except OSError:
                return
            if self.closed:
                near.close()
                continue
            self.count += 1
            far = socket.create_connection(self._to)
            self._ends += [near, far]
            for one, other in ((near, far), (far, near)):
                threading.Thread(target=self._forward, args=(one, other), daemon=True).start()

    def _forward(self, one: socket.socket, other: socket.socket) -> None:
        with suppress(OSError):
            while data := one.recv(1 << 16):
                other.sendall(data)
            other.shutdown(socket.SHUT_WR)

    def cut(self) -> None:
        while self._ends:
            end = self._ends.pop()
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def end(self) -> None:
        self._listening.close()
        self.cut()


@contextmanager
def wired(kind: str, server: Callable[[], AbstractContextManager[str]]) -> Iterator[Any]:
    pytest.importorskip({"postgres": "psycopg", "redis": "redis"}[kind])
    with server() as uri:
        port = urlsplit(uri).port
        assert port
        wire = Wire(port)
        details = uri.replace(f":{port}", f":{wire.port}")
        with client_of(
            database_type=kind, connection_details=details, database_connections=3
        ) as client:
            yield client, wire
        wire.end()


def register(client: TestClient, level: int) -> Any:
    return client.post("/register", files={"img": picture(level)}, data=SKIP)


@pytest.mark.parametrize(
    ("kind", "server"), [("postgres", postgres_server), ("redis", redis_server)]
)
def test_connections_are_kept_and_dead_ones_cost_no_request(
    kind: str, server: Any, colors: ColorModel
) -> None:
    with wired(kind, server) as (client, wire):
        for level in range(5):
            assert register(client, level).json() == {"inserted": 1}
        assert register(client, 0).json() == {"inserted": 0}
        assert client.post("/register", files={"img": b"x"}, data=SKIP).status_code == 400
        assert wire.count <= 2  # the first, and one more after an error
        wire.cut()
        assert register(client, 100).json() == {"inserted": 1}
        wire.closed = True
        wire.cut()
        assert register(client, 101).status_code == 503
        wire.closed = False
        with ThreadPoolExecutor(16) as pool:
            answers = list(pool.map(lambda level: register(client, level), range(150, 182)))
        assert [answer.json() for answer in answers] == [{"inserted": 1}] * 32
        before = wire.count
        rows = client.get("/faces", params=SKIP).json()["results"]
        assert len(rows) == 38 and wire.count <= before + 1


def test_a_request_waits_for_a_connection_no_longer_than_it_has_time(colors: ColorModel) -> None:
    pool = ConnectionPool(lambda: open_database("sqlite", ":memory:"), max_connections=1)
    with pool.borrow(float("inf")), pytest.raises(DeadlineExceeded), pool.borrow(0):
        pass
    with pool.borrow(0):
        pass


@pytest.mark.parametrize("id_", [2**53 - 1, 2**53 + 1, 2**63 - 1])
def test_ids_come_back_as_they_were_whatever_a_client_makes_of_numbers(
    id_: int, client: TestClient, tmp_path: Path
) -> None:
    """JavaScript rounds whole numbers beyond 2**53: an id that it sends back would be another's."""
    assert register(client, 1).json() == {"inserted": 1}
    with closing(sqlite3.connect(tmp_path / "faces.db")) as connection, connection:
        connection.execute("UPDATE embeddings SET id = ?", [id_])

    def as_javascript(answer: Any) -> Any:
        return json.loads(answer.text, parse_int=lambda digits: int(float(digits)))

    (row,) = as_javascript(client.get("/faces", params=SKIP))["results"]
    assert int(row["id"]) == id_
    fields = {**SKIP, "identity_id": row["id"]}
    assert client.delete("/faces", params=fields).json() == {"deleted": 1}


def test_no_connection_is_held_while_pictures_wait_for_their_batch(tmp_path: Path) -> None:
    gate = Gate()
    place = {"database_type": "sqlite", "connection_details": str(tmp_path / "faces.db")}
    model = cached("facial_recognition", "SFace", gate)  # known by name: it has a threshold
    with model, client_of(database_connections=1, **place) as client, ThreadPoolExecutor(1) as pool:
        fields = {"detector_backend": "skip", "model_name": "SFace"}

        def ask(path: str, **more: Any) -> Any:
            return client.post(path, files={"img": picture()}, data={**fields, **more})

        more: dict[str, Any]
        for path, more in (
            ("/register", {}), ("/search", {}), ("/identify", {"identity_id": 1}),
        ):  # fmt: skip
            job = pool.submit(ask, path, **more)
            assert gate.entered.acquire(timeout=60)
            assert client.get("/faces", params=fields).status_code == 200
            gate.permits.release()
            assert job.result().status_code == 200, job.result().text


@pytest.mark.parametrize("path", ["register", "identify", "unregister", "find"])
def test_only_searches_take_a_vector_for_a_picture(
    path: str, tmp_path: Path, colors: ColorModel
) -> None:
    place = {"database_type": "sqlite", "connection_details": str(tmp_path / "faces.db")}
    people = tmp_path / "people"
    people.mkdir()
    with client_of(galleries={"people": people}, **place) as client:
        assert register(client, 1).json() == {"inserted": 1}
        more: Any = {"identify": {"identity_id": 1}, "find": {"gallery": "people"}}.get(path, {})
        answer = client.post(f"/{path}", json={"img": [0.5] * 3, **SKIP, **more})
        assert (answer.status_code, answer.json()["code"]) == (400, "data_type_error")
        assert "<class 'float'>: img[0]" in answer.json()["error"]
        (kept,) = client.get("/faces", params=SKIP).json()["results"]
        assert int(kept["id"]) == 1
