"""Batches of a function that raises for one bad item: its error, and the others' results."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from typing import Any, TypeVar

from deepface.errors import fault_of
from deepface.runtime.concurrency.prefetch import as_they_come

T = TypeVar("T")
R = TypeVar("R")


def attempts(
    items: Iterable[T], call: Callable[[Sequence[T]], Sequence[R]], size: int
) -> Iterator[tuple[T, R | Exception]]:
    """Each item with its result or its error, in order, ``size`` items at a time.

    Where the items make one wait, those that are there go on. A batch that fails is halved until
    the bad item is alone.
    """
    with closing(as_they_come(iter(items), size)) as chunks:
        for chunk in chunks:
            yield from zip(chunk, _halved(chunk, call), strict=True)


def _halved(items: Sequence[Any], call: Callable[[Sequence[Any]], Sequence[Any]]) -> list[Any]:
    try:
        return list(call(items))
    except Exception as error:
        for reason in (error, error.__cause__):
            if reason is not None and fault_of(reason) == "call":  # no item is to blame
                raise reason from None
        if len(items) == 1:
            return [error]
    middle = len(items) // 2
    return _halved(items[:middle], call) + _halved(items[middle:], call)
