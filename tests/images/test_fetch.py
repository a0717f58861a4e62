from __future__ import annotations

import base64
import contextlib
import ipaddress
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import pytest

from deepface.errors import DeepFaceError, ImageFetchError, ImageTooLarge
from deepface.images import fetch
from deepface.images.load import load_image, load_image_from_web
from tests.images.pictures import encoded, picture

PNG = encoded(picture())


class Server:
    """Answers on 127.0.0.1; ``answers[path]`` is called with the handler."""

    def __init__(self) -> None:
        self.answers: dict[str, Callable[[BaseHTTPRequestHandler], None]] = {}
        self.requests: list[tuple[str, dict[str, str]]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                outer.requests.append((self.path, dict(self.headers)))
                self.close_connection = True
                with contextlib.suppress(OSError):  # the client has gone
                    outer.answers[self.path.partition("?")[0]](self)

            def log_message(self, *args: Any) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def url(self, path: str, host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}{path}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def body(content: bytes = PNG, status: int = 200, **headers: str) -> Callable[..., None]:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in {"Content_Length": str(len(content)), **headers}.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(content)

    return answer


def redirect(location: str, status: int = 302) -> Callable[..., None]:
    return body(b"moved", status, Location=location)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("DEEPFACE_ALLOW_PRIVATE_URLS", "1")
    running = Server()
    running.answers["/a.png"] = body()
    yield running
    running.close()


@pytest.fixture
def only_127_0_0_1_is_public(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DEEPFACE_ALLOW_PRIVATE_URLS")
    monkeypatch.setattr(fetch, "is_public", lambda address: address == "127.0.0.1")


def test_a_picture_by_url(server: Server) -> None:
    image, name = load_image(server.url("/a.png"))
    np.testing.assert_array_equal(image, picture())
    assert name == server.url("/a.png")
    np.testing.assert_array_equal(load_image_from_web(server.url("/a.png")), picture())
    np.testing.assert_array_equal(load_image("HTTP" + server.url("/a.png")[4:])[0], picture())


def test_without_content_length_and_in_pieces(server: Server) -> None:
    def chunked(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        for part in (PNG[:100], PNG[100:]):
            handler.wfile.write(f"{len(part):x}\r\n".encode() + part + b"\r\n")
        handler.wfile.write(b"0\r\n\r\n")

    def until_closed(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"HTTP/1.0 200 OK\r\n\r\n" + PNG)

    for answer in (chunked, until_closed):
        server.answers["/b.png"] = answer
        np.testing.assert_array_equal(load_image(server.url("/b.png"))[0], picture())


def test_paths_and_queries_are_escaped_once(server: Server) -> None:
    server.answers["/%C3%BC%20a%20b.png"] = body()
    load_image(server.url("/ü%20a b.png?q=ß&r=%20"))
    assert server.requests[-1][0] == "/%C3%BC%20a%20b.png?q=%C3%9F&r=%20"


def test_a_location_of_raw_utf8_is_followed(server: Server) -> None:
    server.answers["/%C3%BC%20b.png"] = body()
    server.answers["/to"] = redirect("/ü b.png".encode().decode("latin-1"))
    np.testing.assert_array_equal(load_image(server.url("/to"))[0], picture())


def test_user_and_password_are_sent_to_their_host_only(server: Server) -> None:
    server.answers["/to"] = redirect(server.url("/a.png", "localhost"))
    load_image(server.url("/to", "me%40x:pass%20word@127.0.0.1"))
    expected = "Basic " + base64.b64encode(b"me@x:pass word").decode()
    assert [headers.get("Authorization") for _, headers in server.requests] == [expected, None]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_followed(server: Server, status: int) -> None:
    server.answers["/folder/to"] = redirect("../a.png", status)
    np.testing.assert_array_equal(load_image(server.url("/folder/to"))[0], picture())


def test_five_redirects_are_followed_and_no_more(server: Server) -> None:
    for step in range(6):
        server.answers[f"/{step}"] = redirect(f"/{step + 1}")
    server.answers["/6"] = body()
    np.testing.assert_array_equal(load_image(server.url("/1"))[0], picture())
    with pytest.raises(ImageFetchError, match="more than 5 redirects"):
        load_image(server.url("/0"))


@pytest.mark.parametrize(
    ("answer", "error", "fragment"),
    [
        (body(b"", 404), ImageFetchError, "HTTP status 404 Not Found"),
        (body(b"", 500), ImageFetchError, "HTTP status 500"),
        (body(b"", 302), ImageFetchError, "HTTP status 302"),
        (body(b"<html>"), DeepFaceError, "Failed to decode image"),
        (body(b""), DeepFaceError, "Failed to decode image: it is empty"),
        (body(PNG, Content_Length="9999"), ImageFetchError, "IncompleteRead"),
        (body(PNG, Content_Length=str(1 << 40)), ImageTooLarge, "1099511627776 bytes"),
        (redirect("file:///etc/passwd"), ImageFetchError, "only http and https"),
        (redirect("ftp://127.0.0.1/a"), ImageFetchError, "redirected to ftp://127.0.0.1/a: only"),
        (redirect("http://[bad"), ImageFetchError, "not a valid URL"),
        (lambda handler: handler.wfile.write(b"no HTTP\r\n\r\n"), ImageFetchError, "BadStatusLine"),
        (lambda handler: None, ImageFetchError, "closed connection without response"),
    ],
)
def test_answers_that_are_no_picture(
    server: Server, answer: Callable[..., None], error: type[Exception], fragment: str
) -> None:
    server.answers["/x"] = answer
    with pytest.raises(error) as caught:
        load_image(server.url("/x", "me:secret@127.0.0.1") + "?token=secret")
    message = str(caught.value)
    assert server.url("/x") in message and fragment in message and "secret" not in message


def test_an_endless_body_is_read_up_to_the_limit(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = 0

    def endless(handler: BaseHTTPRequestHandler) -> None:
        nonlocal sent
        handler.wfile.write(b"HTTP/1.0 200 OK\r\n\r\n")
        while sent < 100 << 20:
            sent += handler.wfile.write(b"\0" * (1 << 16))

    monkeypatch.setenv("DEEPFACE_MAX_IMAGE_BYTES", str(1 << 20))
    server.answers["/x"] = endless
    with pytest.raises(ImageTooLarge, match="DEEPFACE_MAX_IMAGE_BYTES"):
        load_image(server.url("/x"))
    assert sent < 50 << 20


def _drip(start: bytes) -> Callable[[BaseHTTPRequestHandler], None]:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(start)
        for _ in range(600):
            time.sleep(0.05)
            handler.wfile.write(b"x")

    return answer


@pytest.mark.parametrize(
    "answer",
    [
        _drip(b"HTTP/1.1 200 OK\r\nX: "),
        _drip(b"HTTP/1.1 200 OK\r\nContent-Length: 10000\r\n\r\n"),
        _drip(b"HTTP/1.0 200 OK\r\n\r\n"),
        lambda handler: time.sleep(5),
    ],
)
def test_the_deadline_holds_for_servers_that_drip(
    server: Server, monkeypatch: pytest.MonkeyPatch, answer: Callable[..., None]
) -> None:
    monkeypatch.setenv("DEEPFACE_URL_TIMEOUT", "0.4")
    server.answers["/x"] = answer
    start = time.monotonic()
    with pytest.raises(
        ImageFetchError, match=r"no full answer within 0.4 s \(DEEPFACE_URL_TIMEOUT"
    ):
        load_image(server.url("/x"))
    assert time.monotonic() - start < 4.5


@pytest.mark.parametrize(
    ("moment", "then"), [("dup", ["dup", "shutdown", "close"]), ("close", ["dup", "close"])]
)
def test_the_time_is_up_while_a_connection_comes_or_goes(
    moment: str, then: list[str], server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that has just come is cut, one that is being closed is not touched."""
    done: list[str] = []
    ends: list[threading.Thread] = []

    class Timer:
        """Rings when it is told to."""

        def __init__(self, seconds: float, ring: Callable[[], None]) -> None:
            ends.append(threading.Thread(target=ring))

        def start(self) -> None: ...

        cancel = start

    class Watched(socket.socket):
        is_duplicate = False

        def note(self, what: str) -> None:
            done.append(what)
            if what == moment:
                ends[0].start()
                ends[0].join(0.1)  # it waits for us

        def dup(self) -> Watched:
            self.note("dup")
            copy = super().dup()
            copy.is_duplicate = True
            return copy

        def shutdown(self, how: int) -> None:
            if self.is_duplicate:
                self.note("shutdown")
            super().shutdown(how)

        def close(self) -> None:
            if self.is_duplicate and "close" not in done:
                self.note("close")
            super().close()

    def answer(handler: BaseHTTPRequestHandler) -> None:
        if moment == "dup":
            ends[0].join()
        body()(handler)

    server.answers["/a.png"] = answer
    monkeypatch.setattr(threading, "Timer", Timer)
    monkeypatch.setattr(socket, "socket", Watched)
    with contextlib.suppress(ImageFetchError):
        assert load_image_from_web(server.url("/a.png")).shape == picture().shape
    ends[0].join()
    assert done == then


def test_a_silent_server_is_given_up(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    class Impatient(socket.socket):
        def settimeout(self, value: float | None) -> None:
            super().settimeout(0.2 if value == fetch.READ_TIMEOUT else value)

    monkeypatch.setattr(socket, "socket", Impatient)
    server.answers["/x"] = lambda handler: time.sleep(3)
    with pytest.raises(ImageFetchError, match="timed out"):
        load_image(server.url("/x"))


@pytest.mark.parametrize("seconds", [3, 3000])
def test_connecting_takes_no_longer_than_all_may(
    server: Server, monkeypatch: pytest.MonkeyPatch, seconds: int
) -> None:
    limits: list[float | None] = []

    class Noting(socket.socket):
        def settimeout(self, value: float | None) -> None:
            limits.append(value)
            super().settimeout(value)

    monkeypatch.setenv("DEEPFACE_URL_TIMEOUT", str(seconds))
    monkeypatch.setattr(socket, "socket", Noting)
    load_image(server.url("/a.png"))
    assert limits[0] is not None and 0 < limits[0] <= min(seconds, fetch.CONNECT_TIMEOUT)
    assert limits[1] == fetch.READ_TIMEOUT


def test_a_closed_port(server: Server) -> None:
    server.close()
    with pytest.raises(ImageFetchError, match="refused"):
        load_image(server.url("/a.png"))


@pytest.mark.parametrize(
    "url",
    [
        "http://",
        "http:///a.png",
        "http://host:99999/a",
        "http://me:pa/ss@host/a",
        "http://[bad/a",
        "http://a..b/a",
        "http://" + "a" * 300 + "/a",
        "http://me:secret@ex℀mple/a",
    ],
)
def test_malformed_urls(url: str) -> None:
    with pytest.raises(ImageFetchError) as error:
        load_image(url)
    assert "cannot be fetched" in str(error.value)
    assert "secret" not in str(error.value) and "me:pa" not in str(error.value)


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.216.34", True),
        ("2606:2800:220:1:248:1893:25c8:1946", True),
        ("::ffff:93.184.216.34", True),
        ("64:ff9b::5db8:d822", True),
        ("127.0.0.1", False),
        ("127.1.2.3", False),
        ("0.0.0.0", False),
        ("10.0.0.1", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("224.0.0.1", False),
        ("240.0.0.1", False),
        ("255.255.255.255", False),
        ("::1", False),
        ("::", False),
        ("fe80::1%eth0", False),
        ("fd00::1", False),
        ("ff02::1", False),
        ("::ffff:127.0.0.1", False),
        ("::ffff:169.254.169.254", False),
        ("64:ff9b::7f00:1", False),
        ("2002:7f00:1::", False),
    ],
)
def test_public_addresses(address: str, public: bool) -> None:
    assert fetch.is_public(address) == public


#: IANA's registries of special addresses, and what clouds use for themselves.
SPECIAL = [
    "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
    "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15",
    "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4", "168.63.129.16/32",
    "169.254.169.254/32", "169.254.170.2/32", "100.100.100.200/32", "192.0.0.192/32", "::/128",
    "::1/128", "::/96", "64:ff9b:1::/48", "100::/64", "100:0:0:1::/64", "2001::/23", "2001::/32",
    "2001:2::/48", "2001:10::/28", "2001:20::/28", "2001:30::/28", "2001:db8::/32", "2002::/16",
    "3fff::/20", "4000::/2", "5f00::/16", "8000::/1", "fc00::/7", "fd00:ec2::254/128",
    "fd20:ce::254/128", "fe80::/10", "fec0::/10", "ff00::/8",
]  # fmt: skip


@pytest.mark.parametrize("network", SPECIAL)
def test_special_addresses_are_not_public(network: str) -> None:
    addresses = ipaddress.ip_network(network)
    for place in (0, 1, addresses.num_addresses // 2, addresses.num_addresses - 1):
        address = addresses[min(place, addresses.num_addresses - 1)]
        forms = [str(address)]
        if isinstance(address, ipaddress.IPv4Address):
            high, low = divmod(int(address), 1 << 16)
            for form in (
                "::ffff:{:x}:{:x}",
                "64:ff9b::{:x}:{:x}",
                "2002:{:x}:{:x}::",
                "::{:x}:{:x}",
            ):
                forms.append(form.format(high, low))
            forms.append(f"2001:0:5db8:d822:8000:63bf:{high ^ 0xFFFF:x}:{low ^ 0xFFFF:x}")  # Teredo
        for form in forms:
            assert not fetch.is_public(form), form


@pytest.mark.parametrize(
    "address",
    ["1.1.1.1", "8.8.8.8", "168.63.129.15", "192.88.98.1", "192.1.0.0", "2a00:1450:4001::200e",
     "2001:4860:4860::8888", "2001:200::1", "2620:fe::fe", "3ffe::1", "::ffff:8.8.8.8",
     "64:ff9b::808:808"],
)  # fmt: skip
def test_public_addresses_are_public(address: str) -> None:
    assert fetch.is_public(address)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "[::1]", "0.0.0.0", "127.1", "0x7f000001", "2130706433"]
)
def test_private_addresses_are_refused(
    server: Server, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    monkeypatch.delenv("DEEPFACE_ALLOW_PRIVATE_URLS")
    with pytest.raises(ImageFetchError, match=r"not public|Name or service|not known|getaddrinfo"):
        load_image(server.url("/a.png", host))
    assert server.requests == []


@pytest.mark.usefixtures("only_127_0_0_1_is_public")
def test_a_redirect_to_a_private_address_is_refused(server: Server) -> None:
    load_image(server.url("/a.png"))
    server.answers["/to"] = redirect(server.url("/a.png", "127.0.0.2"))
    with pytest.raises(ImageFetchError, match=r"redirected to http://127.0.0.2:.*not public") as e:
        load_image(server.url("/to"))
    assert "DEEPFACE_ALLOW_PRIVATE_URLS=1" in str(e.value)
    assert [path for path, _ in server.requests] == ["/a.png", "/to"]


def _resolve(monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> list[str]:
    """Names resolve to these addresses, one answer per question; returns the questions."""
    asked: list[str] = []

    def getaddrinfo(host: str, port: int, **_: Any) -> list[Any]:
        asked.append(host)
        found = answers[min(len(asked), len(answers)) - 1]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (a, port)) for a in found]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return asked


@pytest.mark.usefixtures("only_127_0_0_1_is_public")
def test_the_connection_goes_to_the_address_that_was_checked(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = _resolve(monkeypatch, ["127.0.0.1"], ["127.0.0.2"])  # rebinds after the first answer
    load_image(server.url("/a.png", "pictures.example"))
    assert asked == ["pictures.example"]
    assert server.requests[-1][1]["Host"] == f"pictures.example:{server.port}"


@pytest.mark.usefixtures("only_127_0_0_1_is_public")
def test_one_private_address_among_several_is_enough_to_refuse(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    _resolve(monkeypatch, ["127.0.0.1", "10.0.0.1"])
    with pytest.raises(ImageFetchError, match=r"pictures.example has the address 10.0.0.1"):
        load_image(server.url("/a.png", "pictures.example"))
    assert server.requests == []


def test_the_next_address_is_tried_when_one_does_not_connect(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    _resolve(monkeypatch, ["127.0.0.2", "127.0.0.1"])  # nothing listens on the first
    np.testing.assert_array_equal(load_image(server.url("/a.png", "host"))[0], picture())


@pytest.mark.usefixtures("only_127_0_0_1_is_public")
def test_tls_checks_the_name_and_not_the_address(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    names: list[str] = []

    class Context:
        def wrap_socket(self, plain: socket.socket, server_hostname: str) -> socket.socket:
            names.append(server_hostname)
            return plain

    monkeypatch.setattr(fetch, "tls_context", Context)
    _resolve(monkeypatch, ["127.0.0.1"])
    url = server.url("/a.png", "pictures.example").replace("http:", "https:")
    np.testing.assert_array_equal(load_image(url)[0], picture())
    assert names == ["pictures.example"]


def test_the_tls_context_verifies() -> None:
    import ssl

    context = fetch.tls_context()
    assert context.verify_mode == ssl.CERT_REQUIRED and context.check_hostname


def test_proxies_from_the_environment_are_not_used(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(variable, "http://127.0.0.1:1")
    np.testing.assert_array_equal(load_image(server.url("/a.png"))[0], picture())
