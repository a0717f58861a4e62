"""Load on the service, ours and the published one, from 1 to many clients on the loopback.

Each client sends its next request when it has its answer, over one connection. The pictures go as
base64 in JSON, made before the clock runs. Both servers run as they are shipped: ours in one
process, the published one under gunicorn with one worker. Clients share the processor with the
server, alike for both. ``cpu_ms`` is the processor time of the server alone, per image: it tells on
a machine that is busy with other things, too.
"""

from __future__ import annotations

import argparse
import base64
import http.client
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psutil

from benchmarks.arguments import add_made_weights, add_output, add_pictures, names, numbers
from benchmarks.pictures import pictures
from benchmarks.report import Report, Row
from benchmarks.stand_in_home import recognition_stand_in

HELP = "requests per second and latency of the service, for several numbers of clients"
COLUMNS = {
    "server": "server",
    "detector": "detector",
    "model": "model",
    "clients": "clients",
    "images_per_second": "images/s",
    "p50_ms": "p50 ms",
    "p95_ms": "p95 ms",
    "p99_ms": "p99 ms",
    "cpu_ms": "CPU ms per image",
    "errors": "errors",
    "requests": "requests",
}
#: Seconds for a server to come up.
_PATIENCE = 180


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    add_pictures(parser)
    parser.add_argument("--detector", default="yunet")
    parser.add_argument("--models", type=names, default=["Dlib", "Facenet"])
    parser.add_argument("--clients", type=numbers, default=[1, 4, 16, 64])
    parser.add_argument("--seconds", type=float, default=10, help="per number (default: 10)")
    parser.add_argument("--published", metavar="PYTHON", help="Python of its environment")
    parser.add_argument("--engine", default="pytorch", help="of the published library")
    add_made_weights(parser)
    add_output(parser)


def run(args: argparse.Namespace) -> int:
    """Measure, print, save."""
    report = Report("serve", settings={"seconds": args.seconds, "engine": args.engine})
    with pictures(args.images, args.limit) as found:
        report.settings["files"] = len(found)
        for model in args.models:
            with recognition_stand_in(args.stand_ins, model) as made:
                if made:
                    report.note(f"{model}: stand-in weights")
                bodies = [_body(path, args.detector, model) for path in found]
                servers = {"ours": _ours(args.detector, model)}
                if args.published:
                    servers["published"] = _published(args.published)
                for name, command in servers.items():
                    with serving(command, args.engine) as (port, server):
                        _load(port, bodies, 1, 2)  # models are built by the first request
                        for clients in args.clients:
                            before = _cpu_seconds(server)
                            row = _load(port, bodies, clients, args.seconds)
                            used = 1000 * (_cpu_seconds(server) - before)
                            row["cpu_ms"] = round(used / max(1, row["requests"]), 1)
                            shared = {"server": name, "detector": args.detector, "model": model}
                            report.rows.append(shared | row)
                            report.save(args.out, args.tag)
    return report.finish(args, COLUMNS)


def _body(path: Path, detector: str, model: str) -> bytes:
    image = f"data:image/jpeg;base64,{base64.b64encode(path.read_bytes()).decode()}"
    asked = {"img": image, "model_name": model, "detector_backend": detector}
    return json.dumps(asked | {"enforce_detection": False}).encode()


def _ours(detector: str, model: str) -> list[str]:
    options = ["--detection-models", detector, "--recognition-models", model]
    return [sys.executable, "-m", "deepface.server", "--port", "PORT", *options]


def _published(python: str) -> list[str]:
    options = ["--workers=1", "--timeout=3600", "--bind=127.0.0.1:PORT", "--log-level=warning"]
    return [python, "-m", "gunicorn", *options, "deepface.api.src.app:create_app()"]


@contextmanager
def serving(command: Sequence[str], engine: str) -> Iterator[tuple[int, psutil.Process]]:
    """A server as a process of its own, and its port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = [word.replace("PORT", str(port)) for word in command]
    environment = {**os.environ, "DEEPFACE_LOG_LEVEL": "30", "DEEPFACE_BACKEND_ENGINE": engine}
    if words[0] != sys.executable:
        environment.pop("PYTHONPATH", None)
    with subprocess.Popen(
        words,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=_cwd(words),
    ) as process:
        try:
            _wait_for(process, port)
            yield port, psutil.Process(process.pid)
        finally:
            process.terminate()


def _cpu_seconds(server: psutil.Process) -> float:
    """What it and its workers have used."""
    processes = [server, *server.children(recursive=True)]
    return float(sum(sum(process.cpu_times()[:2]) for process in processes))


def _cwd(words: Sequence[str]) -> str | None:
    """Away from this checkout, where it would be imported in place of the published library."""
    return None if words[0] == sys.executable else "/"


def _wait_for(process: subprocess.Popen[bytes], port: int) -> None:
    end = time.monotonic() + _PATIENCE
    while time.monotonic() < end and process.poll() is None:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
            connection.request("GET", "/readyz")
            if connection.getresponse().status in (200, 404):  # the published one knows no such
                return
        except OSError:
            pass
        time.sleep(0.1)
    raise SystemExit(f"the server does not answer: {' '.join(process.args)}")  # type: ignore[arg-type]


def _load(port: int, bodies: Sequence[bytes], clients: int, seconds: float) -> Row:
    """So many clients for so long; what they measured."""
    latencies: list[float] = []
    errors: list[str] = []
    end = time.perf_counter() + seconds

    def client(number: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_PATIENCE)
        turn = number
        while (start := time.perf_counter()) < end:
            try:
                headers = {"Content-Type": "application/json"}
                connection.request("POST", "/represent", bodies[turn % len(bodies)], headers)
                answer = connection.getresponse()
                content = answer.read()
                if answer.status != 200:
                    errors.append(f"{answer.status} {content[:100]!r}")
                else:
                    latencies.append(time.perf_counter() - start)
            except (OSError, http.client.HTTPException) as error:
                errors.append(type(error).__name__)
                connection.close()
            turn += clients
        connection.close()

    begun = time.perf_counter()
    threads = [threading.Thread(target=client, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = time.perf_counter() - begun
    if errors:
        print(f"errors: {sorted(set(errors))[:3]}", file=sys.stderr)
    p50, p95, p99 = 1000 * np.percentile(latencies or [float("nan")], [50, 95, 99])
    return {
        "clients": clients,
        "images_per_second": round(len(latencies) / took, 2),
        "p50_ms": round(float(p50), 1),
        "p95_ms": round(float(p95), 1),
        "p99_ms": round(float(p99), 1),
        "errors": len(errors),
        "requests": len(latencies),
    }
