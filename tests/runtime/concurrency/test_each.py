"""A function of many things in threads: what ``map`` gives, and whose threads do it."""

from __future__ import annotations

import threading

import pytest

from deepface.runtime.concurrency.each import in_threads


def test_it_is_map_in_threads() -> None:
    meeting = threading.Barrier(3, timeout=30)

    def add(a: int, b: int) -> tuple[int, str]:
        meeting.wait()
        return a + b, threading.current_thread().name

    sums, threads = zip(*in_threads(add, [1, 2, 3], range(3), threads=5), strict=True)
    assert sums == (1, 3, 5) and len(set(threads)) == 3


@pytest.mark.parametrize(("things", "threads"), [([1, 2, 3], 1), ([7], 4), ([], 4), ([7], None)])
def test_where_there_is_nothing_to_share_the_caller_does_it(
    things: list[int], threads: int | None
) -> None:
    here = threading.current_thread()
    found = in_threads(lambda thing: (thing, threading.current_thread()), things, threads=threads)
    assert found == [(thing, here) for thing in things]


def test_an_error_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        in_threads((1).__truediv__, [1, 0, 2], threads=2)
