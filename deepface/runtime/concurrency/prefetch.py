"""Iterators that run ahead in a thread of their own, by a bounded number of items."""

from __future__ import annotations

import atexit
import queue
import threading
import time
from collections.abc import Callable, Generator, Iterator
from concurrent import futures
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, TypeAlias, TypeVar

from deepface.runtime.concurrency.kept_threads import kept_threads

T = TypeVar("T")

_END = object()
#: Items with what was raised instead of them; the last one is ``_END``.
_Ready: TypeAlias = "queue.Queue[tuple[Any, BaseException | None]]"
#: Seconds for which a source may make what is ready wait.
PATIENCE = 0.01
#: Seconds for which Python's end waits for daemon threads, of which one's source may block.
_LAST_PATIENCE = 1.0
#: What stops each of them, by the event of its end.
_running: dict[threading.Event, Callable[[], object]] = {}


@contextmanager
def ending_before_python(stop: Callable[[], object]) -> Iterator[None]:
    """In a daemon thread: when Python ends, this is stopped, and waited for.

    Python (before 3.14) ends such threads by an exception of C++, at which the process aborts where
    the thread is in a library that takes no exceptions, OpenCV's reader of videos, say.
    """
    end = threading.Event()
    _running[end] = stop
    try:
        yield
    finally:
        del _running[end]
        end.set()


@atexit.register
def _end_threads() -> None:
    last = time.monotonic() + _LAST_PATIENCE
    running = dict(_running)
    for stop in running.values():
        stop()
    for end in running:
        end.wait(max(0, last - time.monotonic()))


def ahead(items: Iterator[T], depth: int = 1, kind: str | None = None) -> Generator[T, None, None]:
    """``items``, made in a thread while the caller works on those before.

    The thread is one that stays for other ``items`` of a ``kind``, where that is given.

    At most ``depth`` items wait, besides the one in the making and the caller's. What ``items``
    raises is raised here in its turn. Closing this generator ends the thread: it comes back when
    the item in the making is finished.
    """
    with _filled(items, depth, kind=kind) as ready:
        while True:
            item, error = ready.get()
            if error is not None:
                raise error
            if item is _END:
                return
            yield item
            del item


def as_they_come(items: Iterator[T], size: int) -> Generator[list[T], None, None]:
    """Lists of at most ``size`` items, which end where the next is not there within a moment.

    Closing this generator does not wait for a source that blocks: its thread ends when it goes on.
    """
    with _filled(items, size, patience=PATIENCE) as ready:
        item, error = None, None
        while item is not _END and error is None:
            chunk: list[T] = []
            with suppress(queue.Empty):
                while len(chunk) < size:
                    item, error = ready.get(timeout=PATIENCE if chunk else None)
                    if item is _END:
                        break
                    chunk.append(item)
            if chunk:
                yield chunk
        if error is not None:
            raise error


@contextmanager
def _filled(
    items: Iterator[Any], depth: int, patience: float | None = None, kind: str | None = None
) -> Iterator[_Ready]:
    """A queue of ``depth`` that a thread fills; the thread is waited for at the end."""
    ready: _Ready = queue.Queue(depth)
    stop = threading.Event()
    work = partial(_fill, ready, items, stop)
    wait: Callable[[float | None], object]
    if kind is None:
        thread = threading.Thread(target=work, name="deepface-ahead", daemon=True)
        thread.start()
        wait = thread.join
    else:
        wait = partial(futures.wait, [kept_threads(kind).submit(work)])
    try:
        yield ready
    finally:
        stop.set()
        wait(patience)


def _fill(ready: _Ready, items: Iterator[Any], stop: threading.Event) -> None:
    def put(item: Any, error: BaseException | None = None) -> bool:
        while not stop.is_set():
            with suppress(queue.Full):
                ready.put((item, error), timeout=0.1)
                return True
        return False

    with ending_before_python(stop.set):
        try:
            for item in items:
                if not put(item):
                    break
                del item  # or it would live until the next one is complete
            else:
                put(_END)
        except BaseException as error:
            put(_END, error)
        finally:
            getattr(items, "close", bool)()
