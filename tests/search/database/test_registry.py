"""Databases by name."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from deepface.errors import DatabaseError, MissingPackageError, UnimplementedError
from deepface.search.database.registry import DATABASES, open_database

#: The module of each driver.
PACKAGES = {
    "postgres": "psycopg",
    "pgvector": "psycopg",
    "qdrant": "qdrant_client",
    "milvus": "pymilvus",
    "mysql": "pymysql",
    "mongo": "pymongo",
    "redis": "redis",
    "oracle": "oracledb",
    "mssql": "pyodbc",
    "db2": "ibm_db_dbi",
    "cassandra": "cassandra",
    "neo4j": "neo4j",
    "weaviate": "weaviate",
    "pinecone": "pinecone",
}
#: What is no address of any database, nor a dict of what a driver takes.
NO_DETAILS: list[Any] = [5, 1.5, True, [], ["x"], {5: 6}, object(), b"x", {}, ""]


@pytest.mark.parametrize("odd", ["foo", "", None, 5, ["sqlite"], {"sqlite": 1}])
def test_unknown_type(odd: Any) -> None:
    said = rf"Unsupported database type: {re.escape(str(odd))}\. .*, mysql, "
    with pytest.raises(UnimplementedError, match=said), open_database(odd):
        pass


@pytest.mark.parametrize("database_type", [n for n in DATABASES if n not in ("postgres", "sqlite")])
def test_place_not_given(database_type: str, monkeypatch: pytest.MonkeyPatch) -> None:
    variable = DATABASES[database_type].variable
    monkeypatch.delenv(variable, raising=False)
    with pytest.raises(UnimplementedError, match=variable), open_database(database_type):
        pass


@pytest.mark.parametrize(("database_type", "package"), list(PACKAGES.items()))
def test_driver_missing(database_type: str, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    driver = DATABASES[database_type].driver.split()[0].split("[")[0]
    monkeypatch.setitem(sys.modules, package, None)
    for name in list(sys.modules):
        is_adapter = (
            name.startswith("deepface.search.database.") and name.split(".")[-1] in DATABASES
        )
        if is_adapter or name.startswith(f"{package}."):
            monkeypatch.delitem(sys.modules, name)
    with (
        pytest.raises(MissingPackageError, match=f"pip install '{driver}"),
        open_database(database_type, "anywhere"),
    ):
        pass


@pytest.mark.parametrize("database_type", list(DATABASES))
def test_details_that_are_none(database_type: str) -> None:
    for details in NO_DETAILS:
        with (
            pytest.raises(DatabaseError, match=r"must be either a string or a dict|is empty"),
            open_database(database_type, details),
        ):
            pass


def test_details_as_json_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Variables and settings of the service have no dicts."""
    file = tmp_path / "faces.db"
    text = json.dumps({"database": str(file)})
    with open_database("sqlite", f"  {text} "):
        assert file.exists()
    file.unlink()
    monkeypatch.setenv("DEEPFACE_SQLITE_PATH", text)
    with open_database("sqlite"):
        assert file.exists()
    for broken in (text[:-1], "{", '{"a":' * 100_000, '{"password": "pass123"'):
        with pytest.raises(DatabaseError, match="is no JSON") as told, open_database("db2", broken):
            pass
        assert "pass123" not in str(told.value)


@pytest.mark.parametrize("database_type", list(DATABASES))
def test_details_that_no_driver_takes(database_type: str, tmp_path: Path) -> None:
    """An error of ours, which keeps to itself what may be a password."""
    pytest.importorskip(PACKAGES.get(database_type, "sqlite3"))
    here = {"host": "127.0.0.1", "url": "http://127.0.0.1:1", "uri": "bolt://127.0.0.1:1"}
    odd: list[Any] = [{"port": "x"}, {"no such key": 1, "password": "pass123"}]
    for details in [*odd, *({**here, **keys} for keys in odd)]:
        with (
            pytest.raises(DatabaseError) as caught,
            open_database(database_type, details),
        ):
            pass
        assert "pass123" not in str(caught.value)


@pytest.mark.parametrize("database_type", list(DATABASES))
def test_connections_that_are_none(database_type: str, tmp_path: Path) -> None:
    pytest.importorskip(PACKAGES.get(database_type, "sqlite3"))
    for connection in (5, "sqlite:///faces.db", object(), {}, [], tmp_path):
        with (
            pytest.raises(DatabaseError, match="connection must be an open connection of"),
            open_database(database_type, connection=connection),
        ):
            pass
