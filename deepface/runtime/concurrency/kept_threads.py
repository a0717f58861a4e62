"""Threads that stay when their work is done, for work of the same kind that comes later.

PyTorch keeps cuDNN's plans for each thread by itself, and a new one makes them anew: on an H200
YuNet took 22 ms for 16 photographs of mixed sizes, and 700 ms in a new thread.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import Future
from functools import cache, partial
from queue import SimpleQueue
from typing import TypeAlias, TypeVar

R = TypeVar("R")
#: What one thread does next; nothing ends it.
_Inbox: TypeAlias = "SimpleQueue[Callable[[], None] | None]"


class KeptThreads:
    """As many as were ever needed at once; daemons, so a program can end while one works.

    They end when nobody has this object any more.

    Args:
        name: of the threads.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._idle: list[_Inbox] = []
        weakref.finalize(self, _end, self._idle)

    def start(self, work: Callable[[], None]) -> threading.Event:
        """Do some work, which raises nothing, in the thread that was used last; the event is its
        end.
        """
        end = threading.Event()

        def run() -> Callable[[], None]:
            work()
            return end.set

        self._begin(run)
        return end

    def submit(self, work: Callable[[], R]) -> Future[R]:
        """Likewise; the result, or what was raised."""
        future: Future[R] = Future()

        def run() -> Callable[[], None]:
            try:
                return partial(future.set_result, work())
            except BaseException as error:
                return partial(future.set_exception, error)

        self._begin(run)
        return future

    def _begin(self, work: Callable[[], Callable[[], None]]) -> None:
        """What ``work`` returns tells of its end, when the thread is free for more already."""
        inbox: _Inbox

        def told() -> None:
            tell = work()
            self._idle.append(inbox)  # atomic, as is pop
            tell()

        try:
            inbox = self._idle.pop()
        except IndexError:
            inbox = SimpleQueue()
            threading.Thread(target=_serve, args=(inbox,), name=self._name, daemon=True).start()
        inbox.put(told)


def _serve(inbox: _Inbox) -> None:
    while (work := inbox.get()) is not None:
        work()
        del work  # or what it holds would live until the next comes


def _end(idle: list[_Inbox]) -> None:
    for inbox in idle:
        inbox.put(None)


@cache
def kept_threads(kind: str) -> KeptThreads:
    """Those for one kind of work."""
    return KeptThreads(f"deepface-kept-{kind}")


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=kept_threads.cache_clear)  # a child has none of them
