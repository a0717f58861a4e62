"""Seconds that each step of a walk takes, for the metrics."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from typing import Any

from deepface.images.batch import Batch
from deepface.pipeline.extraction import Seen
from deepface.pipeline.plan import Lane, Plan, Step


class Stopwatch:
    """Adds up what steps take, whichever thread takes them.

    The steps are ``decode`` (what was waited for decoded pictures), and those of the plan by the
    first words of their names: ``find``, ``judge``, ``embed``, ``estimate``.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seconds: dict[str, float] = {}

    def taken(self) -> dict[str, float]:
        """Seconds by step since this was asked last."""
        with self._lock:
            seconds, self._seconds = self._seconds, {}
        return seconds

    @contextmanager
    def measuring(self, name: str) -> Iterator[None]:
        """The block is this step."""
        begun = time.perf_counter()
        try:
            yield
        finally:
            seconds = time.perf_counter() - begun
            with self._lock:
                self._seconds[name] = self._seconds.get(name, 0) + seconds

    def watched(self, plan: Plan) -> Plan:
        """The same plan, whose steps are measured."""
        return replace(plan, lanes=tuple(map(self._lane, plan.lanes)))

    def _lane(self, lane: Lane) -> Lane:
        return replace(lane, find=self._step(lane.find), later=tuple(map(self._step, lane.later)))

    def _step(self, step: Step) -> Step:
        name = step.name.partition(" (")[0]

        def run(seen: list[Seen]) -> None:
            with self.measuring(name):
                step.run(seen)

        return Step(step.name, run)


class WatchedBatch(Batch):
    """Pictures that come one by one and stay as they are; waiting for them is measured."""

    def __init__(self, pictures: Iterator[Any], stopwatch: Stopwatch) -> None:
        super().__init__(pictures, total=None)
        self._stopwatch = stopwatch

    def attempts(self, *args: Any, **kwargs: Any) -> Generator[Any, None, None]:
        """As that of the base class."""
        with closing(super().attempts(*args, **kwargs)) as chunks:
            while True:
                with self._stopwatch.measuring("decode"):
                    chunk = next(chunks, None)
                if chunk is None:
                    return
                yield chunk
                del chunk  # or its pixels would live until the next one is there
