"""An iterator that runs ahead in a thread of its own, by a bounded number of items."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterator
from typing import Any, TypeVar

T = TypeVar("T")

_END = object()


def ahead(items: Iterator[T], depth: int = 1) -> Generator[T, None, None]:
    """``items``, made in a thread while the caller works on those before.

    At most ``depth`` items wait, besides the one in the making and the caller's. What ``items``
    raises is raised here in its turn. Closing this generator ends the thread: it comes back when
    the item in the making is finished.
    """
    ready: queue.Queue[Any] = queue.Queue(depth)
    stop = threading.Event()

    def put(item: Any) -> bool:
        while not stop.is_set():
            try:
                ready.put(item, timeout=0.1)
            except queue.Full:
                continue
            return True
        return False

    def work() -> None:
        try:
            for item in items:
                if not put((item, None)):
                    break
                del item  # or it would live until the next one is complete
            else:
                put((_END, None))
        except BaseException as error:
            put((_END, error))
        finally:
            close = getattr(items, "close", None)
            if close is not None:
                close()

    thread = threading.Thread(target=work, name="deepface-ahead", daemon=True)
    thread.start()
    try:
        while True:
            item, error = ready.get()
            if error is not None:
                raise error
            if item is _END:
                return
            yield item
            del item
    finally:
        stop.set()
        thread.join()
