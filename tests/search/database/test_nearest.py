"""An index finds what a comparison with all records finds, whatever happened before."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from deepface.errors import DimensionMismatchError, EmptyDatasource
from deepface.matching.distance import METRICS
from deepface.search.database.base import NearestQuery
from deepface.search.database.nearest import find_approximately, find_exactly
from deepface.search.database.registry import open_database
from tests.search.database.conftest import CRITERIA, Opener, records


@pytest.mark.parametrize("seed", range(2))
def test_registered_deleted_and_built_in_any_order(indexed_opener: Opener, seed: int) -> None:
    """Few enough records that the index finds all neighbours."""
    rng = random.Random(seed)
    probes = np.array([record.embedding for record in records(3, seed=1000)])
    with indexed_opener() as database:
        database.insert(CRITERIA, records(2, seed=999))
        database.build_index(CRITERIA, 8, 3)
        for step in range(30):
            action = rng.choice(["register", "register", "delete", "build"])
            if action == "register":
                database.insert(CRITERIA, records(rng.randint(1, 4), seed=step))
            elif action == "build":
                database.build_index(CRITERIA, 8, rng.randint(1, 9))
            else:
                ids = [id_ for page in database.pages(CRITERIA) for id_ in page.ids]
                gone = rng.sample(ids, rng.randint(0, max(0, len(ids) - 1)) // 2)
                assert database.delete(CRITERIA, gone) == len(gone)
            k = rng.randint(1, 8)
            limit = rng.choice([math.inf, 5.0])
            exact = find_exactly(database, CRITERIA, NearestQuery(probes, "euclidean", limit, k))
            assert (
                find_approximately(database, CRITERIA, NearestQuery(probes, "euclidean", limit, k))
                == exact
            )
            for probe, own in zip(probes, exact, strict=True):  # whoever else is looked for
                alone = find_approximately(
                    database, CRITERIA, NearestQuery(probe[None], "euclidean", limit, k)
                )
                assert alone == [own]


def test_all_deleted(opener: Opener) -> None:
    with opener() as database:
        database.insert(CRITERIA, records(5))
        database.build_index(CRITERIA, 8, 3)
        ids = [id_ for id_, _ in database.entries(CRITERIA)]
        assert database.delete(CRITERIA, [*ids, 999_999]) == 5
        assert database.delete(CRITERIA, ids) == 0
        for find in (find_approximately, find_exactly):
            with pytest.raises(EmptyDatasource):
                find(database, CRITERIA, NearestQuery(np.ones((1, 16)), "euclidean", math.inf, 3))


def test_an_exact_search_goes_on_across_pages(tmp_path: Path) -> None:
    faces = records(6000, 4)  # more than are read at a time
    distances = [math.hypot(*face.embedding) for face in faces]
    order = [faces[n].img_name for n in np.argsort(distances)]
    with open_database("sqlite", str(tmp_path / "faces.db")) as database:
        database.insert(CRITERIA, faces)
        for k in (3, None):
            (hits,) = find_exactly(
                database, CRITERIA, NearestQuery(np.zeros((1, 4)), "euclidean", math.inf, k)
            )
            assert [hit.name for hit in hits] == order[:k]


def test_probes_of_another_length(opener: Opener) -> None:
    with opener() as database:
        database.insert(CRITERIA, records(5))
        database.build_index(CRITERIA, 8, 3)
        for find in (find_approximately, find_exactly):
            with pytest.raises(DimensionMismatchError, match="16 dimensions"):
                find(database, CRITERIA, NearestQuery(np.ones((1, 8)), "euclidean", math.inf, 3))


@pytest.mark.parametrize("metric", METRICS)
def test_the_closest_of_those_with_the_same_six_digits(metric: str, tmp_path: Path) -> None:
    angles = (0.5 + 4e-8, 0.5 + 2e-8, 0.5, 0.5 + 3e-8)
    faces = [
        replace(record, embedding=np.array([math.cos(angle), math.sin(angle)]))
        for record, angle in zip(records(4), angles, strict=True)
    ]
    with open_database("sqlite", str(tmp_path / "faces.db")) as database:
        database.insert(CRITERIA, faces)
        for k in range(1, 5):
            (hits,) = find_exactly(
                database, CRITERIA, NearestQuery(np.eye(2)[:1], metric, math.inf, k)
            )
            assert [hit.id for hit in hits] == [3, 2, 4, 1][:k]


def test_index_and_comparison_agree(opener: Opener) -> None:
    probes = np.array([record.embedding for record in records(4, seed=1)])
    with opener() as database:
        database.insert(CRITERIA, records(40))
        database.build_index(CRITERIA, 8, 3)
        exact = find_exactly(database, CRITERIA, NearestQuery(probes, "euclidean", math.inf, 3))
        assert (
            find_approximately(database, CRITERIA, NearestQuery(probes, "euclidean", math.inf, 3))
            == exact
        )
        everybody = find_exactly(
            database, CRITERIA, NearestQuery(probes, "euclidean", math.inf, None)
        )
        for k in (10_000, 2**31, 2**63, 10**30):
            hits = find_approximately(
                database, CRITERIA, NearestQuery(probes, "euclidean", math.inf, k)
            )
            assert hits == everybody
