"""MariaDB and Redis for the length of the tests: started on loopback, thrown away at the end."""

from __future__ import annotations

import getpass
import os
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

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
