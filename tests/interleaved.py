"""Threads that give way at every line, or step: what only a lock keeps apart meets then."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from types import FrameType, ModuleType
from typing import Any


class OneAtATime:
    """Called where there may be one thread only: fails where another one is there, too."""

    def __init__(self) -> None:
        self._inside: list[int] = []

    def __call__(self) -> None:
        self._inside.append(threading.get_ident())
        time.sleep(1e-3)
        assert self._inside == [threading.get_ident()]
        self._inside.clear()


@contextmanager
def interleaved(*modules: ModuleType, steps: bool = False) -> Iterator[None]:
    """Threads that are started in the block let others run between lines of these modules.

    With ``steps`` also within lines: between the instructions that a line is made of.
    """
    files = {module.__file__ for module in modules}
    pauses = random.Random(0)

    def line(frame: FrameType, event: str, argument: Any) -> Any:
        time.sleep(pauses.random() * 5e-4)
        return line

    def call(frame: FrameType, event: str, argument: Any) -> Any:
        if frame.f_code.co_filename not in files:
            return None
        frame.f_trace_opcodes = steps
        return line

    before = threading.gettrace()
    threading.settrace(call)
    try:
        yield
    finally:
        threading.settrace(before)  # type: ignore[arg-type]


def at_once(
    work: Callable[[int], object], *modules: ModuleType, threads: int = 8, steps: bool = False
) -> None:
    """Call ``work`` with the number of each thread; raises what the first of them raises."""
    start = threading.Barrier(threads)

    def run(number: int) -> None:
        start.wait()
        work(number)

    with interleaved(*modules, steps=steps), ThreadPoolExecutor(threads) as pool:
        list(pool.map(run, range(threads)))
