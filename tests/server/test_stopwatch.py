"""Seconds by step: what threads measure while another asks is counted once, all of it."""

from __future__ import annotations

import threading
import time
from collections import Counter

import pytest

from deepface.server import stopwatch
from deepface.server.stopwatch import Stopwatch
from tests.interleaved import at_once


def test_nothing_is_lost_or_counted_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    own = threading.local()

    def tick() -> float:
        own.time = getattr(own, "time", 0) + 1
        return float(own.time)

    monkeypatch.setattr(time, "perf_counter", tick)
    watch = Stopwatch()
    taken: Counter[str] = Counter()

    def work(number: int) -> None:
        for step in range(10):
            with watch.measuring("find" if step % 2 else "embed"):
                pass
            if not number:
                taken.update(watch.taken())

    at_once(work, stopwatch, threads=4, steps=True)
    taken.update(watch.taken())
    assert taken == {"find": 20, "embed": 20}
    assert watch.taken() == {}
