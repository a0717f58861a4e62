"""An exact search on a server gives what a comparison with every record gives, to the last bit."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from itertools import product
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from deepface.matching.distance import METRICS, find_distance
from deepface.search.database.base import Criteria, Database, NearestQuery, Page, Record
from deepface.search.database.nearest import find_exactly
from deepface.search.database.proven import proven_pages
from deepface.search.database.registry import open_database
from tests.search.database.conftest import CRITERIA, UNIT, opener_of, records

KINDS = ("pgvector", "qdrant", "milvus")
#: What an engine that counts in float32 could take for something else.
_ODD = (0.0, 1e-30, 1e-21, 1e-9, 1e-4, 1.0, 1 + 1e-9, 1 + 1e-7, 1 + 1e-5, 1e6, 1e17)


@pytest.fixture(params=KINDS)
def searched(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Any]:
    if request.param == "qdrant":
        pytest.importorskip("qdrant_client", reason="pip install qdrant-client")
        from qdrant_client.local import distances

        # Its local mode scales what it holds anew by each search, in place: the last bits change.
        score = distances.cosine_similarity
        monkeypatch.setattr(distances, "cosine_similarity", lambda a, b: score(a, b.copy()))
        opened: AbstractContextManager[Any] = open_database("qdrant", ":memory:")
    else:
        opened = opener_of(request.param, request, tmp_path)()
    with opened as database:
        yield database


def odd_vectors(
    count: int, dimensions: int, rng: np.random.Generator, lengths: Sequence[float] = _ODD
) -> list[Record]:
    """Few directions in many lengths: equal vectors, almost equal ones, none."""
    directions = rng.standard_normal((3, dimensions)).round(1)
    found = records(count, dimensions, seed=int(rng.integers(1000)))
    for record in found:
        vector = rng.choice(directions) * rng.choice(lengths)
        vector[rng.integers(dimensions)] *= rng.choice([1.0, 1 + 1e-7, 1 + 1e-6, 1 + 1e-4])
        object.__setattr__(record, "embedding", vector)
    return found


def unit(record: Record) -> Record:
    return replace(record, embedding=record.embedding / np.linalg.norm(record.embedding))


@pytest.mark.parametrize("criteria", [CRITERIA, UNIT], ids=["raw", "norm"])
@pytest.mark.parametrize("dimensions", [3, 40])
def test_the_server_leaves_out_nothing_that_belongs_in_an_exact_search(
    searched: Any, dimensions: int, criteria: Criteria, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(dimensions)
    is_pgvector = type(searched).__name__ == "PgVector"
    odd = odd_vectors(90, dimensions, rng)
    others = odd_vectors(6, dimensions, rng, (1.0, 1 + 1e-7, 1e6)) + odd[:2]
    if criteria == UNIT and not is_pgvector:  # these scale what they take for unscaled
        odd = [
            unit(record) if 0 < np.linalg.norm(record.embedding) < 1 else record for record in odd
        ]
    stored = odd + records(0 if is_pgvector else 100, dimensions, seed=1001)
    vectors = np.array([record.embedding for record in others])
    questions = []
    with np.errstate(all="ignore"):  # lengths of 0, and whose squares are
        for metric, start in product(METRICS, range(8)):
            tie = float(find_distance(stored[7 * start].embedding, vectors[start], metric))
            probes = vectors[start : start + 1 + start % 3]
            for limit, k in product((math.inf, 0.3, tie), (None, 0, 1, 7, 200, 10**30)):
                questions.append((criteria, NearestQuery(probes, metric, limit, k)))
        searched.insert(criteria, stored)
        count = {"PgVector": 120, "Qdrant": 20}.get(type(searched).__name__, 4)
        questions = [questions[i] for i in rng.permutation(len(questions))[:count]]
        searched.insert(replace(criteria, detector_backend="mtcnn"), records(9, dimensions))
        found = [find_exactly(searched, *question) for question in questions]
        monkeypatch.setattr(type(searched), "candidates", Database.candidates)
        assert found == [find_exactly(searched, *question) for question in questions]


@pytest.mark.parametrize(
    ("metric", "limit", "k"),
    [("cosine", 0.4, None), ("euclidean", 3.5, None)]
    + [(metric, math.inf, 3) for metric in METRICS],
)
def test_an_exact_search_reads_what_is_near(
    searched: Any, metric: str, limit: float, k: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others than pgvector by the metric of the collection alone."""
    is_pgvector = type(searched).__name__ == "PgVector"
    criteria = CRITERIA if metric == "euclidean" or is_pgvector else UNIT
    near = [replace(r, embedding=r.embedding + 8) for r in records(4, seed=2)]
    searched.insert(criteria, [r if criteria == CRITERIA else unit(r) for r in records(400) + near])
    probe = replace(records(1, seed=1)[0], embedding=records(1, seed=1)[0].embedding + 8)
    with monkeypatch.context() as patched:
        patched.setattr(type(searched), "candidates", Database.candidates)
        expected = find_exactly(
            searched, criteria, NearestQuery(probe.embedding[None], metric, limit, k)
        )
    read: list[int] = []
    page_of = Page.of.__func__  # type: ignore[attr-defined]

    def counted(cls: type[Page], rows: Any, *options: Any) -> Page:
        page: Page = page_of(cls, rows, *options)
        read.append(len(page.ids))
        return page

    with monkeypatch.context() as patched:
        patched.setattr(Page, "of", classmethod(counted))
        found = find_exactly(
            searched, criteria, NearestQuery(probe.embedding[None], metric, limit, k)
        )
    assert found == expected and len(found[0]) >= (k or 1)
    assert 0 < sum(read) <= (len(found[0]) + 10 if is_pgvector else 3 * 70)


def _float32(vectors: Any, probe: Any, cosine: bool) -> Any:
    if cosine:
        units = vectors / np.maximum(np.linalg.norm(vectors, axis=1), 1e-30)[:, None]
        return units @ (probe / np.linalg.norm(probe))
    return ((vectors - probe) ** 2).sum(axis=1)


def _products(vectors: Any, probe: Any, cosine: bool) -> Any:
    """The square of a difference from three products, which loses the digits of near ones."""
    if cosine:
        return _float32(vectors, probe, cosine)
    return (vectors**2).sum(axis=1) - 2 * (vectors @ probe) + (probe**2).sum()


def _coarse(vectors: Any, probe: Any, cosine: bool) -> Any:
    """What a compressed vector gives."""
    return _float32(vectors, probe, cosine).astype(np.float16)


@pytest.mark.parametrize("engine", [_float32, _products, _coarse])
@pytest.mark.parametrize("cosine", [False, True])
def test_whatever_an_engine_computes(
    engine: Any, cosine: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of records that differ less than float32 can tell: proven, or all are read."""
    (middle,) = records(1, 8, seed=8)
    crowd = [
        replace(record, embedding=middle.embedding + 1e-4 * record.embedding)
        for record in records(120, 8, seed=9)
    ]
    stored = [*records(200, 8, seed=7), *crowd]
    proven = 0
    with open_database("sqlite", tmp_path / "faces.db") as database:
        database.insert(CRITERIA, stored)
        (everything,) = database.pages(CRITERIA, 1000)
        single = everything.embeddings.astype(np.float32)

        def ask(probes: Any, count: int) -> list[tuple[Page, Any]]:
            answers = []
            for probe in probes.astype(np.float32):
                scores = engine(single, probe, cosine)
                near = np.argsort(-scores if cosine else scores)[:count]
                page = Page.of(
                    (everything.ids[i], everything.names[i], everything.embeddings[i]) for i in near
                )
                answers.append((page, scores[near].astype(np.float64)))
            return answers

        for metric, k, limit in product(METRICS, (None, 5), (math.inf, 0.5)):
            for probe in (*crowd[:4], stored[0]):
                question = NearestQuery(probe.embedding[None], metric, limit, k)
                expected = find_exactly(database, CRITERIA, question)
                pages = proven_pages(database, ask, cosine, question, 100)
                if pages is not None:
                    proven += 1
                    with monkeypatch.context() as patched:
                        held = list(pages)
                        patched.setattr(database, "candidates", lambda *_, held=held: iter(held))
                        assert find_exactly(database, CRITERIA, question) == expected
                    ids = [id_ for page in held for id_ in page.ids]
                    assert ids == sorted(ids) and len(ids) < len(everything.ids)
    assert (proven == 0) if engine is _coarse else (proven > 5)


def test_ties_for_the_last_place_prove_nothing() -> None:
    """Those that the engine left out may be among the ``k``: the order of ids says which are."""
    near, others = np.eye(8)[0], np.tile(np.eye(8)[1], (300, 1))
    everything = np.concatenate([near[None], others])

    def ask(probes: Any, count: int) -> list[tuple[Page, Any]]:
        found = everything[:count]
        page = Page.of((number, "", vector) for number, vector in enumerate(found))
        return [(page, ((found - probe) ** 2).sum(axis=1)) for probe in probes]

    database: Any = SimpleNamespace(driver_errors=())
    two, one = (NearestQuery(near[None], "euclidean", math.inf, k) for k in (2, 1))
    assert proven_pages(database, ask, False, two, 100) is None
    assert proven_pages(database, ask, False, one, 100) is not None
