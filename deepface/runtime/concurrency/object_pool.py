"""Objects that only one thread may use at a time, for any number of threads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

T = TypeVar("T")


class ObjectPool(Generic[T]):
    """Lends objects that are not thread-safe; there are as many as were ever needed at once.

    The first is built at once, so that what is wrong with it shows early.
    """

    def __init__(self, build: Callable[[], T]) -> None:
        self._build = build
        self._idle = [build()]

    @contextmanager
    def borrow(self) -> Iterator[T]:
        """An object that nobody else uses meanwhile."""
        try:
            item = self._idle.pop()  # atomic, as is append
        except IndexError:
            item = self._build()
        try:
            yield item
        finally:
            self._idle.append(item)
