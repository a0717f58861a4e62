"""Requests that are allowed but seldom made, and some that are nearly right."""

from __future__ import annotations

import contextlib
import json
import logging
import socket
import time
from typing import Any

import httpx
import msgpack
import pytest
from fastapi.testclient import TestClient

from deepface.errors import DatabaseError, DeepFaceError, MachineError, WeightsError
from deepface.server.failures import refusal
from tests.server.conftest import client_of, live
from tests.server.test_limits import SKIP, picture
from tests.stand_ins import ColorModel

PART = 'Content-Disposition: form-data; name="{}"\r\n\r\n{}'
FILE = b'Content-Disposition: form-data; name="img"; filename="a.png"\r\n\r\n'


def multipart(client: TestClient, *parts: bytes, end: bytes = b"--B--\r\n") -> httpx.Response:
    body = b"".join(b"--B\r\n" + part + b"\r\n" for part in parts) + end
    headers = {"content-type": "multipart/form-data; boundary=B"}
    answer: httpx.Response = client.post("/represent", content=body, headers=headers)
    return answer


@pytest.mark.parametrize("path", ["/", "/docs", "/healthz", "/models", "/metrics", "/faces"])
def test_head_is_get_without_a_body(client: TestClient, path: str) -> None:
    told = client.head(path, params=SKIP)
    asked = client.get(path, params=SKIP)
    assert told.status_code == asked.status_code == 200 and told.content == b""
    assert told.headers["content-type"] == asked.headers["content-type"]


def test_head_of_what_is_posted_or_not_there(client: TestClient) -> None:
    assert client.head("/represent").status_code == 405
    assert client.head("/represent").headers["allow"] == "POST"
    assert client.head("/nope").status_code == 404


@pytest.mark.parametrize(
    ("accept", "packed"),
    [
        ("application/msgpack", True),
        ("Application/MsgPack", True),
        ("text/html, application/msgpack;q=0.9, */*;q=0.1", True),
        ("application/msgpack; charset=x; q=1.0, application/json;q=0.5", True),
        ("application/msgpack, application/json", True),
        ("application/msgpack;q=0", False),
        ("application/json, application/msgpack;q=0.5", False),
        ("application/json;q=0.6,application/msgpack; q=0.5", False),
        ("application/msgpackx, x/application/msgpack", False),
        ("application/x-msgpack", False),
        ("*/*", False),
        (";;,,q=0,", False),
        ("", False),
    ],
)
def test_msgpack_is_for_those_who_would_rather_have_it(
    client: TestClient, accept: str, packed: bool
) -> None:
    headers = {"accept": accept}
    answer = client.post("/represent", json={"img": "a.jpg", **SKIP}, headers=headers)
    decode = msgpack.unpackb if packed else json.loads
    assert len(decode(answer.content)["results"]) == 1


def test_a_multipart_body_that_is_cut_off_is_an_error_wherever_it_is_cut(
    client: TestClient,
) -> None:
    parts = [FILE + picture(), *(PART.format(*pair).encode() for pair in SKIP.items())]
    for end in (b"--B--", b"--B--\r\n", b"--B--\r\nmore"):
        assert multipart(client, *parts, end=end).status_code == 200
    whole = b"".join(b"--B\r\n" + part + b"\r\n" for part in parts) + b"--B--"
    headers = {"content-type": "multipart/form-data; boundary=B"}
    for length in (3, 50, 100, len(whole) // 2, *range(len(whole) - 60, len(whole))):
        answer = client.post("/represent", content=whole[:length], headers=headers)
        assert answer.status_code == 400, (length, answer.text)


def test_more_parts_than_are_taken_are_too_much_of_each_kind(colors: ColorModel) -> None:
    with client_of(max_items=3) as client:
        for count in (4, 5, 300):
            files = [("img", picture())] * count
            assert client.post("/represent", files=files, data=SKIP).status_code == 413
        fields = {f"f{number}": "1" for number in range(300)}
        assert client.post("/represent", data=fields).status_code == 413
        files = [("img", picture())]
        assert client.post("/represent", files=files, data=fields).status_code == 413


def test_files_of_clients_that_encode_names(client: TestClient) -> None:
    head = b"Content-Disposition: form-data; name=\"img\"; filename*=UTF-8''%e2%82%ac.png\r\n\r\n"
    fields = [PART.format(*pair).encode() for pair in SKIP.items()]
    assert multipart(client, head + picture(), *fields).status_code == 200


def test_a_file_in_place_of_a_text_is_refused_without_its_bytes(client: TestClient) -> None:
    part = b'Content-Disposition: form-data; name="model_name"; filename="x"\r\n\r\nsecret'
    answer = multipart(client, FILE + picture(), part)
    assert answer.status_code == 400 and "model_name" in answer.text
    assert "secret" not in answer.text


def test_tokens_of_any_characters(colors: ColorModel) -> None:
    tokens = ("plain", "a=b+c/d==", "schl\u00fcssel", "\u00e0\u00a0", "\U0001f511")
    with client_of(tokens=tokens) as client:
        for token in tokens:
            for scheme in (b"Bearer ", b"bearer  ", b"BEARER\t"):
                headers = {"authorization": scheme + token.encode()}
                assert client.post("/represent", headers=headers).status_code == 400, token
        for wrong in ("schlussel", "plain,a=b+c/d==", "PLAIN", "", "plain plain"):
            headers = {"authorization": f"Bearer {wrong}".encode()}
            assert client.post("/represent", headers=headers).status_code == 401, wrong


@pytest.mark.parametrize(
    "head",
    [
        b"POST /represent HTTP/1.1\r\n",  # 401
        b"POST /nope HTTP/1.1\r\n",
        b"PUT /represent HTTP/1.1\r\n",
        b"GET /healthz HTTP/1.1\r\n",
    ],
)
def test_a_body_that_nobody_reads_holds_no_connection_for_ever(head: bytes) -> None:
    with live(tokens="s3cret", body_timeout=0.5) as (url, _):
        address = ("127.0.0.1", int(url.rpartition(":")[2]))

        def is_cut_off() -> bool | None:
            """``None`` where this thread was too slow to be answered."""
            answer = b""
            with socket.create_connection(address) as caller:
                caller.settimeout(60)
                with contextlib.suppress(ConnectionError):
                    caller.sendall(head + b"Host: x\r\nContent-Length: 100000\r\n\r\n")
                    answer = caller.recv(1000)
                    for _ in range(600):  # up to a minute
                        caller.sendall(b"x")
                        time.sleep(0.1)
                    return False
            return True if answer else None

        assert next(cut for _ in range(20) if (cut := is_cut_off()) is not None)


def test_what_is_no_http_is_answered_as_other_errors_are(caplog: pytest.LogCaptureFixture) -> None:
    with live() as (url, _), caplog.at_level(logging.INFO, "deepface"):
        address = ("127.0.0.1", int(url.rpartition(":")[2]))
        with socket.create_connection(address, timeout=60) as connection:
            connection.sendall(b"GET / HTTP/9\r\n\r\n")
            told = b"".join(iter(lambda: connection.recv(1000), b""))
        head, _, body = told.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ") and b"application/json" in head
    request_id = json.loads(body)["request_id"]
    assert request_id.encode() in head and request_id in caplog.text


@pytest.mark.parametrize(
    "error",
    [
        DatabaseError('connection to "10.1.2.3", user bob: refused'),
        WeightsError("save it as /home/bob/x.pth, from https://10.1.2.3/x"),
        MachineError("/home/bob: no space left (10.1.2.3)"),
    ],
)
def test_where_the_server_keeps_its_things_is_told_to_its_log_only(
    error: DeepFaceError, caplog: pytest.LogCaptureFixture
) -> None:
    outer = DeepFaceError("the picture")
    outer.__cause__ = error
    for raised in (error, outer):
        refused = refusal(raised, "trying", "id-7")
        assert refused.status == 503 and refused.headers["Retry-After"]
        assert "bob" not in refused.text and "10.1.2.3" not in refused.text
        assert refused.text.startswith("Exception while trying: the ")
    assert "id-7" in caplog.text and "bob" in caplog.text


def test_which_faces_of_a_failed_call_are_stored_is_told() -> None:
    error = DatabaseError("10.1.2.3: refused. Faces 1 to 5 stay stored")
    error.stored = "Faces 1 to 5 stay stored"
    text = refusal(error, "registering", "id").text
    assert "10.1.2.3" not in text and text.endswith("Faces 1 to 5 stay stored")


def test_an_index_that_was_never_built_is_the_callers_error(client: TestClient) -> None:
    dlib = {"model_name": "Dlib", "detector_backend": "skip"}
    pytest.importorskip("dlib")
    client.post("/register", json={"img": "a.jpg", **dlib})
    answer = client.post("/search", json={"img": "a.jpg", **dlib, "search_method": "ann"})
    assert answer.status_code == 400 and "build_index" in answer.json()["error"]


@pytest.mark.parametrize("identity", [True, 1.5, [1], {}, 10**30, "9" * 30, "9" * 5000])
def test_identities_that_are_none(client: TestClient, identity: Any) -> None:
    answer = client.post("/identify", json={"img": "a.jpg", **SKIP, "identity_id": identity})
    assert answer.status_code == 400 and "identity_id" in answer.json()["error"]
