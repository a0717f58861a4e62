"""Columns, keys and fields as version 0.0.103 writes and expects them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deepface.errors import DuplicateEntryError
from deepface.search.database.registry import open_database
from tests.search.database.conftest import CRITERIA, details_of, opener_of, records, stored_names

COLUMNS = (
    "id", "img_name", "face", "face_shape", "model_name", "detector_backend", "aligned",
    "l2_normalized", "embedding", "created_at", "face_hash", "embedding_hash",
)  # fmt: skip


def is_continued(database: Any, published: Any) -> None:
    """A record of the published library is read, known as a duplicate, and others come after it."""
    assert stored_names(database) == [published.img_name]
    with pytest.raises(DuplicateEntryError):
        database.insert(CRITERIA, [replace(published, img_name="again.jpg")])
    (id_,) = database.ids_of_faces(CRITERIA, [published])
    stored = database.get(CRITERIA, id_)
    assert stored.criteria == CRITERIA
    np.testing.assert_array_equal(stored.embedding, published.embedding)
    database.insert(CRITERIA, records(2, seed=1))
    assert [id_ for id_, _ in database.entries(CRITERIA)] == [id_, id_ + 1, id_ + 2]
    assert database.delete(CRITERIA, [id_]) == 1
    database.insert(CRITERIA, [published])


def test_mysql(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    details = details_of("mysql", request, tmp_path)
    (published,) = records(1, seed=9)
    with open_database("mysql", details) as database:
        database.insert(CRITERIA, records(1))
        run = database.run  # type: ignore[attr-defined]
        columns = "SELECT column_name FROM information_schema.columns WHERE table_name = "
        found = {name for (name,) in run(f"{columns}'embeddings' AND table_schema = DATABASE()")}
        assert found == set(COLUMNS)
        ((face, shape, vector),) = run("SELECT face, face_shape, embedding FROM embeddings")
        assert np.frombuffer(face, "<f4").shape == (12,) and json.loads(shape) == [2, 2, 3]
        np.testing.assert_array_equal(np.frombuffer(vector, "<f8"), records(1)[0].embedding)
        run("DELETE FROM embeddings")
        run(
            "INSERT INTO embeddings (img_name, face, face_shape, model_name, detector_backend, "
            "aligned, l2_normalized, embedding, face_hash, embedding_hash) "
            "VALUES (?, ?, '[2, 2, 3]', 'Facenet', 'opencv', 1, 0, ?, ?, ?)",
            [
                *(published.img_name, published.face.tobytes(), published.embedding.tobytes()),
                *(published.face_hash, published.embedding_hash),
            ],
        )
        is_continued(database, published)


def test_redis(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    import redis

    details = details_of("redis", request, tmp_path)
    (published,) = records(1, seed=9)
    client: Any = redis.Redis.from_url(details)
    with open_database("redis", details) as database:
        database.insert(CRITERIA, records(1))
        fields = {key.decode() for key in client.hgetall("deepface:embedding:1")}
        assert fields == set(COLUMNS) - {"id"}
        assert client.zrange("deepface:criteria:Facenet:opencv:1:0", 0, -1) == [b"1"]
        assert client.get("deepface:embedding_id") == b"1"
        (record,) = records(1)
        pair = f"deepface:dedup:{record.face_hash}:{record.embedding_hash}"
        assert client.get(pair) == b"1"
        database.delete(CRITERIA, [1])
        assert client.keys("deepface:*") == [b"deepface:embedding_id"]

        client.set("deepface:embedding_id", 5)
        values = {
            "img_name": published.img_name,
            "face": published.face.tobytes(),
            "face_shape": "[2, 2, 3]",
            "model_name": "Facenet",
            "detector_backend": "opencv",
            "aligned": 1,
            "l2_normalized": 0,
            "embedding": published.embedding.tobytes(),
            "face_hash": published.face_hash,
            "embedding_hash": published.embedding_hash,
        }
        client.hset("deepface:embedding:5", mapping=values)
        client.zadd("deepface:criteria:Facenet:opencv:1:0", {"5": 5})
        pair = f"deepface:dedup:{published.face_hash}:{published.embedding_hash}"
        client.set(pair, 5)
        is_continued(database, published)
        # A process that was cut off leaves a pair without a record: it is nobody's.
        (lost,) = records(1, seed=77)
        client.set(f"deepface:dedup:{lost.face_hash}:{lost.embedding_hash}", 999)
        database.insert(CRITERIA, [lost])
    client.close()


def test_mongo(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    (published,) = records(1, seed=9)
    with opener_of("mongo", request, tmp_path)() as database:
        database.insert(CRITERIA, records(1))
        faces, counters = database._faces, database._counters  # type: ignore[attr-defined]
        assert set(faces.find_one()) == {*COLUMNS, "_id", "sequence"} - {"id"}
        assert counters.find_one() == {"_id": "embedding_id", "seq": 1}
        assert "uniq_face_embedding" in faces.index_information()
        faces.delete_many({})
        values = {
            "sequence": 1,
            "img_name": published.img_name,
            "face": published.face.tobytes(),
            "face_shape": [2, 2, 3],
            **CRITERIA.columns,
            "embedding": published.embedding.tolist(),
            "face_hash": published.face_hash,
            "embedding_hash": published.embedding_hash,
        }
        faces.insert_one(values)
        is_continued(database, published)


def test_pgvector_of_the_default_model(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """4,096 numbers, for which pgvector has no index: the published library cannot store them."""
    details = details_of("pgvector", request, tmp_path)
    vgg = replace(CRITERIA, model_name="VGG-Face")
    many = records(30, dimensions=4096)
    with open_database("pgvector", details) as database:
        database.insert(vgg, many)
        database.build_index(vgg, 32, 100)
        queries = np.array([record.embedding for record in many[:3]])
        named = database.neighbours(vgg, queries, 1)
        assert [database.fetch(vgg, ids).names for ids in named] == [
            [record.img_name] for record in many[:3]
        ]
        (page,) = database.pages(vgg)
        np.testing.assert_allclose(page.embeddings[0], many[0].embedding, rtol=1e-6)
