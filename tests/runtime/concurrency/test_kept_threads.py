"""Threads that stay: as many as were ever needed at once."""

from __future__ import annotations

import threading

import pytest

from deepface.runtime.concurrency import kept_threads
from deepface.runtime.concurrency.kept_threads import KeptThreads
from tests.interleaved import interleaved


def submitted(threads: KeptThreads) -> int:
    return threads.submit(threading.get_ident).result()


def test_work_after_work_is_done_by_one_thread() -> None:
    threads = KeptThreads("kept")
    with interleaved(kept_threads):
        assert len({submitted(threads) for _ in range(100)}) == 1


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_an_error_is_the_callers_and_the_thread_stays(error: type[BaseException]) -> None:
    threads = KeptThreads("kept")

    def fail() -> None:
        raise error("of the work")

    first = submitted(threads)
    with pytest.raises(error, match="of the work"):
        threads.submit(fail).result()
    assert submitted(threads) == first


def test_as_many_threads_as_works_at_once() -> None:
    threads, together = KeptThreads("kept"), threading.Barrier(4)

    def work() -> int:
        together.wait(60)
        return threading.get_ident()

    seen = set()
    with interleaved(kept_threads):
        for _ in range(20):
            futures = [threads.submit(work) for _ in range(4)]
            seen |= {future.result() for future in futures}
    assert len(seen) == 4
