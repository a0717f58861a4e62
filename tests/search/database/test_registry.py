"""Databases by name."""

from __future__ import annotations

import sys

import pytest

from deepface.errors import MissingPackageError, UnimplementedError
from deepface.search.database.registry import DATABASES, open_database


def test_unknown_type() -> None:
    with (
        pytest.raises(UnimplementedError, match=r"Unsupported database type: foo\. .*, mysql, "),
        open_database("foo"),
    ):
        pass


@pytest.mark.parametrize("database_type", [n for n in DATABASES if n not in ("postgres", "sqlite")])
def test_place_not_given(database_type: str, monkeypatch: pytest.MonkeyPatch) -> None:
    variable = DATABASES[database_type].variable
    monkeypatch.delenv(variable, raising=False)
    with pytest.raises(UnimplementedError, match=variable), open_database(database_type):
        pass


@pytest.mark.parametrize(
    ("database_type", "package"),
    [
        ("postgres", "psycopg"),
        ("pgvector", "psycopg"),
        ("qdrant", "qdrant_client"),
        ("milvus", "pymilvus"),
        ("mysql", "pymysql"),
        ("mongo", "pymongo"),
        ("redis", "redis"),
        ("oracle", "oracledb"),
        ("mssql", "pyodbc"),
        ("db2", "ibm_db_dbi"),
        ("cassandra", "cassandra"),
        ("neo4j", "neo4j"),
        ("weaviate", "weaviate"),
        ("pinecone", "pinecone"),
    ],
)
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
