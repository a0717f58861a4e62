"""Every database that an engine can be had for: in a file, in a folder, or on loopback."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deepface.search.database.base import Criteria, Database, Record
from deepface.search.database.registry import open_database
from tests.postgres_server import postgres_server

#: Gives a ``with`` block with a connection to the test's own database, again and again.
Opener = Callable[[], AbstractContextManager[Database]]

CRITERIA = Criteria("Facenet", "opencv", aligned=True, l2_normalized=False)
UNIT = Criteria("Facenet", "opencv", aligned=True, l2_normalized=True)


@pytest.fixture(scope="session")
def postgres_uri() -> Iterator[str]:
    with postgres_server() as uri:
        yield uri


@pytest.fixture(scope="session")
def pgvector_uri() -> Iterator[str]:
    with postgres_server("vector") as uri:
        yield uri


def fresh_schema(uri: str, name: str) -> str:
    """The URI of an empty schema of its own on a server."""
    import psycopg

    with psycopg.connect(uri, autocommit=True) as connection:
        connection.execute(f'DROP SCHEMA IF EXISTS "{name}" CASCADE'.encode())
        connection.execute(f'CREATE SCHEMA "{name}"'.encode())
        if "vector" in name:
            connection.execute("CREATE EXTENSION IF NOT EXISTS vector SCHEMA public")
    return f"{uri}?options=-csearch_path%3D{name},public"


def details_of(kind: str, request: pytest.FixtureRequest, folder: Path) -> Any:
    """``connection_details`` of an empty database of this type."""
    if kind == "sqlite":
        return str(folder / "faces.db")
    if kind == "qdrant":
        pytest.importorskip("qdrant_client", reason="pip install qdrant-client")
        return str(folder / "qdrant")
    if kind == "milvus":
        pytest.importorskip("milvus_lite", reason="pip install 'pymilvus[milvus_lite]'")
        return str(folder / "milvus.db")
    pytest.importorskip("psycopg", reason="pip install 'psycopg[binary]'")
    uri = request.getfixturevalue("postgres_uri" if kind == "postgres" else "pgvector_uri")
    return fresh_schema(uri, f"test_{kind}")


@pytest.fixture(params=["sqlite", "postgres", "pgvector", "qdrant", "milvus"])
def opener(request: pytest.FixtureRequest, tmp_path: Path) -> Opener:
    details = details_of(request.param, request, tmp_path)
    return lambda: open_database(request.param, details)


@pytest.fixture(params=["sqlite", "postgres"])
def sql_opener(request: pytest.FixtureRequest, tmp_path: Path) -> Opener:
    details = details_of(request.param, request, tmp_path)
    return lambda: open_database(request.param, details)


def records(count: int, dimensions: int = 16, seed: int = 0, unit: bool = False) -> list[Record]:
    """Random faces of 2x2 pixels."""
    rng = np.random.default_rng(seed)
    vectors = rng.standard_normal((count, dimensions))
    if unit:
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    faces = rng.random((count, 2, 2, 3), dtype=np.float32)
    return [Record(f"{seed}-{i}.jpg", faces[i], vectors[i]) for i in range(count)]


def stored_names(database: Database, criteria: Criteria = CRITERIA) -> list[str]:
    return sorted(name for page in database.pages(criteria) for name in page.names)
