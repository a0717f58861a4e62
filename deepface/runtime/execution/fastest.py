"""Ways to the same result, of which the fastest is found by using them."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

Way = TypeVar("Way", bound=Hashable)

#: How often a way is tried before it is judged. The first time does not count: it allocates.
_TRIES = 3
#: The time of the last few runs that count is what the best of them took: others only add to it.
_KEPT = 3
#: What may be spent on trying a slower way again, for the case that things have changed.
_SHARE = 0.02


@dataclass
class _Record:
    """One way for one kind of work.

    Attributes:
        runs: how many were begun.
        rates: seconds per amount of the last few that count.
        cost: seconds of the last one.
        waited: seconds that the other ways have taken since it began.
    """

    runs: int = 0
    rates: deque[float] = field(default_factory=lambda: deque(maxlen=_KEPT))
    cost: float = math.inf
    waited: float = 0.0

    @property
    def rate(self) -> float:
        return min(self.rates, default=math.inf)


class Fastest:
    """Chooses between ways to the same result by the wall-clock time of each; safe with threads.

    The first way is the one at hand. It is used until it has taken ``patience`` seconds in all,
    since a program that ends before had better not pay for the start of another. From then on, for
    each kind of work, every way is tried and the fastest is used; now and then the others are tried
    again.

    Args:
        patience: seconds that it costs to start another way, about.
        clock: gives seconds.
    """

    def __init__(self, patience: float, clock: Callable[[], float] = time.perf_counter) -> None:
        self._patience, self._clock = patience, clock
        self._spent = 0.0
        self._records: dict[tuple[Hashable, Hashable], _Record] = {}
        self._lock = threading.Lock()

    @property
    def tries_others(self) -> bool:
        """Whether another way than the first one would be used."""
        return self._spent >= self._patience

    @contextmanager
    def choose(self, kind: Hashable, amount: float, ways: Sequence[Way]) -> Iterator[Way]:
        """The way to use inside the ``with`` block, which is timed.

        Args:
            kind: of the work; each is judged by itself.
            amount: of work, to which the time is proportional.
            ways: at least one; in any call those that can be used.
        """
        with self._lock:
            records = {way: self._records.setdefault((kind, way), _Record()) for way in ways}
            way = self._next(records) if self.tries_others else ways[0]
            record = records[way]
            record.runs, record.waited = record.runs + 1, 0.0
            counts = record.runs > 1
        start = self._clock()
        yield way
        seconds = self._clock() - start
        with self._lock:
            record.cost = seconds
            if counts:
                record.rates.append(seconds / amount)
            if way == ways[0]:
                self._spent += seconds
            for other in records.values():
                if other is not record:
                    other.waited += seconds

    def _next(self, records: dict[Way, _Record]) -> Way:
        for way, record in records.items():
            if record.runs < _TRIES or record.cost < _SHARE * record.waited:
                return way
        return min(records, key=lambda way: records[way].rate)
