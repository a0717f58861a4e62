"""Statistics of repeated runs, and runs in turn. README.md says why it is done this way."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Any, TypeVar

from benchmarks.worker import synchronize

T = TypeVar("T")


@dataclass(frozen=True)
class Spread:
    """Median and quartiles of repeated measurements."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """The spread of at least one value; of one, all three are that value."""
        if len(values) < 2:
            return cls(values[0], values[0], values[0])
        low, median, high = statistics.quantiles(values, n=4, method="inclusive")
        return cls(median, low, high)

    def columns(self, name: str, digits: int = 2) -> dict[str, float]:
        """As columns of a table: ``name``, ``name_q1``, ``name_q3``."""
        return {
            name: round(self.median, digits),
            f"{name}_q1": round(self.low, digits),
            f"{name}_q3": round(self.high, digits),
        }


def speed_up(before: Sequence[float], after: Sequence[float]) -> Spread:
    """How many times faster ``after`` is, from seconds: one ratio per round, and their spread.

    What slows the whole machine down for a while slows down both runs of a round.
    """
    return Spread.of([b / a for b, a in zip(before, after, strict=True)])


def alternate(runs: Mapping[str, Callable[[], T]], rounds: int) -> dict[str, list[T]]:
    """Run each of ``runs`` once per round, and give the results of each.

    A round begins one run further on than the round before, so that none always follows the same
    other one.
    """
    names = list(runs)
    results: dict[str, list[T]] = {name: [] for name in names}
    for number in range(rounds):
        start = number % len(names)
        for name in names[start:] + names[:start]:
            results[name].append(runs[name]())
    return results


def seconds(run: Callable[[], Any]) -> float:
    """Wall-clock time of one run, the GPU's work included."""
    synchronize()
    start = time.perf_counter()
    run()
    synchronize()
    return time.perf_counter() - start


def in_fresh_process(function: Callable[..., T], *arguments: Any) -> T:
    """``function(*arguments)`` in a new interpreter, so that its peak memory is its own."""
    with ProcessPoolExecutor(max_workers=1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()
