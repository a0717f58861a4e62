"""Threads that search at once: what memory keeps for all is changed by one at a time."""

from __future__ import annotations

import math
import threading
from pathlib import Path

import numpy as np
import pytest

from deepface.search import index
from deepface.search.database import indexed
from deepface.search.database.base import NearestQuery
from deepface.search.database.indexed import IndexedDatabase
from deepface.search.database.nearest import find_approximately, find_exactly
from deepface.search.database.registry import open_database
from deepface.search.folder import Gallery, datastore
from tests.interleaved import at_once
from tests.search.database.conftest import CRITERIA, records
from tests.search.folder.galleries import store


@pytest.mark.parametrize("forgetting", [False, True])
def test_an_index_that_several_threads_read_and_add_to(tmp_path: Path, forgetting: bool) -> None:
    """Each adds what is newer than the index; some let go of what the others read."""
    place = str(tmp_path / "faces.db")
    probes = np.array([record.embedding for record in records(2, seed=1)])
    with open_database("sqlite", place) as database:
        database.insert(CRITERIA, records(4))
        database.build_index(CRITERIA, 8, 4)
        database.insert(CRITERIA, records(6, seed=2))
        expected = find_exactly(database, CRITERIA, NearestQuery(probes, "euclidean", math.inf, 10))
    IndexedDatabase.forget()

    done = threading.Event()

    def search(number: int) -> None:
        while forgetting and number and not done.is_set():
            IndexedDatabase.forget()
        try:
            with open_database("sqlite", place) as mine:
                for _ in range(3):
                    found = find_approximately(
                        mine, CRITERIA, NearestQuery(probes, "euclidean", math.inf, 10)
                    )
                    assert found == expected
        finally:
            done.set()

    at_once(search, indexed, index, threads=4)
    IndexedDatabase.forget()


def test_galleries_are_forgotten_while_others_are_kept(tmp_path: Path) -> None:
    stores = [store(tmp_path / str(number)) for number in range(4)]
    for kept in stores:
        kept.path.parent.mkdir()
        kept.save(Gallery.of([]))

    def load_or_forget(number: int) -> None:
        for _ in range(10):
            datastore.forget()
            assert not len(stores[number].load().identity)

    at_once(load_or_forget, datastore, threads=4)
    datastore.forget()
