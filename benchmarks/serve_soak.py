"""The service for long and under fire: memory, and seconds until what is bad is refused.

The server runs as a process of its own, as it is shipped, and finds faces without a network, so
that what is measured is the server. Requests are of many kinds, bad ones among them.
"""

from __future__ import annotations

import argparse
import http.client
import json
import multiprocessing
import socket
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import cv2
import numpy as np
import psutil

from benchmarks.arguments import add_output, positive
from benchmarks.report import Report, Row, table
from benchmarks.serve import serving

HELP = "memory of the service over many requests; seconds until bad ones and overload are refused"
COLUMNS = {
    "what": "what",
    "count": "count",
    "unexpected": "unexpected answers",
    "p50_ms": "p50 ms",
    "p95_ms": "p95 ms",
    "max_ms": "most ms",
    "rss_mb": "MB of memory",
}
_CLIENTS = 8
_SIDE = 9000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("--count", type=positive, default=20_000, help="default: 20,000 requests")
    parser.add_argument("--bad", type=positive, default=10_000, help="default: 10,000 connections")
    add_output(parser)


def run(args: argparse.Namespace) -> int:
    """Measure, print, save."""
    report = Report("serve-soak", settings={"clients": _CLIENTS})
    command = [sys.executable, "-m", "deepface.server", "--port", "PORT"]
    with serving(command, "pytorch") as (port, server):
        report.rows += _many(port, server, args.count)
        report.rows += _parts("bad connections", _bad(port), args.bad, 4, server)
        bomb = cv2.imencode(".png", np.zeros((_SIDE, _SIDE, 3), np.uint8))[1].tobytes()
        report.rows.append(
            _timed("81-megapixel PNG", lambda n: _ask(port, _multipart(bomb), 413), 50, server)
        )
        alive = _ask(port, _multipart(_noise(0)), 200)
    full = [*command, "--max-requests", "4", "--detection-models", "opencv"]
    with serving(full, "pytorch") as (port, server):
        report.rows.append(_overload(port, server))
    path = report.save(args.out, args.tag)
    print(table(report.rows, COLUMNS), end="\n\n")
    print(f"written: {path}")
    return 0 if alive else 1


def _many(port: int, server: psutil.Process, count: int) -> list[Row]:
    """Good and bad requests, with the memory after every twentieth part."""
    bodies = [_multipart(_noise(number)) for number in range(20)]

    def ask(number: int) -> bool:
        if number % 5 == 3:
            return _ask(port, (b"{bad", "application/json"), 400)
        if number % 5 == 4:
            return _ask(port, _multipart(b"no picture"), 400)
        return _ask(port, bodies[number % 20], 200)

    return _parts("requests", ask, count, 20, server)


def _parts(
    what: str, ask: Callable[[int], bool], count: int, parts: int, server: psutil.Process
) -> list[Row]:
    part = max(1, count // parts)
    starts = range(0, count, part)
    return [_timed(f"{what} from {start}", ask, part, server) for start in starts]


def _timed(what: str, ask: Callable[[int], bool], count: int, server: psutil.Process) -> Row:
    def one(number: int) -> tuple[float, bool]:
        begun = time.perf_counter()
        good = ask(number)
        return 1000 * (time.perf_counter() - begun), good

    with ThreadPoolExecutor(1 if count <= 50 else _CLIENTS) as pool:
        results = list(pool.map(one, range(count)))
    return _row(what, [ms for ms, _ in results], sum(not good for _, good in results), server)


def _row(what: str, ms: list[float], unexpected: int, server: psutil.Process) -> Row:
    p50, p95, most = np.percentile(ms or [float("nan")], [50, 95, 100])
    return {
        "what": what,
        "count": len(ms),
        "unexpected": unexpected,
        "p50_ms": round(float(p50), 2),
        "p95_ms": round(float(p95), 2),
        "max_ms": round(float(most), 2),
        "rss_mb": round(server.memory_info().rss / 1e6, 1),
    }


def _bad(port: int) -> Callable[[int], bool]:
    """Connections that send rubbish, half a request, or nothing, and hang up."""
    kinds = (
        b"",
        b"\0" * 100,
        b"POST /represent HTTP/1.1\r\nHost: x\r\n",
        b"POST /represent HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{",
        b"POST /represent HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST /represent HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer x\r\n\r\n",
    )

    def ask(number: int) -> bool:
        with suppress(ConnectionError), socket.create_connection(("127.0.0.1", port)) as caller:
            caller.sendall(kinds[number % len(kinds)])
            if number % len(kinds) in (1, 4, 5, 6):
                caller.settimeout(20)
                return caller.recv(12).startswith(b"HTTP/1.1 4")
        return True

    return ask


def _overload(port: int, server: psutil.Process) -> Row:
    """Asked while others, in a process of their own, keep the server full."""
    small = _multipart(_noise(0))
    others = multiprocessing.get_context("spawn").Process(target=_keep_full, args=(port,))
    others.start()
    while not _ask(port, small, 429):
        time.sleep(0.1)
    ms, had_room = [], 0
    for _ in range(300):
        begun = time.perf_counter()
        if _ask(port, small, 429):
            ms.append(1000 * (time.perf_counter() - begun))
        else:
            had_room += 1
        time.sleep(0.01)
    others.kill()
    others.join()
    return _row("overload refused", ms, 0, server) | {"had_room": had_room}


def _keep_full(port: int) -> None:
    grey = cv2.imencode(".png", np.full((1200, 1200, 3), 128, np.uint8))[1].tobytes()
    body = _multipart(grey, "opencv")

    def ask() -> None:
        while True:
            if not _ask(port, body, 200):
                time.sleep(0.05)

    for _ in range(6):
        threading.Thread(target=ask).start()


def _noise(number: int) -> bytes:
    noise = np.random.default_rng(number).integers(0, 255, (40 + number, 50, 3), np.uint8)
    return cv2.imencode(".png", noise)[1].tobytes()


def _multipart(picture: bytes, detector: str = "skip") -> tuple[bytes, str]:
    """A request for faces, and its type."""
    fields = {"detector_backend": detector, "enforce_detection": "false", "faces": "none"}
    parts = [
        f'--x\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in fields.items()
    ]
    file = b'--x\r\nContent-Disposition: form-data; name="img"; filename="a"\r\n\r\n'
    return b"".join(parts) + file + picture + b"\r\n--x--\r\n", "multipart/form-data; boundary=x"


def _ask(port: int, body: tuple[bytes, str], status: int) -> bool:
    """Whether this is answered with that status."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("POST", "/extract_faces", body[0], {"Content-Type": body[1]})
        answer = connection.getresponse()
        json.loads(answer.read())
        return answer.status == status
    except OSError:
        return False
    finally:
        connection.close()
