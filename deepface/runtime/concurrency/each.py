"""A function of many things at once, in threads that last as long as the call."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")


def in_threads(
    function: Callable[..., T], *arguments: Collection[Any], threads: int | None = None
) -> list[T]:
    """The same as ``list(map(function, *arguments))``.

    Args:
        function: what gives up Python's lock for most of its time.
        arguments: of one length.
        threads: at most so many; as many as there are processors, if it is not said.
    """
    threads = min(len(arguments[0]), threads or os.cpu_count() or 1)
    if threads < 2:
        return list(map(function, *arguments))
    with ThreadPoolExecutor(threads, thread_name_prefix="deepface-each") as pool:
        return list(pool.map(function, *arguments))
