"""What a search answers where nothing is near, nothing was asked, or nothing is there."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from deepface.errors import EmptyDatasource
from deepface.search.database.base import NearestQuery
from deepface.search.database.nearest import find_approximately, find_exactly
from deepface.search.database.registry import open_database
from deepface.search.folder import Gallery, datastore
from tests.search.database.conftest import CRITERIA, UNIT, records
from tests.search.folder.galleries import store


@pytest.mark.parametrize("find", [find_approximately, find_exactly])
def test_nobody_is_looked_for_or_near(find: Callable[..., list[object]], tmp_path: Path) -> None:
    """Both are answers; that nobody is registered is an error."""
    none, probe = np.zeros((0, 16)), np.full((1, 16), 100.0)
    with open_database("sqlite", str(tmp_path / "faces.db")) as database:
        for probes in (none, probe):
            with pytest.raises(EmptyDatasource):
                find(database, CRITERIA, NearestQuery(probes, "euclidean", math.inf, 3))
        database.insert(CRITERIA, records(5))
        database.build_index(CRITERIA, 8, 3)
        assert find(database, CRITERIA, NearestQuery(none, "euclidean", math.inf, 3)) == []
        assert find(database, CRITERIA, NearestQuery(probe, "euclidean", 1.0, 3)) == [[]]


def test_names_are_found_where_there_are_any(tmp_path: Path) -> None:
    with open_database("sqlite", str(tmp_path / "faces.db")) as database:
        assert database.ids_of_names(CRITERIA, ["0-0.jpg"]) == []
        database.insert(CRITERIA, records(3))
        ids = {name: id_ for id_, name in database.entries(CRITERIA)}
        found = database.ids_of_names(CRITERIA, ["0-0.jpg", "0-2.jpg", "nobody"])
        assert sorted(found, key=str) == sorted((ids["0-0.jpg"], ids["0-2.jpg"]), key=str)
        assert database.ids_of_names(CRITERIA, []) == []
        assert database.ids_of_names(UNIT, ["0-0.jpg"]) == []


def test_the_gallery_that_was_used_last_is_kept_longest(tmp_path: Path) -> None:
    datastore.forget()
    stores = [store(tmp_path / str(number)) for number in range(5)]
    for new in stores:
        new.path.parent.mkdir()
        new.save(Gallery.of([]))
    datastore.forget()
    first = [new.load() for new in stores]
    kept = [new.load() is gallery for new, gallery in zip(stores[::-1], first[::-1], strict=True)]
    assert kept == [True, True, True, True, False]
    datastore.forget()
