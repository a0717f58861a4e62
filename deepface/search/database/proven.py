"""An exact search by an engine that compares with every vector, in float32: what it leaves out is
proven to be farther, or everything is read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from deepface.matching.ranking import ROUNDING, key_limit
from deepface.search.database.base import Database, Id, NearestQuery, Page, Vectors

#: Gives, for probes ``(m, d)`` and a number, so many records nearest to each of them, and their
#: scores: cosines, or squares of Euclidean distances.
Ask: TypeAlias = Callable[[Vectors, int], list[tuple[Page, Vectors]]]

#: Records that are asked for beyond those that are wanted, and most that one answer has.
_MORE, _MOST = 64, 4096
#: See :func:`is_countable`.
SHORTEST, LARGEST = 1e-3, 1e15
UNIT_ROUNDOFF = 2.0**-24
#: Key of a vector of zeros, which has no cosine, but the distance 1.
_ZEROS = key_limit("euclidean_l2", 1)


def proven_pages(
    database: Database, ask: Ask, cosine: bool, query: NearestQuery, size: int
) -> Iterator[Page] | None:
    """What :meth:`Database.candidates` gives, by ``ask``; ``None`` where that proves nothing.

    Scores of another kind than the metric's say nothing of records that were left out.

    Args:
        database: whose pages have records of growing ids.
        ask: the engine's search.
        cosine: whether its scores are cosines.
        query: see :meth:`Database.candidates`, also for ``size``.
    """
    probes, metric, limit, k = query
    wanted = k if k is not None else 0
    everything = np.inf if metric == "euclidean" else 1
    if (
        cosine == (metric == "euclidean")
        or k == 0
        or (k is None and key_limit(metric, limit) >= everything)
        or not is_countable(np.linalg.norm(probes, axis=1)).all()
    ):
        return None
    rows: dict[Id, tuple[Id, str, Vectors]] = {}
    pending, asked = np.arange(len(probes)), max(2 * wanted, wanted + _MORE)
    while len(pending):
        if len(pending) * asked > _MOST:
            return None
        try:
            answers = ask(probes[pending], asked)
        except database.driver_errors:  # of a server that lets nobody ask for this, e.g.
            return None
        again = []
        for number, (page, scores) in zip(pending, answers, strict=True):
            if len(page.ids) < asked:
                return None
            sure = _is_proven(page.embeddings, scores, probes[number], query)
            if sure is None:
                return None
            rows |= {row[0]: row for row in zip(page.ids, page.names, page.embeddings, strict=True)}
            again += [] if sure else [number]
        pending, asked = np.array(again, np.intp), 4 * asked
    ordered = [rows[id_] for id_ in sorted(rows, key=lambda id_: (len(str(id_)), id_))]
    return (Page.of(ordered[at : at + size]) for at in range(0, len(ordered), size))


def is_countable(norms: Vectors) -> NDArray[np.bool_]:
    """Whether scores of vectors of these lengths are computed without overflow, or loss of all
    digits, in float32.
    """
    return (norms >= SHORTEST) & (norms <= LARGEST)


def _is_proven(
    vectors: Vectors, scores: Vectors, probe: Vectors, query: NearestQuery
) -> bool | None:
    """Whether all records beyond these are farther than the limit, or than ``k`` of these.

    Keys are those of :func:`key_limit`. The bounds of the engine's errors are Higham's (Accuracy
    and Stability of Numerical Algorithms, 3.1), for any order of summation: of a cosine with both
    vectors' scaling, of a square by differences or by products.

    Returns:
        ``None`` where the engine computes something else.
    """
    _, metric, limit, k = query
    norms, norm = np.linalg.norm(vectors, axis=1), float(np.linalg.norm(probe))
    if not (is_countable(norms) & np.isfinite(scores)).all():
        return None
    error = (2 * vectors.shape[1] + 16) * UNIT_ROUNDOFF
    keys: NDArray[np.float64]
    if metric == "euclidean":
        keys, told = ((vectors - probe) ** 2).sum(axis=1), scores
        slack = error * (2 * keys + 3 * norm**2)
        nearest_unseen = (told.max() - 3 * error * norm**2) / (1 + 2 * error)
    else:
        keys, told = -(vectors @ probe) / (norms * norm), -scores
        slack = np.full(len(keys), 2 * error + 4 * ROUNDING)
        nearest_unseen = told.max() - slack[0]
        if metric == "euclidean_l2":
            nearest_unseen = min(nearest_unseen, _ZEROS)
    if (np.abs(told - keys) > slack).any():
        return None
    farthest = key_limit(metric, limit)
    if k is not None:
        farthest = min(farthest, float(np.partition(keys, k - 1)[k - 1]))
    return bool(nearest_unseen > farthest + ROUNDING * max(1, norm**2, farthest))
