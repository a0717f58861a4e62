"""An iterator that runs ahead in a thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from deepface.runtime.concurrency.prefetch import ahead


def threads() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name == "deepface-ahead"]


def test_the_same_items_in_order() -> None:
    assert list(ahead(iter(range(50)), 3)) == list(range(50))
    assert list(ahead(iter(()))) == []
    assert not threads()


def test_it_runs_ahead_no_further_than_told() -> None:
    made = []

    def items() -> Iterator[int]:
        for n in range(100):
            made.append(n)
            yield n

    walk = ahead(items(), 2)
    next(walk)
    deadline = time.monotonic() + 10
    while len(made) < 4 and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.3)
    assert len(made) == 4  # the caller's, two that wait, one that waits to be put down
    walk.close()  # type: ignore[attr-defined]
    assert not threads()


def test_an_error_comes_in_its_turn() -> None:
    def items() -> Iterator[int]:
        yield 1
        yield 2
        raise KeyError("three")

    seen = []
    with pytest.raises(KeyError, match="three"):
        for item in ahead(items(), 5):
            seen.append(item)
    assert seen == [1, 2]
    assert not threads()


def test_closing_closes_the_source() -> None:
    closed = threading.Event()

    def items() -> Iterator[int]:
        try:
            yield from range(100)
        finally:
            closed.set()

    walk = ahead(items())
    assert next(walk) == 0
    walk.close()  # type: ignore[attr-defined]
    assert closed.is_set()
    assert not threads()
