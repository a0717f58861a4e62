"""Parts of a list, each worked on by cores of its own.

The operations of small networks are short, and after each of them OpenMP's threads wait for one
another: two share it badly, and one that another process keeps from its core holds up the rest.
Parts of a list have nothing to wait for. (With recognition networks, whose operations are longer,
it was slower: 0.92 to 0.93 times.)
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from functools import partial
from typing import TypeVar

import torch

from deepface.runtime.concurrency.kept_threads import kept_threads

T = TypeVar("T")
R = TypeVar("R")

#: Parts at most: what is Python in their work, they do by turns.
_PARTS = 8

_lock = threading.Lock()
_own = threading.local()


def by_core(work: Callable[[Sequence[T]], Sequence[R]], items: Sequence[T]) -> Sequence[R]:
    """``work(items)``, a result per item; done in parts, which share the cores that torch uses."""
    cores = torch.get_num_threads()
    parts = min(len(items), cores, _PARTS)
    if parts < 2:
        return work(items)
    each = cores // parts
    threads = kept_threads(f"with-{each}-cores")
    # Every so many-th: neighbours are often alike, and no part should be much longer than another.
    # All are here before one begins: Ctrl-C may come before a call that begins one returns.
    futures: list[Future[Sequence[R]]] = [Future() for _ in range(parts)]
    try:
        for start, future in enumerate(futures):
            threads.submit(partial(_on_cores, each, work, items[start::parts]), future)
        wait(futures)
    except KeyboardInterrupt:  # Python ends by an abort where threads are in PyTorch
        wait([future for future in futures if not future.cancel()])
        raise
    results: list[R] = [None] * len(items)  # type: ignore[list-item]
    for start, future in enumerate(futures):
        results[start::parts] = future.result()
    return results


def _on_cores(
    count: int, work: Callable[[Sequence[T]], Sequence[R]], items: Sequence[T]
) -> Sequence[R]:
    """``work(items)`` in a thread for work on so many cores, which other threads need not heed."""
    if not hasattr(_own, "cores"):
        with _lock:
            # A thread takes over the process's number of cores when it is first asked for it. To
            # set its own sets the process's, too: a thread that has none yet sets that back.
            restored = threading.Thread(
                target=torch.set_num_threads, args=(torch.get_num_threads(),)
            )
            torch.set_num_threads(count)
            restored.start()
            restored.join()
        _own.cores = count
    return work(items)
