"""Qdrant and Milvus: servers that are not there, and what their files can be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from deepface.errors import DatabaseError
from deepface.search.database.registry import open_database
from tests.search.database.conftest import CRITERIA, records, stored_names


@pytest.mark.parametrize(
    ("database_type", "package"), [("qdrant", "qdrant_client"), ("milvus", "pymilvus")]
)
def test_server_that_is_not_there(database_type: str, package: str) -> None:
    pytest.importorskip(package)
    with (
        pytest.raises(DatabaseError, match="cannot be reached"),
        open_database(database_type, "http://127.0.0.1:1") as database,
    ):
        stored_names(database)


def test_qdrant_folder_in_use(tmp_path: Path) -> None:
    pytest.importorskip("qdrant_client")
    details = {"path": str(tmp_path), "allow_pickle": True}
    with (
        open_database("qdrant", details),
        pytest.raises(DatabaseError, match="in use by another program"),
        open_database("qdrant", details),
    ):
        pass


def test_qdrant_client_of_the_caller() -> None:
    client = pytest.importorskip("qdrant_client").QdrantClient(":memory:")
    for number in range(2):
        with open_database("qdrant", connection=client) as database:
            database.insert(CRITERIA, records(2, seed=number))
    assert client.get_collection(CRITERIA.collection).points_count == 4
    client.close()


def test_qdrant_records_of_the_published_library_are_known() -> None:
    """They have no hash of the face, but the same id."""
    from deepface.errors import DuplicateEntryError

    models = pytest.importorskip("qdrant_client").models
    client = pytest.importorskip("qdrant_client").QdrantClient(":memory:")
    (record,) = records(1)
    with open_database("qdrant", connection=client) as database:
        database.insert(CRITERIA, [record])
        (page,) = database.pages(CRITERIA)
        client.delete_payload(
            CRITERIA.collection, ["face_hash"], models.PointIdsList(points=[str(page.ids[0])])
        )
        with pytest.raises(DuplicateEntryError):
            database.insert(CRITERIA, [record])
    client.close()


def test_milvus_client_of_the_caller(tmp_path: Path) -> None:
    pytest.importorskip("milvus_lite")
    client = pytest.importorskip("pymilvus").MilvusClient(str(tmp_path / "milvus.db"))
    with open_database("milvus", connection=client) as database:
        database.insert(CRITERIA, records(3))
        assert len(database.neighbours(CRITERIA, np.ones((1, 16)), 2)[0]) == 2
    assert client.has_collection(CRITERIA.collection)
    client.close()


def test_milvus_file_that_is_something_else(tmp_path: Path) -> None:
    pytest.importorskip("milvus_lite")
    path = tmp_path / "milvus.db"
    path.write_text("no database")
    with pytest.raises(DatabaseError, match="Milvus"), open_database("milvus", path) as database:
        stored_names(database)
    assert path.read_text() == "no database"
