"""Names, ids, rows and indexes that somebody else chose: a result, or an error of ours."""

from __future__ import annotations

import os
import random
import sqlite3
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deepface.errors import DatabaseError, DataTypeError, DeepFaceError
from deepface.search.database.base import Criteria, storable
from deepface.search.database.indexed import PARTS, IndexedDatabase
from deepface.search.database.registry import open_database
from tests.search.database.conftest import (
    CRITERIA,
    UNIT,
    Opener,
    opener_of,
    records,
    stored_names,
)

NAMES = [
    "'", '"', "`", "\\", "''; DROP TABLE embeddings; --", "x' OR '1'='1", '"; DELETE FROM "e',
    "%", "_", "*", "?", "[a-z]", "a?b%sc%(d)s{e}$1:f@g", "$ne", '{"$gt": ""}', "a\nb\r\n\tc",
    "\x01\x1b[2J", " a ", "a", "A", "ä", "a\u0308", "", "é漢字", "🙂" * 300, "x" * 10_000,
    "../../x", "a\0b", os.fsdecode(b"caf\xe9\xff.jpg"), "FLUSHALL\r\nQUIT\r\n", "1; SELECT 1",
]  # fmt: skip


def test_names_are_names(opener: Opener) -> None:
    """Each is stored, found and deleted as what it is, and touches no other."""
    faces = [replace(r, img_name=n) for r, n in zip(records(len(NAMES)), NAMES, strict=True)]
    with opener() as database:
        longest = getattr(database, "longest_name", None) or 10_000
        kept = [face for face in faces if len(face.img_name.encode()) <= longest]
        if len(kept) < len(faces):
            with pytest.raises(DataTypeError, match="10000 bytes"):
                database.insert(CRITERIA, faces)
            assert stored_names(database) == []
        faces, names = kept, [face.img_name for face in kept]
        expected = sorted(names)
        database.insert(CRITERIA, faces)
        assert stored_names(database) == expected
        assert sorted(name for _, name in database.entries(CRITERIA)) == expected
        left = set(expected)
        for face, name in zip(faces, names, strict=True):
            ids = database.ids_of_names(CRITERIA, [name])
            assert database.fetch(CRITERIA, ids).names == [storable(name)]
            assert database.ids_of_faces(CRITERIA, [face]) == ids
            assert database.delete(CRITERIA, ids) == 1
            left.remove(storable(name))
            if len(left) % 5 == 0:
                assert set(stored_names(database)) == left
        assert database.ids_of_names(CRITERIA, names) == []
        database.insert(CRITERIA, faces)  # as if they had never been there


@pytest.mark.parametrize("text", ["'; DROP TABLE embeddings; --", '"', "a b\nc", "*", "x" * 80])
def test_criteria_are_parameters(opener: Opener, text: str) -> None:
    """Their values are checked before; if they were not, they would still be only values."""
    odd = Criteria(text, text, True, False)
    with opener() as database:
        database.insert(CRITERIA, records(2, seed=1))
        assert list(database.pages(odd)) == []
        database.insert(odd, records(2, seed=2))
        assert stored_names(database, odd) == ["2-0.jpg", "2-1.jpg"]
        assert stored_names(database) == ["1-0.jpg", "1-1.jpg"]


ODD_IDS: list[Any] = [
    None, "", " ", "x", "'", "1 OR 1=1", "1; DROP TABLE embeddings", "1'", "0x1", "1e0", "1.5", -1,
    0.5, float("nan"), float("inf"), True, b"1", [1], {"$gt": 0}, "²", "1_0", "٣" * 30,  "9" * 5000,
    2**63, 2**64, 10**4000, "%", "*", "00000000-0000-0000-0000-000000000000", "\0", "\udcff",
    object(), "١", "１", "𝟏", "-" * 32, "a" * 33, "0" * 35,
]  # fmt: skip


def test_odd_ids_are_nobody(opener: Opener) -> None:
    with opener() as database:
        for stored in (0, 3):
            if stored:
                database.insert(CRITERIA, records(stored))
            for identity in ODD_IDS:
                assert database.get(CRITERIA, identity) is None, identity
            assert database.delete(CRITERIA, ODD_IDS) == 0
            assert len(stored_names(database)) == stored


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_vectors_that_are_none_are_not_stored(opener: Opener, value: float) -> None:
    good, bad = records(2)
    vector = bad.embedding.copy()
    vector[3] = value
    with opener() as database:
        with pytest.raises(DataTypeError, match=r"vector of 0-1\.jpg has values"):
            database.insert(CRITERIA, [good, replace(bad, embedding=vector)])
        assert stored_names(database) == []


BROKEN: dict[str, Any] = {
    "empty": b"",
    "a part of a number": b"1234567",
    "not finite": np.full(16, np.nan).tobytes(),
    "text": "[1, 2, 3]",
    "a number": 5,
    "infinite": np.full(16, -np.inf).tobytes(),
}


def spoil(database: Any, kind: str, value: Any) -> None:
    """Give the second record a vector that is none."""
    if kind in ("sqlite", "mysql"):
        database.run("UPDATE embeddings SET embedding = ? WHERE id = 2", [value])
    elif kind == "mongo":
        faces = database.given["deepface"]["embeddings"]
        faces.update_one({"sequence": 2}, {"$set": {"embedding": value}})
    else:
        import redis

        with redis.Redis.from_url(database.given) as client:
            client.hset("deepface:embedding:2", "embedding", value)


@pytest.mark.parametrize("kind", ["sqlite", "mysql", "mongo", "redis"])
@pytest.mark.parametrize("value", list(BROKEN))
def test_a_broken_row_is_named_and_can_be_deleted(
    kind: str, value: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    opener = opener_of(kind, request, tmp_path)
    with opener() as database:
        database.insert(CRITERIA, records(3))
        spoil(database, kind, BROKEN[value])
    with opener() as database:
        for use in (
            lambda: list(database.pages(CRITERIA)),
            lambda: database.get(CRITERIA, 2),
            lambda: database.fetch(CRITERIA, [1, 2]),
            lambda: database.build_index(CRITERIA, 8, 100),
        ):
            with pytest.raises(DeepFaceError, match="record 2"):
                use()
        assert len(list(database.entries(CRITERIA))) == 3
        assert database.delete(CRITERIA, [2]) == 1
        assert stored_names(database) == ["0-0.jpg", "0-2.jpg"]


def test_broken_texts_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "faces.db"
    with open_database("sqlite", path) as database:
        database.insert(CRITERIA, records(3))
    connection = sqlite3.connect(path)
    for number, value in enumerate((b"\xff\xfe", 5, "x")):
        connection.execute("UPDATE embeddings SET img_name = ? WHERE id = ?", [value, number + 1])
    connection.execute("UPDATE embeddings SET img_name = CAST(x'fffe' AS TEXT) WHERE id = 3")
    connection.commit()
    connection.close()
    with (
        pytest.raises(DatabaseError, match=r"faces\.db"),
        open_database("sqlite", path) as database,
    ):
        stored_names(database)


@pytest.mark.parametrize("kind", ["sqlite", "mongo"])
@pytest.mark.parametrize("value", ["parts2:x", "x", 5, 10**15, 1.5, ["x"], {}])
def test_an_index_that_is_no_bytes(
    kind: str, value: Any, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """The value that names it, or a part of it: where the database can hold such."""
    if kind == "sqlite" and isinstance(value, (list, dict)):
        pytest.skip("SQLite holds neither lists nor dicts")
    with opener_of(kind, request, tmp_path)() as database:
        assert isinstance(database, IndexedDatabase)
        database.insert(CRITERIA, records(20))
        for place in ("value", "part"):
            database.build_index(CRITERIA, 8, 100)
            IndexedDatabase.forget()
            expected = database.neighbours(CRITERIA, np.ones((1, 16)), 5)
            IndexedDatabase.forget()
            if kind == "sqlite" and place == "part":
                database.run("UPDATE embeddings_index_parts SET data = ?", [value])  # type: ignore[attr-defined]
            elif place == "part":
                parts = database.given["deepface"]["embeddings_index_parts"]
                parts.update_many({}, {"$set": {"data": value}})
            else:
                with database.writing():
                    database.set_index_data(CRITERIA, value)
            with suppress(DeepFaceError):
                assert database.neighbours(CRITERIA, np.ones((1, 16)), 5) == expected
            database.build_index(CRITERIA, 8, 100)
            assert database.neighbours(CRITERIA, np.ones((1, 16)), 5) == expected


def stored_parts(database: IndexedDatabase) -> dict[Any, bytes]:
    rows = database.run("SELECT version, part, data FROM embeddings_index_parts")  # type: ignore[attr-defined]
    return {(version, part): bytes(data) for version, part, data in rows}


def test_mutated_indexes(tmp_path: Path) -> None:
    """Not one byte of them gets to faiss, which some of them would crash."""
    IndexedDatabase.forget()
    path = tmp_path / "faces.db"
    rng = random.Random("index")
    with open_database("sqlite", path) as database:
        assert isinstance(database, IndexedDatabase)
        database.insert(CRITERIA, records(20, 2100))
        database.build_index(CRITERIA, 8, 100)
        query = np.ones((1, 2100))
        expected = database.neighbours(CRITERIA, query, 5)
        parts = stored_parts(database)
        assert len(parts) > 1
        for _ in range(60):
            (version, part), data = rng.choice(list(parts.items()))
            changed = bytearray(data)
            kind = rng.randrange(4)
            if kind == 0:
                changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
            elif kind == 1:
                del changed[rng.randrange(len(changed)) :]
            elif kind == 2:
                changed += b"\0" * rng.randint(1, 9)
            else:
                changed = bytearray(rng.choice([d for d in parts.values() if d != data]))
            IndexedDatabase.forget()
            update = "UPDATE embeddings_index_parts SET data = ? WHERE version = ? AND part = ?"
            database.run(update, [bytes(changed), version, part])  # type: ignore[attr-defined]
            with pytest.raises(DatabaseError, match="run build_index again"):
                database.neighbours(CRITERIA, query, 5)
            database.run(update, [data, version, part])  # type: ignore[attr-defined]
        IndexedDatabase.forget()
        database.run("DELETE FROM embeddings_index_parts WHERE part > 0")  # type: ignore[attr-defined]
        with pytest.raises(DatabaseError, match="run build_index again"):
            database.neighbours(CRITERIA, query, 5)
        database.build_index(CRITERIA, 8, 100)
        assert database.neighbours(CRITERIA, query, 5) == expected


@pytest.mark.parametrize(
    "data",
    [
        b"\0",
        b"IxMp" + b"\xff" * 500,
        b"parts:" + b"0" * 32,
        b"parts2:",
        b"parts2:\0\xff" + b"x" * 70,
    ],
)
def test_an_index_that_is_not_ours_is_not_opened(
    indexed_opener: Opener, data: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The published kind could crash the process; the records are indexed in memory instead."""
    IndexedDatabase.forget()
    with indexed_opener() as database:
        assert isinstance(database, IndexedDatabase)
        database.insert(CRITERIA, records(20))
        database.insert(UNIT, records(5, seed=1, unit=True))
        database.build_index(CRITERIA, 8, 100)
        expected = database.neighbours(CRITERIA, np.ones((1, 16)), 5)
        with database.writing():
            database.set_index_data(CRITERIA, data)
        IndexedDatabase.forget()
        if data.startswith(PARTS):
            with pytest.raises(DatabaseError, match="run build_index again"):
                database.neighbours(CRITERIA, np.ones((1, 16)), 5)
        else:
            for _ in range(2):
                assert database.neighbours(CRITERIA, np.ones((1, 16)), 5) == expected
        database.build_index(CRITERIA, 8, 100)
        assert database.neighbours(CRITERIA, np.ones((1, 16)), 5) == expected
