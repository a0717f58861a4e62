"""Limits, overload, deadlines, callers who leave, bodies that never end: what a server meets."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import http.client
import json
import socket
import struct
import threading
import time
import zlib
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np
import pytest
from fastapi.testclient import TestClient

from deepface.pipeline import FacePipeline
from deepface.server.batching import Batcher, Call, Overloaded
from deepface.server.connections import PatientProtocol
from deepface.server.failures import refusal
from tests.images.test_fetch import Server as Site
from tests.server.conftest import client_of, get, live, post
from tests.server.test_batching import Gate, waiting_for
from tests.stand_ins import cached

SKIP: dict[str, Any] = {"detector_backend": "skip", "model_name": "colors"}


def png_of(width: int, height: int) -> bytes:
    """A PNG that says it is this large, and is a few hundred bytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = chunk(b"IDAT", zlib.compress(b"\0" * 1000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + pixels + chunk(b"IEND", b"")


@pytest.fixture
def gate() -> Iterator[Gate]:
    model = Gate()
    with cached("facial_recognition", "colors", model):
        yield model
        model.permits.release(10_000)


@pytest.fixture
def site() -> Iterator[Site]:
    running = Site()
    yield running
    running.close()


def picture(level: int = 100) -> bytes:
    return cv2.imencode(".png", np.full((40, 40, 3), level, np.uint8))[1].tobytes()


def test_a_bomb_is_refused_by_its_header_and_reaches_no_queue(gate: Gate) -> None:
    with client_of() as client:
        answer = client.post("/represent", files={"img": png_of(9000, 9000)}, data=SKIP)
        assert answer.status_code == 413 and "9000 x 9000" in answer.text
        many = [("img", picture()), ("img", png_of(9000, 9000))]
        answer = client.post("/represent", files=many, data=SKIP)
        assert answer.status_code == 413
    assert gate.faces == 0


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_above_the_limit_is_refused_while_it_is_read(chunked: bool) -> None:
    sent = 0

    def body() -> Iterator[bytes]:
        nonlocal sent
        for _ in range(1000):
            sent += 10_000
            yield b" " * 10_000

    with live(max_body=50_000) as (url, _):
        content: Any = body() if chunked else b" " * 10_000_000
        try:
            answer = post(f"{url}/represent", content=content, timeout=60)
        except httpx.WriteError:  # the server has closed the connection already
            assert chunked
        else:
            assert answer.status_code == 413 and answer.json()["code"] == "too_much"
        assert sent < 10_000_000


def test_files_items_and_faces_above_their_limits(pictures: Path, gate: Gate) -> None:
    gate.permits.release(1000)
    with client_of(root=pictures, max_file=1000, max_items=3) as client:
        large = (pictures / "a.jpg").read_bytes()
        assert client.post("/represent", files={"img": large}, data=SKIP).status_code == 413
        assert client.post("/represent", json={"img": "a.jpg", **SKIP}).status_code == 413
        assert client.post("/represent", json={"img": ["a.jpg"] * 4, **SKIP}).status_code == 413
        files = [("img", picture())] * 4
        assert client.post("/represent", files=files, data=SKIP).status_code == 413
    with client_of(max_faces=1) as client:
        answer = client.post("/represent", files={"img": picture()}, data=SKIP)
        assert answer.status_code == 200


@pytest.mark.parametrize(
    "form",
    [lambda n: {"data": {"a": ["1"] * n}}, lambda n: {"files": [("a", (None, "1"))] * n}],
    ids=["urlencoded", "multipart"],
)
def test_a_form_has_at_most_200_fields(form: Any) -> None:
    with client_of() as client:
        assert client.post("/represent", **form(200)).status_code == 400  # without a picture
        answer = client.post("/represent", **form(201))
        assert answer.status_code == 413 and answer.json()["code"] == "too_much"


def test_all_bodies_share_one_budget() -> None:
    with client_of(max_bodies=1000) as client:
        for _ in range(3):  # what was held is given back
            assert client.post("/represent", content=b" " * 2000).status_code == 429
            assert client.post("/represent", content=b" " * 900).status_code == 400


def sent(url: str, **more: str) -> socket.socket:
    """A connection over which a picture was sent, whose answer is to come."""
    asked = httpx.Request("POST", url, files={"img": picture()}, data=SKIP | more)
    content = asked.read()
    head = (
        f"POST /represent HTTP/1.1\r\nHost: x\r\nContent-Type: {asked.headers['content-type']}\r\n"
        f"Content-Length: {len(content)}\r\n\r\n"
    )
    connection = socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])))
    connection.sendall(head.encode() + content)
    return connection


@pytest.mark.parametrize("leaves", [False, True])
@pytest.mark.parametrize("limit", [{"max_bodies": 3000}, {"max_requests": 1}], ids=str)
def test_a_request_has_its_body_and_its_place_until_its_work_is_done(
    gate: Gate, limit: dict[str, Any], leaves: bool
) -> None:
    """Whether it waits for its batch or is in it, and whether its caller is still there."""
    with live(**limit) as (url, _):
        ask = partial(post, f"{url}/represent", data=SKIP, timeout=60)
        with sent(url, padding="x" * 2000) as connection:
            assert gate.entered.acquire(timeout=60)
            if leaves:
                connection.close()
                time.sleep(0.2)
            assert [ask(files={"img": picture()}).status_code for _ in range(3)] == [429] * 3
            gate.permits.release(1000)
            waiting_for(lambda: ask(files={"img": picture()}).status_code == 200)


def test_overload_is_refused_before_the_body_is_read(gate: Gate) -> None:
    with live(max_queue=3, max_wait_ms=0) as (url, service), gate.callers(8) as pool:
        ask = partial(post, f"{url}/represent", files={"img": picture()}, data=SKIP, timeout=60)
        first = pool.submit(ask)
        assert gate.entered.acquire(timeout=60)
        others = [pool.submit(ask) for _ in range(3)]
        waiting_for(service.batcher.is_full)
        refused = [ask() for _ in range(20)]
        assert {answer.status_code for answer in refused} == {429}
        assert all(1 <= int(answer.headers["retry-after"]) <= 60 for answer in refused)
        assert refused[0].json()["code"] == "overloaded"
        gate.permits.release(1000)
        assert {job.result().status_code for job in (first, *others)} == {200}
        assert ask().status_code == 200
    assert gate.faces == 5


def test_more_requests_than_threads_are_refused(gate: Gate) -> None:
    with live(max_requests=2) as (url, service), gate.callers(8) as pool:
        ask = partial(post, f"{url}/represent", files={"img": picture()}, data=SKIP, timeout=60)
        first = pool.submit(ask)
        assert gate.entered.acquire(timeout=60)
        second = pool.submit(ask)
        waiting_for(lambda: len(service.batcher) == 1)
        assert post(f"{url}/represent").status_code == 429
        assert get(f"{url}/healthz").status_code == 200
        gate.permits.release(1000)
        assert first.result().status_code == second.result().status_code == 200


def test_deadlines(gate: Gate) -> None:
    with live() as (url, _), gate.callers(4) as pool:

        def ask(seconds: str) -> httpx.Response:
            return post(
                f"{url}/represent", files={"img": picture()}, data=SKIP, timeout=60,
                headers={"X-Request-Timeout": seconds},
            )  # fmt: skip

        first = pool.submit(ask, "60")
        assert gate.entered.acquire(timeout=60)
        late = ask("0.05")
        assert late.status_code == 504 and late.json()["code"] == "deadline_exceeded"
        for wrong in ("x", "-1", "nan"):
            assert ask(wrong).status_code == 400
        gate.permits.release(1000)
        assert first.result().status_code == 200
    assert gate.faces == 1


def has_room(batcher: Batcher, count: int) -> bool:
    """Whether so many pictures would be taken; they are withdrawn."""
    with contextlib.suppress(Overloaded), Call(batcher) as call:
        return bool(call.submit(FacePipeline(**SKIP), [np.zeros((9, 9, 3), np.uint8)] * count))
    return False


def test_pictures_of_callers_who_hang_up_are_not_computed(gate: Gate) -> None:
    with live(max_queue=3) as (url, service), gate.callers(4) as pool:
        first = pool.submit(
            post, f"{url}/represent", files={"img": picture()}, data=SKIP, timeout=60
        )
        assert gate.entered.acquire(timeout=60)
        for count in (1, 2, 3):
            with sent(url):
                waiting_for(lambda count=count: len(service.batcher) == count)
        waiting_for(lambda: has_room(service.batcher, 3))
        gate.permits.release(1000)
        assert first.result().status_code == 200
        waiting_for(lambda: not len(service.batcher))
        answer = post(f"{url}/represent", files={"img": picture()}, data=SKIP, timeout=60)
        assert answer.status_code == 200
    assert gate.faces == 2


def is_healthy(url: str) -> bool:
    """Whether it answers; asked again where this thread was too slow to ask."""
    for _ in range(20):
        with contextlib.suppress(httpx.TransportError):
            return get(f"{url}/healthz", timeout=60).status_code == 200
    return False


def received(connection: socket.socket) -> bytes:
    """What comes, and nothing where the connection is cut off."""
    connection.settimeout(60)
    with connection, contextlib.suppress(ConnectionError):
        return connection.recv(1000)
    return b""


def test_slow_heads_and_slow_bodies_are_cut_off() -> None:
    head = b"POST /represent HTTP/1.1\r\nHost: x\r\n"
    with live(body_timeout=0.5) as (url, _):
        address = ("127.0.0.1", int(url.rpartition(":")[2]))

        def answer_to(sent: bytes) -> bytes:
            connection = socket.create_connection(address)
            with contextlib.suppress(ConnectionError):  # where this thread was slow itself
                connection.sendall(sent)
            return received(connection)

        silent = [socket.create_connection(address) for _ in range(50)]
        assert [received(connection) for connection in silent] == [b""] * 50
        assert answer_to(head) == b""
        slow = head + b"Content-Length: 100\r\n\r\n{"
        assert any(answer_to(slow).startswith(b"HTTP/1.1 408") for _ in range(20))


def large_answer(url: str) -> socket.socket:
    """A connection with little room, whose answer of 10 MB is to come."""
    noise = np.random.default_rng(0).integers(0, 255, (1600, 1600, 3), np.uint8)
    files = {"img": cv2.imencode(".bmp", noise)[1].tobytes()}
    fields = {"detector_backend": "skip", "faces": "png"}
    asked = httpx.Request("POST", f"{url}/extract_faces", files=files, data=fields)
    content = asked.read()
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 14)
    connection.connect(("127.0.0.1", int(url.rpartition(":")[2])))
    head = (
        f"POST /extract_faces HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        f"Content-Type: {asked.headers['content-type']}\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    connection.sendall(head.encode() + content)
    return connection


def test_who_takes_nothing_of_an_answer_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    lost: list[PatientProtocol] = []
    ending = PatientProtocol.connection_lost

    def end(connection: PatientProtocol, reason: Exception | None) -> None:
        lost.append(connection)
        ending(connection, reason)

    monkeypatch.setattr(PatientProtocol, "connection_lost", end)
    with live(body_timeout=2) as (url, _), large_answer(url):
        waiting_for(lambda: lost)


def test_who_takes_an_answer_slowly_gets_it_all() -> None:
    with live(body_timeout=3) as (url, _), large_answer(url) as connection:
        taken = bytearray()
        while piece := connection.recv(1 << 16):
            taken += piece
            time.sleep(0.01)  # longer than that limit in all
        head, _, content = bytes(taken).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200") and len(json.loads(content)["results"]) == 1


def dripping(handler: BaseHTTPRequestHandler) -> None:
    """A picture that never ends, and comes slowly."""
    handler.wfile.write(b"HTTP/1.0 200 OK\r\n\r\n\xff\xd8")
    for _ in range(1200):
        time.sleep(0.05)
        handler.wfile.write(b"x")


@pytest.mark.parametrize("count", [1, 3])
def test_urls_have_no_more_time_than_their_request(
    site: Site, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    monkeypatch.setenv("DEEPFACE_ALLOW_PRIVATE_URLS", "1")
    site.answers["/slow"] = dripping
    urls = [site.url("/slow")] * count
    with client_of(urls=True) as client:
        answer = client.post(
            "/extract_faces", json={"img": urls, "on_error": "yield"},
            headers={"X-Request-Timeout": "0.3"},
        )  # fmt: skip
    assert answer.status_code == 504
    assert len(site.requests) == 1  # what comes after the end is not asked for


def test_urls_give_no_more_bytes_than_files_may_have(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEEPFACE_ALLOW_PRIVATE_URLS", "1")
    count = 0

    def endless(handler: BaseHTTPRequestHandler) -> None:
        nonlocal count
        handler.wfile.write(b"HTTP/1.0 200 OK\r\n\r\n")
        while count < 200 << 20:
            count += handler.wfile.write(b"\0" * (1 << 16))

    site.answers["/x"] = endless
    with client_of(urls=True, max_file=1 << 20) as client:
        answer = client.post("/extract_faces", json={"img": site.url("/x")})
    assert answer.status_code == 413
    assert count < 50 << 20


def test_nobody_waits_for_a_gallery_longer_than_he_has_time(gate: Gate, tmp_path: Path) -> None:
    for name in ("large", "small"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.png").write_bytes(picture())
    galleries = ",".join(f"{name}={tmp_path / name}" for name in ("large", "small"))
    with live(galleries=galleries) as (url, _), gate.callers(4) as pool:

        def ask(gallery: str, seconds: str) -> int:
            fields = {**SKIP, "gallery": gallery, "threshold": "0.5"}
            headers = {"X-Request-Timeout": seconds}
            return post(
                f"{url}/find", files={"img": picture()}, data=fields, headers=headers, timeout=60
            ).status_code

        first = pool.submit(ask, "large", "60")
        assert gate.entered.acquire(timeout=60)  # it embeds the gallery
        assert ask("large", "0.1") == 504
        other = pool.submit(ask, "small", "60")
        assert gate.entered.acquire(timeout=60)
        gate.permits.release(1000)
        assert (first.result(), other.result()) == (200, 200)


def test_a_connection_may_wait_between_its_requests() -> None:
    """The time of a head begins with its first byte, but for the first head."""
    with live(body_timeout=1) as (url, _):

        def second_status() -> int:
            connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=60)
            broken = ConnectionError, http.client.HTTPException  # where this thread was slow itself
            with contextlib.closing(connection), contextlib.suppress(*broken):
                connection.request("GET", "/healthz")
                connection.getresponse().read()
                connection.auto_open = 0  # no other connection
                time.sleep(1.1)
                connection.request("GET", "/healthz")
                return connection.getresponse().status
            return 0

        assert any(second_status() == 200 for _ in range(10))


def test_the_time_of_a_connection_that_is_closed_is_forgotten() -> None:
    """At once, and not when the time of the head that never came is over."""

    def times() -> int:
        """How many timers wait that are as long as this server's."""
        handles = [thing for thing in gc.get_objects() if type(thing) is asyncio.TimerHandle]
        later = time.monotonic() + 5000
        return sum(handle.when() > later and not handle.cancelled() for handle in handles)

    with live(body_timeout=10_000) as (url, _):
        address = ("127.0.0.1", int(url.rpartition(":")[2]))
        connections = [socket.create_connection(address) for _ in range(3)]
        waiting_for(lambda: times() == 3)
        for connection in connections:
            connection.close()
        waiting_for(lambda: times() == 0)


@pytest.mark.parametrize(
    "raw",
    [
        b"\0" * 100,
        b"POST /represent HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /represent HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        b"POST /represent HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\r\n" * 1000,
    ],
)
def test_broken_http(raw: bytes) -> None:
    with live(body_timeout=1) as (url, _):
        address = ("127.0.0.1", int(url.rpartition(":")[2]))
        for _ in range(3):
            connection = socket.create_connection(address)
            with contextlib.suppress(ConnectionError):
                connection.sendall(raw)
            answer = received(connection)
            assert answer == b"" or answer.startswith(b"HTTP/1.1 4")
        assert is_healthy(url)


def test_bad_bodies_of_every_kind_are_the_callers_errors(client: TestClient) -> None:
    json_, form = "application/json", "application/x-www-form-urlencoded"
    boundary = "multipart/form-data; boundary=x"
    bodies = [
        (json_, b""),
        (json_, b"\xff\xfe"),
        (json_, b"[" * 5000),
        (json_, b'{"img": ' + b"[" * 900 + b"]" * 900 + b"}"),
        (json_, b'{"img": NaN}'),
        (json_, b'{"img": {"a": 1}}'),
        (json_, b'{"img": [[1]]}'),
        (json_, b'{"img": "\\ud800"}'),
        (json_, b'{"img": "a.jpg\\u0000"}'),
        (json_, json.dumps({"img": "a.jpg", "model_name": ["x"]}).encode()),
        (json_, json.dumps({"img": "a.jpg", "align": {}}).encode()),
        (json_, json.dumps({"img": "a.jpg", "expand_percentage": 10**30}).encode()),
        (json_, json.dumps({"img": "x" * 10_000}).encode()),
        (form, b"&".join(b"a=1" for _ in range(1000))),
        (form, b"img=%ff%fe"),
        (boundary, b""),
        (boundary, b"--x\r\n"),
        (boundary, b"--x\r\nContent-Disposition: form-data\r\n\r\n1\r\n--x--"),
        ("multipart/form-data", b"--x--"),
        ("text/html; charset=\xff", b"x"),
    ]
    for kind, body in bodies:
        headers = {"content-type": kind.encode("latin-1")}
        for path in ("/represent", "/verify", "/search"):
            answer = client.post(path, content=body, headers=headers)
            assert 400 <= answer.status_code < 500, (kind, body[:50], answer.text)
            assert answer.json()["request_id"]


def test_a_hundred_guesses_at_the_token_change_nothing() -> None:
    with client_of(tokens="s3cret") as client:
        guesses = [f"Bearer {n}" for n in range(100)] + ["", "Bearer", "Bearer a b", "Bearer \xe9"]
        for guess in guesses:
            headers = {"Authorization": guess.encode("latin-1")}
            assert client.post("/represent", headers=headers).status_code == 401
        good = client.post("/represent", headers={"Authorization": "Bearer s3cret"})
        assert good.status_code == 400


def test_a_database_that_is_gone_is_not_the_callers_fault(
    tmp_path: Path, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate.permits.release(1000)
    folder = tmp_path / "there"
    folder.mkdir()
    with client_of(database_type="sqlite", connection_details=str(folder / "faces.db")) as client:

        def ask(level: int) -> Any:
            return client.post("/register", files={"img": picture(level)}, data=SKIP)

        assert ask(10).json() == {"inserted": 1}
        folder.rename(tmp_path / "away")
        gone = ask(20)
        assert gone.status_code == 503 and gone.headers["retry-after"]
        assert str(tmp_path) not in gone.text
        (tmp_path / "away").rename(folder)
        assert ask(30).json() == {"inserted": 1}
        with (folder / "faces.db").open("r+b") as file:
            file.write(b"no database any more")
        assert ask(40).status_code == 503


def test_a_full_disk_is_not_the_callers_fault(tmp_path: Path, gate: Gate) -> None:
    resource = pytest.importorskip("resource")
    gate.permits.release(1000)
    file = tmp_path / "faces.db"
    with client_of(database_type="sqlite", connection_details=str(file)) as client:

        def ask(level: int) -> Any:
            return client.post("/register", files={"img": picture(level)}, data=SKIP)

        for level in range(10):
            assert ask(level).json() == {"inserted": 1}
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (file.stat().st_size, before[1]))
        try:
            full = [ask(100 + level) for level in range(3)]
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert {answer.status_code for answer in full} == {503}
        assert full[0].json()["code"] == "database_error"
        assert ask(200).json() == {"inserted": 1}
        fields = {**SKIP, "align": "true"}
        assert len(client.get("/faces", params=fields).json()["results"]) == 11


def test_requests_under_way_are_finished_when_the_server_is_stopped(gate: Gate) -> None:
    results: list[Any] = []
    with live(drain=20) as (url, service):

        def ask() -> None:
            results.append(
                post(f"{url}/represent", files={"img": picture()}, data=SKIP, timeout=60)
            )

        threads = [threading.Thread(target=ask) for _ in range(3)]
        threads[0].start()
        assert gate.entered.acquire(timeout=60)
        for thread in threads[1:]:
            thread.start()
        waiting_for(lambda: len(service.batcher) == 2)
        threading.Timer(0.3, gate.permits.release, (1000,)).start()
    for thread in threads:
        thread.join(60)
    assert [answer.status_code for answer in results] == [200, 200, 200]


def test_errors_whose_reasons_lead_in_a_circle_are_told() -> None:
    first, second = ValueError("first"), ValueError("second")
    first.__cause__, second.__cause__ = second, first
    refused = refusal(first, "trying", "id")
    assert refused.status == 400 and refused.text == "Exception while trying: first: second"
