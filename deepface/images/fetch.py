"""Pictures by URL, with little trust in whoever wrote the URL.

A server that takes URLs from its users must not become their way into its own network. So:

* http and https only, at most five redirects, each treated like a URL of its own.
* The host is resolved once per request, *every* address must be public (the metadata services of
  clouds are not), and the connection goes to an address that was checked: a name cannot change its
  mind in between (DNS rebinding). Host header and TLS verification keep the name.
  ``DEEPFACE_ALLOW_PRIVATE_URLS=1`` drops this check.
* Proxies from the environment are not used, because behind one nobody knows which address is
  reached. Programs that need one fetch the file themselves and pass its bytes.
* Bytes are capped while they arrive, and one deadline holds for everything after name resolution:
  also for a server that sends a byte now and then.

Messages show URLs without user, password, query and fragment.
"""

from __future__ import annotations

import base64
import contextlib
import functools
import http.client
import ipaddress
import math
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from urllib.parse import SplitResult, quote, unquote, urljoin, urlsplit

from deepface import __version__
from deepface.errors import DeepFaceError, ImageFetchError
from deepface.images.limits import (
    PRIVATE_VARIABLE,
    TIMEOUT_VARIABLE,
    check_bytes,
    private_urls_allowed,
    read_limited,
    url_timeout,
)

MAX_REDIRECTS = 5
#: Seconds to wait for a connection, and for the next bytes on it.
CONNECT_TIMEOUT = 10.0
READ_TIMEOUT = 30.0

_REDIRECTS = frozenset([301, 302, 303, 307, 308])
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
#: The only part of IPv6 from which public addresses are given out.
_UNICAST = ipaddress.IPv6Network("2000::/3")
#: Addresses that ``ipaddress`` takes for public, in some versions of Python at least.
_NOT_PUBLIC = tuple(
    ipaddress.ip_network(network)
    for network in (
        "192.0.0.0/24",  # protocols; Oracle's cloud has its metadata there
        "192.88.99.0/24",  # relays of 6to4
        "168.63.129.16/32",  # Azure's host
        "2001::/23",  # protocols: Teredo, ORCHID and others
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4: IPv4 behind whatever relay there is
        "3fff::/20",  # documentation
    )
)
#: Left as they are in a URL: reserved characters, and escapes that the caller made already.
_URL_SAFE = "!#$%&'()*+,/:;=?@[]~"


def fetch(url: str, seconds: float = math.inf, most: int | None = None) -> bytes:
    """The body behind an http(s) URL.

    Args:
        url: its address.
        seconds: for it, where that is less than is granted to every URL.
        most: bytes, where they are less than are granted to every picture.

    Raises:
        ImageFetchError: with the URL and the reason: refused, unreachable, too slow, too many
            redirects, or an HTTP status other than success.
        ImageTooLarge: the body exceeds the limit on bytes.
    """
    name = hop = without_secrets(url)
    with _Deadline(min(seconds, url_timeout())) as deadline:
        try:
            for _ in range(MAX_REDIRECTS + 1):
                with _answer(url, deadline) as response:
                    location = response.getheader("Location")
                    if response.status not in _REDIRECTS or not location:
                        return _body(response, name, deadline, most)
                # http.client reads headers as Latin-1; what servers send is UTF-8, if not ASCII.
                url = urljoin(url, location.encode("latin-1").decode("utf-8", "replace"))
                hop = without_secrets(url)
            reason = f"more than {MAX_REDIRECTS} redirects"
        except (OSError, http.client.HTTPException) as error:
            reason = str(error) if isinstance(error, OSError) else repr(error)
            if deadline.expired:
                reason = f"no full answer within {deadline.seconds:g} s ({TIMEOUT_VARIABLE})"
        except DeepFaceError:
            raise
        except ValueError:  # whose text may hold the password
            reason = "this is not a valid URL"
    redirected = f"redirected to {hop}: " if hop != name else ""
    raise ImageFetchError(f"{name} cannot be fetched: {redirected}{reason}")


def without_secrets(url: str) -> str:
    """A URL for messages: without user, password, query and fragment."""
    try:
        parts = urlsplit(url)
        host = _host(parts)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return f"{url.partition(':')[0]}://..."
    return f"{parts.scheme}://{host}{port}{parts.path}{'?...' if parts.query else ''}"


class _Deadline:
    """Cuts the connection when the time is up, whatever it is waiting for."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.expired = False
        self._end = time.monotonic() + seconds
        self._timer = threading.Timer(seconds, self._expire)
        self._timer.daemon = True
        self._lock = threading.Lock()
        self._watched: socket.socket | None = None

    def __enter__(self) -> _Deadline:
        self._timer.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._timer.cancel()
        self.unwatch()

    def remaining(self) -> float:
        """Seconds left; raises ``TimeoutError`` when there are none."""
        left = self._end - time.monotonic()
        if left <= 0:
            self.expired = True
            raise TimeoutError
        return left

    def watch(self, connected: socket.socket) -> None:
        """Cut this one. A duplicate is kept, because TLS takes the original socket over."""
        with self._lock:
            if self.expired:
                raise TimeoutError
            self._watched = connected.dup()

    def unwatch(self) -> None:
        """Forget the connection, which its owner closes."""
        with self._lock:
            if self._watched is not None:
                self._watched.close()
            self._watched = None

    def _expire(self) -> None:
        with self._lock:
            self.expired = True
            if self._watched is not None:
                with contextlib.suppress(OSError):  # closed by the other side in this moment
                    self._watched.shutdown(socket.SHUT_RDWR)


class _Http(http.client.HTTPConnection):
    """A connection to an address that was checked."""

    def __init__(self, host: str, port: int | None, deadline: _Deadline) -> None:
        super().__init__(host, port, timeout=READ_TIMEOUT)
        self._deadline = deadline

    def connect(self) -> None:
        self.sock = _connect(self.host, self.port, self._deadline)


class _Https(_Http):
    """The same with TLS, whose certificate must be for the host's name."""

    default_port = http.client.HTTPS_PORT

    def connect(self) -> None:
        super().connect()
        self.sock = tls_context().wrap_socket(self.sock, server_hostname=self.host)


_CONNECTIONS = {"http": _Http, "https": _Https}


@functools.cache
def tls_context() -> ssl.SSLContext:
    """What verifies certificates and host names."""
    import certifi

    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    return context


@contextlib.contextmanager
def _answer(url: str, deadline: _Deadline) -> Iterator[http.client.HTTPResponse]:
    """One request, redirects not followed."""
    parts = urlsplit(url)
    if parts.scheme not in _CONNECTIONS:
        raise PermissionError("only http and https URLs are fetched")
    host = _host(parts)
    if not host:
        raise ValueError
    connection = _CONNECTIONS[parts.scheme](host, parts.port, deadline)
    target = quote(parts.path or "/", safe=_URL_SAFE)
    if parts.query:
        target += "?" + quote(parts.query, safe=_URL_SAFE)
    try:
        connection.request("GET", target, headers=_headers(parts))
        yield connection.getresponse()
    finally:
        deadline.unwatch()
        connection.close()


def _host(parts: SplitResult) -> str:
    host = parts.hostname or ""
    return host if host.isascii() else host.encode("idna").decode("ascii")


def _headers(parts: SplitResult) -> dict[str, str]:
    headers = {"User-Agent": f"deepface/{__version__}", "Accept": "image/*,*/*;q=0.8"}
    if parts.username is not None:
        user = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        headers["Authorization"] = "Basic " + base64.b64encode(user.encode()).decode("ascii")
    return headers


def _connect(host: str, port: int, deadline: _Deadline) -> socket.socket:
    """Resolve, check every address, and connect to one of those."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    if not private_urls_allowed():
        for *_, address in found:
            if not is_public(str(address[0])):
                raise PermissionError(
                    f"{host} has the address {address[0]}, which is not public. Set "
                    f"{PRIVATE_VARIABLE}=1 if URLs may lead into private networks"
                )
    failure: OSError | None = None
    for family, kind, protocol, _, address in found:
        connection = socket.socket(family, kind, protocol)
        try:
            connection.settimeout(min(CONNECT_TIMEOUT, deadline.remaining()))
            connection.connect(address)
            connection.settimeout(READ_TIMEOUT)
            deadline.watch(connection)
        except OSError as error:
            connection.close()
            failure = error
        else:
            return connection
    raise failure or OSError(f"{host} has no address")


def is_public(text: str) -> bool:
    """Whether an IP address is one of the open internet."""
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        # IPv4 in other clothes: what counts is the address inside.
        if address.ipv4_mapped is not None:
            return is_public(str(address.ipv4_mapped))
        if address in _NAT64:
            return is_public(str(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)))
        if address not in _UNICAST:
            return False
    if any(address in network for network in _NOT_PUBLIC):
        return False
    return address.is_global and not (address.is_multicast or address.is_reserved)


def _body(
    response: http.client.HTTPResponse, name: str, deadline: _Deadline, most: int | None
) -> bytes:
    if not 200 <= response.status < 300:
        raise OSError(f"HTTP status {response.status} {response.reason}")
    check_bytes(response.length or 0, name, most)
    data = read_limited(response.read, name, most=most)
    if deadline.expired or response.length:  # a connection cut looks like the end of the body
        raise http.client.IncompleteRead(data, response.length)
    return data
