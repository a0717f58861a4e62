"""The closest records of a database: by comparing with all, or with those that an index names."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from deepface.errors import DeepFaceError, DimensionMismatchError, EmptyDatasource
from deepface.matching.distance import DISTANCES
from deepface.matching.ranking import ROUNDING, Ranking
from deepface.search.database.base import (
    Criteria,
    Database,
    Id,
    NearestQuery,
    Page,
    Vectors,
    nothing_registered,
    tell_once,
)

#: Records that an exact search compares with at a time.
_PAGE = 5000
#: Neighbours of an approximate search when the caller does not say, as published; most that every
#: engine gives.
_NEIGHBOURS, _MOST = 20, 10_000


class Hit(NamedTuple):
    """A record, and how far it is. The distance is not rounded, as published."""

    distance: float
    id: Id
    name: str


def find_exactly(database: Database, criteria: Criteria, query: NearestQuery) -> list[list[Hit]]:
    """Compare with every record, a page at a time: memory does not grow with the database.

    An engine that can leaves out what is surely farther (:meth:`Database.candidates`).

    Returns:
        Per probe its hits, closest first.

    Raises:
        EmptyDatasource: there are no such records.
        DimensionMismatchError: they have another length than the probes.
    """
    probes, metric, limit, k = query
    found: list[list[Hit]] = [[] for _ in probes]
    page = None
    pages = database.candidates(criteria, query, _PAGE)
    for page in pages if len(probes) else ():
        check_length(probes, page.embeddings.shape[1])
        ranking = Ranking(page.embeddings, np.ones(len(page.ids), np.bool_))
        ranked = ranking.closest(probes, metric, limit + ROUNDING, k, ties=True)
        for number, (rows, _) in enumerate(ranked):
            hits = _hits(page, rows, probes[number], metric, limit)
            found[number] = _closest(found[number] + hits, k)
    if page is None and next(database.pages(criteria, 1), None) is None:
        raise nothing_registered(criteria, "search")
    return found


def find_approximately(
    database: Database, criteria: Criteria, query: NearestQuery
) -> list[list[Hit]]:
    """Compare with the neighbours that the index names; otherwise as :func:`find_exactly`.

    Distances are exact. ``k`` is 20 when it is ``None``; where it is very large, all are compared,
    and also where there is an index that cannot be asked, which is told.

    Raises:
        EmptyDatasource: there are no such records, or no index where it is the caller's to build.
    """
    if query.k is not None and query.k > _MOST:
        return find_exactly(database, criteria, query)
    dimensions = database.dimensions(criteria)
    if dimensions is None:
        raise nothing_registered(criteria, "search")
    check_length(query.probes, dimensions)
    query = query._replace(k=_NEIGHBOURS if query.k is None else query.k)
    expected: tuple[type[Exception], ...] = (DeepFaceError, *database.driver_errors)
    try:
        return _find_by_index(database, criteria, query)
    except EmptyDatasource:
        raise
    except expected as error:
        try:
            found = find_exactly(database, criteria, query)
        except Exception:  # it is not the index that fails
            raise error from None
        tell_once(
            f"The index for {criteria} cannot be asked, so search_method='ann' compared with every "
            f"record: {database.reason(error)}. Mend that, or call build_index"
        )
        return found


def _find_by_index(database: Database, criteria: Criteria, query: NearestQuery) -> list[list[Hit]]:
    probes, metric, limit, k = query
    asked = wanted = k or 0
    found: list[list[Hit]] = [[] for _ in probes]
    pending = list(range(len(probes))) if wanted else []
    while pending:
        named = database.neighbours(criteria, probes[pending], asked)
        page = database.fetch(criteria, list(dict.fromkeys(id_ for own in named for id_ in own)))
        rows = {id_: row for row, id_ in enumerate(page.ids)}
        again = []
        for number, own in zip(pending, named, strict=True):
            kept = [rows[id_] for id_ in own if id_ in rows][:wanted]
            found[number] = _closest(_hits(page, kept, probes[number], metric, limit), wanted)
            # The index may name records that were deleted since: there are others to ask for.
            if len(kept) < wanted and len(own) == asked:
                again.append(number)
        pending = again
        asked *= 2
    if not any(found) and next(database.pages(criteria, 1), None) is None:
        raise nothing_registered(criteria, "search")
    return found


def check_length(probes: Vectors, stored: int) -> None:
    """Raise ``DimensionMismatchError`` for probes of another length than what is stored."""
    if len(probes) and probes.shape[-1] != stored:
        raise DimensionMismatchError(
            f"the database holds vectors of {stored} dimensions, but those of the picture have "
            f"{probes.shape[-1]}: was another network registered under this name?"
        )


def _hits(page: Page, rows: Iterable[int], probe: Vectors, metric: str, limit: float) -> list[Hit]:
    """Those of some rows: pair by pair, so that a distance depends on nothing but the pair."""
    hits = []
    for row in rows:
        distance = float(DISTANCES[metric](page.embeddings[row], probe))
        if distance <= limit:
            hits.append(Hit(distance, page.ids[row], page.names[row]))
    return hits


def _closest(hits: list[Hit], k: int | None) -> list[Hit]:
    return sorted(hits, key=lambda hit: hit.distance)[:k]
