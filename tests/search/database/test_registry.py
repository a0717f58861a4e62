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
    ],
)
def test_driver_missing(database_type: str, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    for name in [name for name in sys.modules if name.startswith("deepface.search.database.")]:
        if name.rsplit(".", 1)[1] in DATABASES:
            monkeypatch.delitem(sys.modules, name)
    with (
        pytest.raises(MissingPackageError, match=f"pip install '{package.replace('_', '-')}"),
        open_database(database_type, "anywhere"),
    ):
        pass
