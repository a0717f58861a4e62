"""Parts of a list, a core each."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch

from deepface.runtime.concurrency.by_core import by_core
from deepface.runtime.concurrency.kept_threads import KeptThreads


@pytest.fixture(params=[1, 2, 3, 5, 20])
def cores(request: pytest.FixtureRequest) -> Iterator[int]:
    """That many threads of torch, in this thread and in new ones."""
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def _squares(numbers: Sequence[int]) -> list[int]:
    return [number**2 for number in numbers]


def _told(numbers: Sequence[int]) -> list[tuple[int, int]]:
    """For each item, in which thread it was and how many cores torch had there."""
    return [(threading.get_ident(), torch.get_num_threads())] * len(numbers)


def _of_a_new_thread() -> int:
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(torch.get_num_threads).result()


@pytest.mark.parametrize("count", [0, 1, 2, 3, 7, 40])
def test_results_come_in_order(cores: int, count: int) -> None:
    assert by_core(_squares, range(count)) == _squares(range(count))


def test_the_cores_are_shared(cores: int) -> None:
    for count in (2, 3, 8, 40):
        told = set(by_core(_told, range(count)))
        parts = min(count, cores, 8)
        assert len({thread for thread, _ in told}) <= parts
        assert {number for _, number in told} == {cores // parts}


def test_parts_are_worked_on_at_once(cores: int) -> None:
    together = threading.Barrier(min(cores, 8), timeout=20)

    def work(numbers: Sequence[int]) -> list[int]:
        together.wait()
        return [*numbers]

    assert by_core(work, range(9)) == [*range(9)]


def test_nobody_else_gets_fewer_cores(cores: int) -> None:
    by_core(_told, range(8))
    assert torch.get_num_threads() == _of_a_new_thread() == cores


def test_threads_of_callers_beside_each_other(cores: int) -> None:
    def call(start: int) -> bool:
        numbers = range(start, start + 9)
        return by_core(_squares, numbers) == _squares(numbers)

    with ThreadPoolExecutor(6) as pool:
        assert all(pool.map(call, range(40)))
    assert _of_a_new_thread() == cores


def test_parts_of_a_part_stay_together(cores: int) -> None:
    def work(numbers: Sequence[int]) -> list[bool]:
        return [len({*by_core(_told, numbers)}) == 1] * len(numbers)

    if cores <= 8:  # else a part has several cores
        assert all(by_core(work, range(16))) or cores == 1


@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt])
def test_what_is_raised_comes_when_all_are_done(cores: int, kind: type[BaseException]) -> None:
    done: list[int] = []

    def work(numbers: Sequence[int]) -> list[int]:
        if 0 in numbers:
            raise kind("of the first part")
        threading.Event().wait(0.02)
        done.extend(numbers)
        return [*numbers]

    with pytest.raises(kind, match="of the first part"):
        by_core(work, range(2 * cores))
    parts = min(2 * cores, cores, 8)
    assert sorted(done) == [n for n in range(2 * cores) if n % parts]


def test_ctrl_c_waits_for_what_has_begun(cores: int) -> None:
    begun: list[int] = []
    done: list[int] = []

    def work(numbers: Sequence[int]) -> list[int]:
        begun.extend(numbers)
        if 0 in numbers:
            signal.raise_signal(signal.SIGINT)
        threading.Event().wait(0.05)
        done.extend(numbers)
        return [*numbers]

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            by_core(work, range(8))
    finally:
        signal.signal(signal.SIGINT, before)
    assert 0 in begun
    # A list that is not parted is worked on by the main thread, which the signal ends.
    assert sorted(done) == (sorted(begun) if cores > 1 else [])


def test_ctrl_c_while_parts_are_given_out(cores: int, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[int] = []
    done: list[int] = []
    is_begun = threading.Event()
    submit = KeptThreads.submit

    def interrupted(*given: Any) -> None:
        submit(*given)
        assert is_begun.wait(20)
        raise KeyboardInterrupt

    def work(numbers: Sequence[int]) -> list[int]:
        begun.extend(numbers)
        is_begun.set()
        threading.Event().wait(0.05)
        done.extend(numbers)
        return [*numbers]

    monkeypatch.setattr(KeptThreads, "submit", interrupted)
    if cores > 1:  # else the list is not parted
        with pytest.raises(KeyboardInterrupt):
            by_core(work, range(8))
    assert done == begun


def test_threads_stay(cores: int) -> None:
    def threads(work: Callable[[Sequence[int]], list[tuple[int, int]]]) -> set[int]:
        return {thread for thread, _ in by_core(work, range(8))}

    seen = set().union(*(threads(_told) for _ in range(5)))
    assert len(seen) <= min(cores, 8)
