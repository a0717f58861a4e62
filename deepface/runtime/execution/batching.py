"""Group by shape, run in chunks, halve what is too much for the memory.

A tensor depends on its own image alone (law 1): images are never padded to one another. Those
whose arrays happen to have the same shape are stacked; the others form groups of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from deepface.logger import get_logger
from deepface.runtime.execution.device import cuda_is_running, may_have_cuda, resolve_device

if TYPE_CHECKING:
    import torch

T = TypeVar("T")
R = TypeVar("R")
Key = TypeVar("Key", bound=Hashable)

#: Images per step when the caller does not say.
DEFAULT_BATCH_SIZE = 32
#: What the activations of the largest detector take for one picture, generously.
_BYTES_PER_IMAGE = 256_000_000
_LARGEST_BATCH = 256


def chunks(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """Consecutive slices of at most ``size`` items."""
    if size < 1:
        raise ValueError(f"batch_size must be at least 1, but it is {size}")
    for start in range(0, len(items), size):
        yield items[start : start + size]


def powers_of_two(items: Sequence[T], largest: int) -> Iterator[Sequence[T]]:
    """Consecutive slices of 1, 2, 4 … and at most ``largest`` items, the largest first."""
    start = 0
    while start < len(items):
        size = 1 << (min(largest, len(items) - start).bit_length() - 1)
        yield items[start : start + size]
        start += size


def group_indices(keys: Sequence[Key]) -> dict[Key, list[int]]:
    """Positions of equal keys, in the order in which the keys first appear."""
    groups: dict[Key, list[int]] = {}
    for position, key in enumerate(keys):
        groups.setdefault(key, []).append(position)
    return groups


def regrouped(items: Iterable[T], groups: Sequence[Sequence[Any]]) -> list[list[T]]:
    """Items, one after the other, in groups as long as those."""
    left = iter(items)
    return [[next(left) for _ in group] for group in groups]


def automatic_batch_size(device: str | torch.device | None = None) -> int:
    """Images per step where the caller does not say.

    The default; on CUDA more, as free memory allows. Where that was too many after all, the
    network runner halves what it runs at a time.
    """
    if not may_have_cuda():
        return DEFAULT_BATCH_SIZE
    import torch

    resolved = resolve_device(device)
    if resolved.type != "cuda":
        return DEFAULT_BATCH_SIZE
    free, _ = torch.cuda.mem_get_info(resolved)
    return int(min(_LARGEST_BATCH, max(DEFAULT_BATCH_SIZE, free // _BYTES_PER_IMAGE)))


def halving(run: Callable[[Sequence[T]], Sequence[R]], items: Sequence[T]) -> list[R]:
    """The results of ``run``, one per item; where a device's memory is out, of half of them."""
    try:
        return list(run(items))
    except RuntimeError as error:
        if len(items) < 2 or not is_out_of_memory(error):
            raise
    # Not before here are the tensors of what failed gone, which the error held.
    middle = len(items) // 2
    get_logger().info("out of memory: going on with %d at a time instead of %d", middle, len(items))
    if cuda_is_running():
        from deepface.runtime.execution.cuda_graphs import give_memory_back

        give_memory_back()
    return [*halving(run, items[:middle]), *halving(run, items[middle:])]


def is_out_of_memory(error: Exception) -> bool:
    """Whether a device, or nvJPEG or cuDNN on it, has no memory left."""
    return isinstance(error, RuntimeError) and "out of memory" in str(error).lower()
