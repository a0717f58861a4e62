"""Databases for the length of the tests: started on loopback, thrown away at the end."""

from __future__ import annotations

import getpass
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests

_SECONDS = 60


@contextmanager
def mysql_server() -> Iterator[str]:
    """The URI of a fresh MariaDB, without a database's name; skips where there is none."""
    server, install = _program("mariadbd"), _program("mariadb-install-db")
    if not server or not install:
        pytest.skip("needs MariaDB: apt-get install mariadb-server")
    with _folder("mysql") as folder:
        data, port, password = folder / "data", free_port(), secrets.token_hex(8)
        shared = ["--no-defaults", f"--user={getpass.getuser()}", f"--datadir={data}"]
        options = ["--auth-root-authentication-method=normal", "--skip-test-db"]
        subprocess.run([install, *shared, *options], check=True, capture_output=True)
        init = folder / "init.sql"
        init.write_text(  # a statement per line
            f"CREATE USER tester@'%' IDENTIFIED BY '{password}';\n"
            "GRANT ALL ON *.* TO tester@'%' WITH GRANT OPTION;\n"
        )
        command = [
            server,
            *shared,
            f"--port={port}",
            "--bind-address=127.0.0.1",
            "--skip-name-resolve",
            f"--socket={folder / 's'}",
            f"--init-file={init}",
        ]
        with running(command, port):
            yield f"mysql://tester:{password}@127.0.0.1:{port}"


@contextmanager
def redis_server() -> Iterator[str]:
    """The URI of a fresh Redis, without a database's number; skips where there is none."""
    server = _program("redis-server")
    if not server:
        pytest.skip("needs Redis: apt-get install redis-server")
    with _folder("redis") as folder:
        port, password = free_port(), secrets.token_hex(8)
        options = ["--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        command = [server, "--port", str(port), "--dir", str(folder), "--requirepass", password]
        with running([*command, *options], port):
            yield f"redis://:{password}@127.0.0.1:{port}"


def _program(name: str) -> str | None:
    return shutil.which(name, path=os.pathsep.join([os.environ["PATH"], "/usr/sbin", "/sbin"]))


@contextmanager
def _folder(name: str) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix=f"{name}-"))  # a socket's path is short
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def free_port() -> int:
    """A port on loopback that nobody has at the moment."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


@contextmanager
def running(command: list[str], port: int) -> Iterator[None]:
    """A server in a process of its own, which listens on this port."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + _SECONDS
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                if process.poll() is not None or time.monotonic() > deadline:
                    pytest.fail(f"{command[0]} does not start")
                time.sleep(0.1)
        yield
    finally:
        process.terminate()
        process.wait()


@dataclass(frozen=True)
class ArcadeDB:
    """A server of Neo4j's protocol (Bolt) and language (Cypher)."""

    address: str
    #: Takes statements of its own language.
    commands: str
    password: str
    _labels: set[str] = field(default_factory=set)

    def command(self, statement: str) -> list[dict[str, Any]]:
        """Run a statement of SQL, of which some make indexes."""
        answer = requests.post(
            self.commands,
            json={"language": "sql", "command": statement},
            auth=("root", self.password),
            timeout=_SECONDS,
        )
        answer.raise_for_status()
        found: list[dict[str, Any]] = answer.json()["result"]
        return found

    def make_index(self, label: str, dimensions: int, cosine: bool) -> None:
        """Let the vectors of a label be searched."""
        if label in self._labels:
            return
        self._labels.add(label)
        metric = "COSINE" if cosine else "EUCLIDEAN"
        options = json.dumps({"dimensions": dimensions, "similarity": metric})
        self.command(f"CREATE VERTEX TYPE {label} IF NOT EXISTS")
        self.command(f"CREATE PROPERTY {label}.embedding IF NOT EXISTS ARRAY_OF_FLOATS")
        self.command(f"CREATE INDEX ON {label} (embedding) LSM_VECTOR METADATA {options}")

    def clear(self) -> None:
        """Delete all there is."""
        self._labels.clear()
        for kind in self.command("SELECT name FROM schema:types"):
            self.command(f"DROP TYPE {kind['name']} IF EXISTS UNSAFE")


_ARCADEDB = """
import os, sys
import arcadedb_embedded
folder, password, bolt, http = sys.argv[1:]
options = {
    "server.plugins": "BoltProtocolPlugin", "bolt.host": "127.0.0.1", "bolt.port": int(bolt),
    "http_port": int(http),
}
server = arcadedb_embedded.create_server(root_path=folder, root_password=password, config=options)
server.start()
server.create_database("neo4j")
print("ready", flush=True)
sys.stdin.read()
os._exit(0)  # to stop it ends in a crash
"""


@contextmanager
def arcadedb_server() -> Iterator[ArcadeDB]:
    """A fresh ArcadeDB in a process of its own; skips where there is none."""
    pytest.importorskip("arcadedb_embedded", reason="pip install arcadedb-embedded")
    with _folder("arcadedb") as folder:
        password, bolt, http = secrets.token_hex(8), free_port(), free_port()
        command = [sys.executable, "-c", _ARCADEDB, str(folder), password, str(bolt), str(http)]
        with subprocess.Popen(
            command,
            cwd=folder,  # where it writes its log
            # To compile what runs for some seconds only takes longer than to run it.
            env={**os.environ, "ARCADEDB_JVM_ARGS": "-XX:TieredStopAtLevel=1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        ) as process:
            assert process.stdin is not None and process.stdout is not None
            if not any(line == b"ready\n" for line in process.stdout):
                pytest.fail("ArcadeDB does not start")
            yield ArcadeDB(
                f"bolt://root:{password}@127.0.0.1:{bolt}",
                f"http://127.0.0.1:{http}/api/v1/command/neo4j",
                password,
            )
            process.stdin.close()
