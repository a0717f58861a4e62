"""The embedded database: its file, and what can be wrong with it."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from deepface.errors import (
    DatabaseError,
    DimensionMismatchError,
    DuplicateEntryError,
    EmptyDatasource,
)
from deepface.search.database.base import Record
from deepface.search.database.registry import open_database
from tests.search.database.conftest import CRITERIA, records, stored_names

QUERY = np.ones((1, 16))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A database of ten faces."""
    path = tmp_path / "faces.db"
    with open_database("sqlite", path) as database:
        database.insert(CRITERIA, records(10))
    return path


@pytest.mark.parametrize("database_type", ["postgres", "sqlite"])
def test_default_place(
    database_type: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Nothing set up: a file below DEEPFACE_HOME, whose place is logged once."""
    for name in ("DEEPFACE_POSTGRES_URI", "DEEPFACE_SQLITE_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DEEPFACE_HOME", str(tmp_path))
    for number in range(2):
        with open_database(database_type) as database:
            database.insert(CRITERIA, records(1, seed=number))
    path = tmp_path / ".deepface" / "faces.db"
    assert path.exists()
    assert caplog.text.count(str(path)) == 1
    monkeypatch.setenv("DEEPFACE_SQLITE_PATH", str(tmp_path / "other.db"))
    with open_database(database_type) as database:
        assert stored_names(database) == []


@pytest.mark.parametrize("key", ["database", "path"])
def test_details_as_a_dict(file: Path, key: str) -> None:
    with open_database("sqlite", {key: str(file), "timeout": 1}) as database:
        assert len(stored_names(database)) == 10


@pytest.mark.parametrize(
    "content", [b"this is no database, but some text" * 40, b"SQLite format 3\0" + bytes(5000)]
)
def test_another_file_is_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "foreign.db"
    path.write_bytes(content)
    with pytest.raises(DatabaseError, match=r"foreign\.db"), open_database("sqlite", path) as found:
        found.insert(CRITERIA, records(1))
    assert path.read_bytes() == content


def test_damage_in_the_middle(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[4096:16384] = b"\xff" * 12288
    file.write_bytes(content)
    with pytest.raises(DatabaseError, match="damaged"), open_database("sqlite", file) as database:
        stored_names(database)
    assert file.read_bytes() == content


def test_read_only(file: Path) -> None:
    details = {"database": f"file:{file}?mode=ro", "uri": True}
    with open_database("sqlite", details) as database:
        assert len(stored_names(database)) == 10
    with (
        pytest.raises(DatabaseError, match="cannot be written"),
        open_database("sqlite", details) as database,
    ):
        database.insert(CRITERIA, records(1, seed=1))


def test_folder_missing(tmp_path: Path) -> None:
    path = tmp_path / "nowhere" / "faces.db"
    with (
        pytest.raises(DatabaseError, match="check that its folder exists"),
        open_database("sqlite", path) as database,
    ):
        stored_names(database)


def test_a_writer_that_does_not_end(file: Path) -> None:
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with (
        pytest.raises(DatabaseError, match="another program"),
        open_database("sqlite", {"database": str(file), "timeout": 0.05}) as database,
    ):
        database.insert(CRITERIA, records(1, seed=1))
    other.close()


def test_two_processes(tmp_path: Path) -> None:
    script = """
import sys
from deepface.errors import DuplicateEntryError
from deepface.search.database.base import Record
from deepface.search.database.registry import open_database
from tests.search.database.conftest import CRITERIA, records
told = 0
for some in records(40):
    with open_database("sqlite", sys.argv[1]) as database:
        try:
            database.insert(CRITERIA, [some])
        except DuplicateEntryError:
            told += 1
print(told)
"""
    path = tmp_path / "faces.db"
    command = [sys.executable, "-c", script, str(path)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    running = [
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    told = [int(process.communicate()[0].splitlines()[-1]) for process in running]
    assert [process.returncode for process in running] == [0, 0]
    assert sum(told) == 40
    with open_database("sqlite", path) as database:
        assert len(stored_names(database)) == 40


def test_a_connection_of_the_caller_stays_open(file: Path) -> None:
    connection = sqlite3.connect(file)
    with open_database("sqlite", connection=connection) as database:
        database.insert(CRITERIA, records(1, seed=1))
    assert not connection.in_transaction
    connection.execute("INSERT INTO embeddings_index (model_name) VALUES ('open transaction')")
    with open_database("sqlite", connection=connection) as database:
        database.insert(CRITERIA, records(1, seed=2))
        with pytest.raises(DuplicateEntryError):
            database.insert(CRITERIA, records(1, seed=2))
    assert connection.in_transaction
    connection.rollback()
    with open_database("sqlite", connection=connection) as database:
        assert len(stored_names(database)) == 11
    connection.close()


def test_deleted_records_and_damaged_indexes(tmp_path: Path) -> None:
    file, query = tmp_path / "faces.db", np.ones((1, 2100))  # an index in two parts
    with open_database("sqlite", file) as database:
        database.insert(CRITERIA, records(10, 2100))
        database.build_index(CRITERIA, 8, 3)
        nearest = database.neighbours(CRITERIA, query, 1)[0][0]
    connection = sqlite3.connect(file)
    assert connection.execute("SELECT count(*) FROM embeddings_index_parts").fetchone()[0] == 2
    connection.execute("DELETE FROM embeddings WHERE id = ?", [nearest])
    connection.commit()
    with open_database("sqlite", file) as database:
        assert database.neighbours(CRITERIA, query, 1) == [[nearest]]  # until it is built anew
        database.build_index(CRITERIA, 8, 3)
        database.insert(CRITERIA, records(1, 2100, 1))
        database.build_index(CRITERIA, 8, 3)
        assert nearest not in database.neighbours(CRITERIA, query, 10)[0]
        assert len(database.neighbours(CRITERIA, query, 20)[0]) == 10
    versions = connection.execute("SELECT count(DISTINCT version) FROM embeddings_index_parts")
    assert versions.fetchone()[0] == 1  # nothing is left of the earlier ones
    connection.execute("UPDATE embeddings_index_parts SET data = x'00' WHERE part = 0")
    connection.execute("UPDATE embeddings_index_parts SET version = 'v'")
    connection.execute("UPDATE embeddings_index SET index_data = ?", [b"parts2:v"])
    connection.commit()
    with open_database("sqlite", file) as database:
        with pytest.raises(DatabaseError, match="run build_index again"):
            database.neighbours(CRITERIA, query, 1)
        database.build_index(CRITERIA, 8, 3)
        assert len(database.neighbours(CRITERIA, query, 20)[0]) == 10
    connection.close()


def test_an_index_of_another_network(file: Path) -> None:
    with open_database("sqlite", file) as database:
        with pytest.raises(EmptyDatasource, match=r"No Embeddings index found .* build_index"):
            database.neighbours(CRITERIA, QUERY, 1)
        database.build_index(CRITERIA, 8, 100)
        with pytest.raises(DimensionMismatchError, match="16 dimensions, not of 8"):
            database.neighbours(CRITERIA, np.ones((1, 8)), 1)


def test_vectors_of_mixed_length_are_named(file: Path) -> None:
    connection = sqlite3.connect(file)
    connection.execute("UPDATE embeddings SET embedding = x'0000000000000000' WHERE id = 3")
    connection.commit()
    connection.close()
    with (
        open_database("sqlite", file) as database,
        pytest.raises(DimensionMismatchError, match="record 3 has 1"),
    ):
        stored_names(database)


def test_a_published_file_is_continued(tmp_path: Path) -> None:
    """Its tables have the columns in another order, and the index in one value."""
    import faiss

    path = tmp_path / "published.db"
    connection = sqlite3.connect(path)
    connection.executescript(
        """CREATE TABLE embeddings (id INTEGER PRIMARY KEY AUTOINCREMENT, img_name TEXT NOT NULL,
        face BLOB NOT NULL, face_shape TEXT NOT NULL, model_name TEXT NOT NULL,
        detector_backend TEXT NOT NULL, aligned INTEGER DEFAULT 1, l2_normalized INTEGER DEFAULT 0,
        embedding BLOB NOT NULL, created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
        face_hash TEXT NOT NULL, embedding_hash TEXT NOT NULL, UNIQUE (face_hash, embedding_hash));
        CREATE TABLE embeddings_index (id INTEGER PRIMARY KEY AUTOINCREMENT, model_name TEXT,
        detector_backend TEXT, align INTEGER, l2_normalized INTEGER, index_data BLOB,
        created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
        updated_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
        UNIQUE (model_name, detector_backend, align, l2_normalized));"""
    )
    (record,) = records(1)
    connection.execute(
        "INSERT INTO embeddings (img_name, face, face_shape, model_name, detector_backend, "
        "embedding, face_hash, embedding_hash) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        [
            *(record.img_name, record.face.tobytes(), json.dumps([2, 2, 3])),
            *(CRITERIA.model_name, CRITERIA.detector_backend),
            *(record.embedding.tobytes(), record.face_hash, record.embedding_hash),
        ],
    )
    published = faiss.IndexIDMap(faiss.IndexHNSWFlat(16, 32))
    published.add_with_ids(record.embedding[None].astype(np.float32), np.array([1]))
    connection.execute(
        "INSERT INTO embeddings_index (model_name, detector_backend, align, l2_normalized, "
        "index_data) VALUES (?, ?, 1, 0, ?)",
        [*(CRITERIA.model_name, CRITERIA.detector_backend), faiss.serialize_index(published)],
    )
    connection.commit()
    connection.close()
    with open_database("sqlite", path) as database:
        with pytest.raises(DuplicateEntryError):
            database.insert(CRITERIA, [record])
        database.insert(CRITERIA, records(3, seed=1))
        assert len(stored_names(database)) == 4
        assert database.neighbours(CRITERIA, record.embedding[None], 4)[0][0] == 1
        assert len(database.neighbours(CRITERIA, QUERY, 4)[0]) == 4
        database.build_index(CRITERIA, 32, 1000)
        assert database.neighbours(CRITERIA, record.embedding[None], 1) == [[1]]


def test_hashes_are_the_published_ones() -> None:
    face = np.arange(12, dtype=np.float32).reshape(2, 2, 3) / np.float32(3)
    record = Record("", face, np.array([0.5, -1.25, 3.0]))
    assert record.face_hash.startswith("b484f8a1ada52fef72ff44afb5d8a159fb0d4fca")
    assert record.embedding_hash.startswith("525533e615f31e195f64d05161baee6ba23e8c28")


def test_pages_are_found_by_an_index(file: Path) -> None:
    """Records of other networks in the same table cost nothing."""
    connection = sqlite3.connect(file)
    plan = connection.execute(
        "EXPLAIN QUERY PLAN SELECT id, img_name, embedding FROM embeddings WHERE id > 5 AND "
        "model_name = 'x' AND detector_backend = 'y' AND aligned = 1 AND l2_normalized = 0 "
        "ORDER BY id LIMIT 10"
    ).fetchall()
    connection.close()
    assert len(plan) == 1 and "embeddings_criteria" in plan[0][-1]
