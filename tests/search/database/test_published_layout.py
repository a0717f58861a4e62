"""Columns, keys and fields as version 0.0.103 writes and expects them."""

from __future__ import annotations

import base64
import json
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

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
    np.testing.assert_allclose(stored.embedding, published.embedding, rtol=1e-6)
    database.insert(CRITERIA, records(2, seed=1))
    ids = [id_ for id_, _ in database.entries(CRITERIA)]
    assert ids == [id_, id_ + 1, id_ + 2] if isinstance(id_, int) else len(set(ids)) == 3
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
        faces, counters = (database.given["deepface"][name] for name in ("embeddings", "counters"))
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


@pytest.mark.parametrize("kind", ["oracle", "mssql", "db2"])
def test_sql_servers(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    (published,) = records(1, seed=9)
    with opener_of(kind, request, tmp_path)() as database:
        database.insert(CRITERIA, records(1))
        run = database.run  # type: ignore[attr-defined]
        ((face, shape, vector),) = run("SELECT face, face_shape, embedding FROM embeddings")
        assert np.frombuffer(face, "<f4").shape == (12,) and json.loads(shape) == [2, 2, 3]
        np.testing.assert_array_equal(np.frombuffer(vector, "<f8"), records(1)[0].embedding)
        with database.writing():
            run("DELETE FROM embeddings")
            run(
                f"INSERT INTO embeddings ({', '.join(COLUMNS[1:9] + COLUMNS[10:])}) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    *(published.img_name, published.face.tobytes(), "[2, 2, 3]"),
                    *("Facenet", "opencv", True, False, published.embedding.tobytes()),
                    *(published.face_hash, published.embedding_hash),
                ],
            )
        is_continued(database, published)


def test_cassandra(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    (published,) = records(1, seed=9)
    opener = opener_of("cassandra", request, tmp_path)
    from tests.search.database import cassandra_imitation

    session = cassandra_imitation.Cluster(tmp_path / "cassandra").connect()

    def run(statement: str, *values: Any) -> None:
        session.execute(session.prepare(statement.replace("@", "faces.")), values)

    with opener() as database, database.writing():
        pass  # there are tables now
    for ours in ("embeddings_by_face", "embeddings_index_parts", "embeddings_lock"):
        session.execute(f"DROP TABLE faces.{ours}")
    with opener() as database:
        assert stored_names(database) == []
        made = list(CRITERIA.columns.values())
        hashes = [published.face_hash, published.embedding_hash]
        vector = published.embedding.tobytes()
        criteria = "model_name, detector_backend, aligned, l2_normalized"
        run(
            f"INSERT INTO @embeddings (id, img_name, face, face_shape, {criteria}, embedding, "
            "face_hash, embedding_hash) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            *(5, published.img_name, published.face.tobytes(), "[2, 2, 3]"),
            *(*made, vector, *hashes),
        )
        run(
            f"INSERT INTO @embeddings_by_criteria ({criteria}, bucket, id, img_name, embedding) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            *(*made, 0, 5, published.img_name, vector),
        )
        run(
            f"INSERT INTO @embeddings_buckets ({criteria}, bucket) VALUES (?, ?, ?, ?, ?)",
            *(*made, 0),
        )
        claim = "INSERT INTO @embeddings_by_hash (face_hash, embedding_hash, id) VALUES (?, ?, ?)"
        run(claim, *hashes, 5)
        run("INSERT INTO @sequences (name, next_id) VALUES (?, ?)", "embedding_id", 6)
        is_continued(database, published)
        # A process that was cut off leaves a pair without a record: it is nobody's.
        (lost,) = records(1, seed=77)
        run(claim, lost.face_hash, lost.embedding_hash, 999)
        database.insert(CRITERIA, [lost])


def test_neo4j(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    (published,) = records(1, seed=9)
    neo4j = pytest.importorskip("neo4j")
    address = urlsplit(details_of("neo4j", request, tmp_path))
    place, who = f"bolt://{address.hostname}:{address.port}", (address.username, address.password)
    with (
        neo4j.GraphDatabase.driver(place, auth=who) as driver,
        open_database("neo4j", connection=driver) as database,
    ):
        database.prepare(CRITERIA, 16)
        driver.execute_query(
            "CREATE (n:FacenetOpencvAlignedRaw) SET n = $node",
            node={
                **CRITERIA.columns,
                "img_name": published.img_name,
                "embedding": published.embedding.tolist(),
                "face_hash": published.face_hash,
                "embedding_hash": published.embedding_hash,
                "age": 30,
                "gender": "Man",
            },
        )
        is_continued(database, published)


def test_pinecone(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    (published,) = records(1, seed=9)
    with opener_of("pinecone", request, tmp_path)() as database:
        from pinecone import Pinecone

        database.prepare(CRITERIA, 16)
        client = Pinecone(**database.given)
        vector = {
            "id": f"{published.face_hash}:{published.embedding_hash}",
            "values": published.embedding.tolist(),
            "metadata": {"img_name": published.img_name},
        }
        client.Index("embeddings-facenet-opencv-aligned-raw").upsert(vectors=[vector])
        is_continued(database, published)
        for model, detector in (("Buffalo_L", "opencv"), ("GhostFaceNet", "retinaface")):
            other = replace(CRITERIA, model_name=model, detector_backend=detector, aligned=False)
            database.insert(other, records(1))
            assert len(stored_names(database, other)) == 1


def test_weaviate(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    (published,) = records(1, seed=9)
    pytest.importorskip("weaviate")
    from tests.search.database import weaviate_imitation

    client = weaviate_imitation.Client({})
    with open_database("weaviate", connection=client) as database:
        database.prepare(CRITERIA, 16)
        pair = f"{published.face_hash}:{published.embedding_hash}"
        collection = client.collections.get("Embeddings_facenet_opencv_aligned_raw")
        from weaviate.classes.data import DataObject

        values = {
            **CRITERIA.columns,
            "img_name": published.img_name,
            "face": base64.b64encode(published.face.tobytes()).decode(),
            "face_shape": [2, 2, 3],
            "face_hash": published.face_hash,
            "embedding_hash": published.embedding_hash,
            "embedding": published.embedding.tolist(),
        }
        id_ = uuid.uuid5(uuid.NAMESPACE_OID, pair)
        vector = published.embedding.tolist()
        collection.data.insert_many([DataObject(uuid=id_, properties=values, vector=vector)])
        is_continued(database, published)


@pytest.mark.parametrize("normalized", [False, True])
@pytest.mark.parametrize("dimensions", [2048, 4096])
def test_pgvector_of_long_vectors(
    dimensions: int, normalized: bool, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """4,096 numbers has the default model's, which the published library cannot store."""
    details = details_of("pgvector", request, tmp_path)
    vgg = replace(CRITERIA, model_name="VGG-Face", l2_normalized=normalized)
    many = records(60, dimensions=dimensions, unit=normalized)
    vectors = np.array([record.embedding for record in many])
    rng = np.random.default_rng(1)
    queries = vectors[:5] + 0.5 * vectors.std() * rng.standard_normal((5, dimensions))
    with open_database("pgvector", details) as database:
        run = database.run  # type: ignore[attr-defined]
        database.insert(vgg, many)
        kinds = "SELECT indexdef FROM pg_indexes WHERE tablename = ? AND indexdef LIKE ?"
        (((definition,)),) = run(kinds, [vgg.collection, "%hnsw%"])
        assert "halfvec" in definition
        run(f"DROP INDEX {vgg.collection}_{'cosine' if normalized else 'euclidean'}_idx")
        database.build_index(vgg, 32, 100)  # as of a table that was made without
        assert run(kinds, [vgg.collection, "%hnsw%"]) == [(definition,)]
        run("SET enable_seqscan = off")  # few rows: the server would not use it
        named = database.neighbours(vgg, queries, 3)
        for query, ids in zip(queries, named, strict=True):
            order = np.argsort(np.linalg.norm(vectors - query, axis=1))[:3]
            assert database.fetch(vgg, ids[:1]).names == [many[order[0]].img_name]
            assert len(ids) == 3
        (page,) = database.pages(vgg)
        np.testing.assert_allclose(page.embeddings[0], many[0].embedding, rtol=1e-6)
