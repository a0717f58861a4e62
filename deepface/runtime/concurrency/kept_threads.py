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

    def submit(self, work: Callable[[], R], future: Future[R] | None = None) -> Future[R]:
        """Do some work in the thread that was used last; its result, or what it raised.

        That comes in a new future or in the one given, which can be cancelled until work begins.
        """
        result: Future[R] = future or Future()
        inbox: _Inbox

        def run() -> None:
            tell = _outcome(work, result)
            self._idle.append(inbox)  # atomic, as is pop; who is told may bring more work at once
            tell()

        try:
            inbox = self._idle.pop()
        except IndexError:
            inbox = SimpleQueue()
            threading.Thread(target=_serve, args=(inbox,), name=self._name, daemon=True).start()
        inbox.put(run)
        return result


def _outcome(work: Callable[[], R], future: Future[R]) -> Callable[[], None]:
    """Do the work; what is returned tells of its end."""
    if not future.set_running_or_notify_cancel():
        return lambda: None
    try:
        return partial(future.set_result, work())
    except BaseException as error:
        return partial(future.set_exception, error)


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
