"""Group by shape, run in chunks, restore the order.

A tensor depends on its own image alone (law 1): images are never padded to one another. Those
whose arrays happen to have the same shape are stacked; the others form groups of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

#: Images per step when the caller does not say.
DEFAULT_BATCH_SIZE = 32


def chunks(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """Consecutive slices of at most ``size`` items."""
    if size < 1:
        raise ValueError(f"batch_size must be at least 1, but it is {size}")
    for start in range(0, len(items), size):
        yield items[start : start + size]


def group_indices(keys: Sequence[Hashable]) -> dict[Hashable, list[int]]:
    """Positions of equal keys, in the order in which the keys first appear."""
    groups: dict[Hashable, list[int]] = {}
    for position, key in enumerate(keys):
        groups.setdefault(key, []).append(position)
    return groups


def map_grouped(
    items: Sequence[T],
    key: Callable[[T], Hashable],
    run: Callable[[list[T]], Sequence[R]],
    chunk_size: int = DEFAULT_BATCH_SIZE,
) -> list[R]:
    """Run ``run`` over chunks of items with equal ``key``; results in the order of ``items``."""
    results: dict[int, R] = {}
    for positions in group_indices([key(item) for item in items]).values():
        for chunk in chunks(positions, chunk_size):
            outputs = run([items[position] for position in chunk])
            results.update(zip(chunk, outputs, strict=True))
    return [results[position] for position in range(len(items))]
