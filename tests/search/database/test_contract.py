"""What is promised of every database, asked of each."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from deepface.errors import DatabaseError, DimensionMismatchError, DuplicateEntryError
from deepface.search import index
from deepface.search.database.base import Record
from deepface.search.database.indexed import PARTS, IndexedDatabase
from deepface.search.database.registry import open_database
from tests.search.database import sql_imitations
from tests.search.database.conftest import (
    CRITERIA,
    UNIT,
    Opener,
    details_of,
    opener_of,
    records,
    stored_names,
)


def test_what_was_stored_comes_back(opener: Opener) -> None:
    many = records(25)
    with opener() as database:
        database.insert(CRITERIA, many[:10])
        database.insert(CRITERIA, many[10:])
    with opener() as database:
        pages = list(database.pages(CRITERIA, size=7))
        found = {
            name: vector
            for page in pages
            for name, vector in zip(page.names, page.embeddings, strict=True)
        }
        assert {len(page.ids) for page in pages} <= set(range(1, 8))
        assert len({id_ for page in pages for id_ in page.ids}) == 25
        for record in many:
            np.testing.assert_allclose(found[record.img_name], record.embedding, atol=1e-6)
        ids = [*pages[0].ids, *pages[-1].ids]
        fetched = database.fetch(CRITERIA, ids)
        assert sorted(map(str, fetched.ids)) == sorted(map(str, ids))
        stored = database.get(CRITERIA, ids[0])
        assert stored is not None
        assert (stored.id, stored.img_name, stored.criteria) == (
            ids[0],
            pages[0].names[0],
            CRITERIA,
        )
        np.testing.assert_allclose(stored.embedding, pages[0].embeddings[0])


@pytest.mark.parametrize("identity", [999_999, "no-such-id", None, -1, ""])
def test_unknown_records(opener: Opener, identity: object) -> None:
    with opener() as database:
        assert database.get(CRITERIA, identity) is None
        database.insert(CRITERIA, records(1))
        assert database.get(CRITERIA, identity) is None


def test_empty(opener: Opener) -> None:
    with opener() as database:
        database.ping()
        assert list(database.pages(CRITERIA)) == []


def test_criteria_are_kept_apart(opener: Opener) -> None:
    with opener() as database:
        database.insert(CRITERIA, records(3, seed=1))
        database.insert(UNIT, records(2, seed=2, unit=True))
        database.insert(replace(CRITERIA, aligned=False), records(1, seed=3))
        assert stored_names(database) == ["1-0.jpg", "1-1.jpg", "1-2.jpg"]
        assert stored_names(database, UNIT) == ["2-0.jpg", "2-1.jpg"]


def test_a_duplicate_stores_nothing_of_its_chunk(opener: Opener) -> None:
    first, second, third = records(3)
    # Embedded in another batch: the same face, other last bits.
    again = replace(first, img_name="again.jpg", embedding=first.embedding + 1e-6)
    with opener() as database:
        database.insert(CRITERIA, [first])
        with pytest.raises(DuplicateEntryError, match=r"again\.jpg"):
            database.insert(CRITERIA, [second, again])
        with pytest.raises(DuplicateEntryError, match="Duplicate detected"):
            database.insert(CRITERIA, [third, third])
        assert stored_names(database) == [first.img_name]
        # The same face made in another way is another record.
        unit = first.embedding / np.linalg.norm(first.embedding)
        database.insert(UNIT, [replace(first, embedding=unit)])
        assert stored_names(database, UNIT) == [first.img_name]


def test_a_call_is_stored_whole_or_not_at_all(opener: Opener) -> None:
    many = records(30)

    def cut_off() -> Iterator[list[Record]]:
        yield many[:10]
        yield many[10:20]
        raise KeyboardInterrupt

    with opener() as database:
        assert database.insert_all(CRITERIA, []) == 0
        database.insert(CRITERIA, records(1, seed=1))
        with pytest.raises(DuplicateEntryError):
            database.insert_all(CRITERIA, [many[:10], many[10:20], [*many[20:], many[3]]])
        with pytest.raises(KeyboardInterrupt):
            database.insert_all(CRITERIA, cut_off())
        assert stored_names(database) == ["1-0.jpg"]
        assert database.insert_all(CRITERIA, [many[:10], many[10:20], many[20:]]) == 30
        assert len(stored_names(database)) == 31


def test_what_cannot_be_taken_out_is_told(
    unsafe_opener: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where there are no transactions: the server is away, e.g."""
    many = records(20)
    with unsafe_opener() as database:
        assert not database.transactions

        def away(*_: object) -> int:
            raise ConnectionError

        monkeypatch.setattr(database, "remove", away)
        with pytest.raises(DatabaseError, match=r"already.*10 faces stay stored") as told:
            database.insert_all(CRITERIA, [many[:10], [*many[10:], many[3]]])
        ids = [id_ for id_, _ in database.entries(CRITERIA)]
        assert len(ids) == 10
        first, last = str(told.value).split("ids ")[1].split(";")[0].split(" to ")
        assert {first, last} <= set(map(str, ids))


@pytest.mark.parametrize(
    "kind", ["sqlite", "postgres", "pgvector", "mysql", *sql_imitations.SERVERS]
)
def test_what_the_server_refuses_undoes_its_chunk(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A row in the middle, which was not known to be refused; the connection goes on."""
    first, *others = records(12)
    with opener_of(kind, request, tmp_path)() as database:
        database.insert(CRITERIA, [first])
        with monkeypatch.context() as patched:
            patched.setattr(database, "check", lambda *_: None)
            with pytest.raises(database.driver_errors):
                database.insert(CRITERIA, [*others[:5], first, *others[5:]])
        assert stored_names(database) == [first.img_name]
        database.insert(CRITERIA, others)
        in_order = [name for page in database.pages(CRITERIA, 5) for name in page.names]
        assert in_order == [record.img_name for record in (first, *others)]


def test_float64_comes_back_to_the_bit(indexed_opener: Opener) -> None:
    odd = [0.1, -0.0, 5e-324, -2.2250738585072014e-308, 1.7976931348623157e308, 2**53 + 2.0, 1 / 3]
    record = replace(records(1)[0], embedding=np.array(odd))
    strided = replace(records(1, seed=1)[0], embedding=np.array(odd * 2)[::2])
    with indexed_opener() as database:
        database.insert(CRITERIA, [record, strided])
        stored = dict(
            pair
            for page in database.pages(CRITERIA)
            for pair in zip(page.names, page.embeddings, strict=True)
        )
        for given in (record, strided):
            assert stored[given.img_name].tobytes() == given.embedding.tobytes()


def test_vectors_of_another_length_are_refused(opener: Opener) -> None:
    with opener() as database:
        with pytest.raises(DimensionMismatchError, match="8, 16"):
            database.insert(CRITERIA, [*records(1, 16), *records(1, 8, seed=1)])
        database.insert(CRITERIA, records(2, 16))
        with pytest.raises(DimensionMismatchError, match="8, 16"):
            database.insert(CRITERIA, records(1, 8, seed=1))
        assert len(stored_names(database)) == 2


@pytest.mark.parametrize("criteria", [CRITERIA, UNIT])
def test_neighbours_are_the_nearest(opener: Opener, criteria: object) -> None:
    unit = criteria is UNIT
    used = UNIT if unit else CRITERIA
    many = records(200, unit=unit)
    queries = np.array([record.embedding for record in records(5, seed=9, unit=unit)])
    with opener() as database:
        database.insert(used, many[:150])
        database.build_index(used, 32, 40)
        database.insert(used, many[150:])  # newer than the index
        named = database.neighbours(used, queries, 10)
        page = database.fetch(used, [id_ for own in named for id_ in own])
        names = dict(zip(page.ids, page.names, strict=True))
    vectors = np.array([record.embedding for record in many])
    for query, own in zip(queries, named, strict=True):
        order = np.argsort(np.linalg.norm(vectors - query, axis=1))[:10]
        expected = [many[row].img_name for row in order]
        assert [names[id_] for id_ in own][:5] == expected[:5]
        assert len(set(expected) & {names[id_] for id_ in own}) >= 9


def test_the_largest_part_of_an_index_is_stored(indexed_opener: Opener) -> None:
    """Of bytes that a driver may have to escape, each of them."""
    part = b"\0'" * (index.PART // 2 + 16)

    with indexed_opener() as database:
        assert isinstance(database, IndexedDatabase)
        database.insert(CRITERIA, records(1))
        for version in ("first", "second"):
            with database.writing():
                database.prepare_index()
                database.store_index_part(version, 0, part)
                database.store_index_part(version, 1, b"x")
                database.set_index_data(CRITERIA, PARTS + version.encode())
            assert database.index_data(CRITERIA) == PARTS + version.encode()
            found = [database.index_part(version, number) for number in range(3)]
            assert found == [part, b"x", None]
        with database.writing():
            database.delete_index_parts("first")
        assert database.index_part("first", 0) is None and database.index_part("second", 1) == b"x"


def test_building_again_changes_nothing(opener: Opener) -> None:
    with opener() as database:
        database.insert(CRITERIA, records(20))
        database.build_index(CRITERIA, 16, 1000)
        before = database.neighbours(CRITERIA, np.ones((1, 16)), 5)
        database.build_index(CRITERIA, 16, 1000)
        assert database.neighbours(CRITERIA, np.ones((1, 16)), 5) == before


def test_threads_that_register_the_same_faces(shared_opener: Opener) -> None:
    """Each face is stored once, and whoever comes later is told: also of other last bits."""
    many = records(12)
    told = []

    def register(number: int) -> None:
        with shared_opener() as database:
            for record in many:
                vector = record.embedding + number * 1e-7
                try:
                    database.insert(CRITERIA, [replace(record, embedding=vector)])
                except DuplicateEntryError:
                    told.append(record.img_name)

    threads = [threading.Thread(target=register, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with shared_opener() as database:
        assert stored_names(database) == sorted(record.img_name for record in many)
    assert len(told) == 3 * len(many)


#: Registers twelve faces one by one once it is told to, and says how many were there.
_REGISTER = """
import json, sys
from dataclasses import replace
from deepface.errors import DuplicateEntryError
from deepface.search.database.registry import open_database
from tests.search.database.conftest import CRITERIA, records
kind, details, number = sys.argv[1], json.loads(sys.argv[2]), int(sys.argv[3])
told = 0
with open_database(kind, details) as database:
    print("ready", flush=True)
    sys.stdin.readline()
    for record in records(12):
        vector = record.embedding + number * 1e-7
        try:
            database.insert(CRITERIA, [replace(record, embedding=vector)])
        except DuplicateEntryError:
            told += 1
print(told)
"""


@pytest.mark.parametrize("kind", ["postgres", "pgvector", "mysql", "redis"])
def test_processes_that_register_the_same_faces(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """At once, into a database without tables: each face is stored once, and the other is told."""
    details = details_of(kind, request, tmp_path)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with ExitStack() as stack:
        processes = [
            stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", _REGISTER, kind, json.dumps(details), str(number)],
                    env=environment,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
            for number in range(2)
        ]
        for process in processes:
            assert process.stdout is not None and "ready\n" in iter(process.stdout.readline, "")
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        told = [int(process.communicate()[0]) for process in processes]
    many = records(12)
    with open_database(kind, details) as database:
        assert stored_names(database) == sorted(record.img_name for record in many)
    assert sum(told) == len(many)


def test_two_that_register_a_face_at_the_same_moment(
    unlocked_opener: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both look for it before either stores it: it is stored once, whatever its last bits."""
    (first,) = records(1)
    with unlocked_opener() as database:
        database.insert(CRITERIA, [first])
        monkeypatch.setattr(database, "registered", lambda *_: set())
        with suppress(DuplicateEntryError):
            database.insert(CRITERIA, [replace(first, embedding=first.embedding + 1e-7)])
        assert stored_names(database) == [first.img_name]
        assert len(database.ids_of_faces(CRITERIA, [first])) == 1
        assert len(database.neighbours(CRITERIA, first.embedding[None], 5)[0]) == 1


def test_searching_while_the_index_is_replaced(shared_opener: Opener) -> None:
    """Vectors are so long that it is stored in two parts."""
    IndexedDatabase.forget()
    with shared_opener() as database:
        database.insert(CRITERIA, records(20, 2100))
        database.build_index(CRITERIA, 8, 100)
    done = threading.Event()
    errors: list[Exception] = []

    def search() -> None:
        with shared_opener() as database:
            while not done.is_set():
                try:
                    IndexedDatabase.forget()
                    assert len(database.neighbours(CRITERIA, np.ones((1, 2100)), 10)[0]) == 10
                except Exception as error:
                    errors.append(error)

    thread = threading.Thread(target=search)
    thread.start()
    with shared_opener() as database:
        for seed in range(1, 8):
            database.insert(CRITERIA, records(5, 2100, seed))
            database.build_index(CRITERIA, 8, 100)
    done.set()
    thread.join()
    assert errors == []
