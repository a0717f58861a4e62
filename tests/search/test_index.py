"""The approximate index inside the process."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from deepface.errors import DatabaseError, DimensionMismatchError, MissingPackageError
from deepface.search.index import PART, NeighbourIndex

pytest.importorskip("faiss", reason="pip install faiss-cpu")


def clustered(count: int, seed: int = 0) -> NDArray[Any]:
    """``count`` vectors of length 1 around ``count / 10`` centres, as faces of people."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(7).standard_normal((max(1, count // 10), 64))
    vectors = centres[np.arange(count) % len(centres)] + 0.5 * rng.standard_normal((count, 64))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)  # type: ignore[no-any-return]


def built(vectors: NDArray[Any], first: int = 0) -> NeighbourIndex:
    found = NeighbourIndex.empty(vectors.shape[1])
    found.add(np.arange(first, first + len(vectors), dtype=np.int64), vectors)
    return found


def test_recall() -> None:
    vectors = clustered(3000)
    queries = vectors[::50] + 0.01
    exact = np.argsort((vectors**2).sum(1)[None] - 2 * queries @ vectors.T, axis=1, kind="stable")[
        :, :10
    ]
    found = built(vectors).search(queries, 10)
    hits = [len(set(own) & set(row.tolist())) for own, row in zip(found, exact, strict=True)]
    assert sum(hits) >= 0.98 * 10 * len(queries)


@pytest.mark.parametrize("dimensions", [1, 3, 128, 160, 1500, 4096])
def test_recall_of_any_length_also_without_negative_numbers(dimensions: int) -> None:
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((100, dimensions))
    for least in (-np.inf, 0.5):
        vectors = np.maximum(
            centres[np.arange(1000) % 100] + 0.5 * rng.standard_normal((1000, dimensions)), least
        )
        queries = vectors[::50] + 0.01
        squares = (vectors**2).sum(1)[None] - 2 * queries @ vectors.T
        exact = np.sort(squares, axis=1)[:, 9]
        found = built(vectors).search(queries, 10)
        hits = [(squares[n, own] <= exact[n] + 1e-2).sum() for n, own in enumerate(found)]
        assert sum(hits) >= 0.98 * 10 * len(queries)


def test_one_query_is_as_many() -> None:
    vectors = clustered(2000)
    queries = clustered(40, seed=3)
    shared = built(vectors)
    assert shared.search(queries, 10) == [shared.search(query[None], 10)[0] for query in queries]


def test_an_index_that_begins_with_one_vector() -> None:
    vectors = clustered(1500)
    index = built(vectors[:1])
    index.add(np.arange(1, 1500), vectors[1:])
    found = index.search(vectors[::100], 1)
    assert found == [[n] for n in range(0, 1500, 100)]


def test_faiss_of_long_ago(monkeypatch: pytest.MonkeyPatch) -> None:
    import faiss

    monkeypatch.delattr(faiss, "IndexRaBitQFastScan")
    with pytest.raises(MissingPackageError, match=r"needs faiss 1\.13 or later.*pip install -U"):
        NeighbourIndex.empty(4)


def test_written_and_read_in_parts() -> None:
    before = built(clustered(70_000), first=50)
    parts: list[bytes] = []
    before.write(parts.append)
    assert len(parts) > 2
    assert max(map(len, parts)) <= PART
    after = NeighbourIndex.read(iter(parts))
    assert after.ids.tolist() == list(range(50, 70_050))
    assert (after.last_id, NeighbourIndex.empty(4).last_id) == (70_049, -1)
    queries = clustered(5, seed=1)
    assert after.search(queries, 7) == before.search(queries, 7)
    after.add(np.array([99_999]), queries[:1])
    assert after.search(queries[:1], 1) == [[99_999]]
    assert after.last_id == 99_999


def damaged() -> Iterator[Any]:
    parts: list[bytes] = []
    built(clustered(100)).write(parts.append)
    whole = b"".join(parts)
    yield pytest.param(b"", id="empty")
    yield pytest.param(b"something else" * 50, id="foreign")
    yield pytest.param(whole[:500], id="start")
    yield pytest.param(whole[:-10], id="cut off")


@pytest.mark.parametrize("content", damaged())
def test_damaged(content: bytes) -> None:
    with pytest.raises(DatabaseError, match="build_index"):
        NeighbourIndex.read(iter([content]))


def test_another_kind_of_index() -> None:
    import faiss

    graph = faiss.IndexIDMap(faiss.IndexHNSWFlat(64, 32))  # the published kind
    for kind in (faiss.IndexFlatL2(4), graph):
        with pytest.raises(DatabaseError, match="build_index"):
            NeighbourIndex.read(iter([faiss.serialize_index(kind).tobytes()]))


def test_other_lengths_and_small_numbers() -> None:
    empty = NeighbourIndex.empty(64)
    assert empty.search(np.zeros((2, 64)), 5) == [[], []]
    few = built(clustered(3))
    assert len(few.search(clustered(1), 10)[0]) == 3
    with pytest.raises(DimensionMismatchError, match="64 dimensions, not of 8"):
        few.search(np.zeros((1, 8)), 1)
    with pytest.raises(DimensionMismatchError, match="64 dimensions, not of 8"):
        few.add(np.array([9]), np.zeros((1, 8)))


def test_threads_find_the_same() -> None:
    vectors = clustered(2000)
    shared = built(vectors)
    expected = shared.search(vectors[:50], 5)
    found: list[Any] = []
    threads = [
        threading.Thread(target=lambda: found.append(shared.search(vectors[:50], 5)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [expected] * 4
