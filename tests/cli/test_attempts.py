"""Items of a list whose function raises for one of them, and of lists that grow while they run."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence

import pytest

from deepface.cli.attempts import attempts
from deepface.errors import WeightsError


def halves(numbers: Sequence[int]) -> list[float]:
    if 3 in numbers:
        raise ValueError("three")
    return [number / 2 for number in numbers]


@pytest.mark.parametrize("size", [1, 2, 5, 64])
def test_one_bad_item_costs_one_item(size: int) -> None:
    found = dict(attempts(range(8), halves, size))
    assert list(found) == list(range(8))
    assert str(found.pop(3)) == "three"
    assert found == {n: n / 2 for n in range(8) if n != 3}


def test_what_no_item_is_to_blame_for_is_raised() -> None:
    def call(numbers: Sequence[int]) -> list[float]:
        raise WeightsError("damaged")

    with pytest.raises(WeightsError, match="damaged"):
        next(attempts(range(8), call, 4))


@pytest.mark.parametrize("size", [1, 4])
def test_a_result_comes_before_the_next_item(size: int) -> None:
    """A line of stdin is answered while nobody knows whether there will be another."""
    answered = threading.Semaphore(1)

    def lines() -> Iterator[int]:
        for number in (0, 1, 2):
            assert answered.acquire(timeout=20), "nobody answered"
            yield number

    for number, result in attempts(lines(), halves, size):
        assert result == number / 2
        answered.release()
