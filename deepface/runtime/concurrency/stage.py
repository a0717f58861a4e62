"""Stages of the walk on streams of CUDA: what runs on different ones overlaps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache, partial
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from deepface.runtime.concurrency.object_pool import ObjectPool

if TYPE_CHECKING:
    import torch

T = TypeVar("T")
R = TypeVar("R")
#: A batch, and the event after which its tensors may be used.
Passed: TypeAlias = "tuple[T, torch.cuda.Event | None]"


@cache
def _streams(device: torch.device) -> ObjectPool[torch.cuda.Stream]:
    """Streams of a CUDA device. PyTorch keeps freed memory for the stream that had it: with new
    streams every walk would have memory of its own.
    """
    import torch

    return ObjectPool(partial(torch.cuda.Stream, device))


@contextmanager
def stages(device: torch.device | None, count: int) -> Iterator[list[Stage]]:
    """Some stages of a walk; no other one has their streams until it ends."""
    if device is None or device.type != "cuda":
        yield [Stage(None) for _ in range(count)]
        return
    with ExitStack() as stack:
        pool = _streams(device)
        yield [Stage(stack.enter_context(pool.borrow())) for _ in range(count)]


class Stage:
    """Steps of one kind with batches, on a stream of their own where ``device`` is CUDA's.

    A batch goes from stage to stage together with an event, after which its tensors may be used.
    What outlives a batch is finished when it is made (:mod:`deepface.runtime.execution.streams`).
    Whoever takes the last step waits for its end: until then the batch holds its tensors, so none
    is given back while another stream reads it.
    """

    def __init__(self, stream: torch.cuda.Stream | None) -> None:
        self._stream = stream

    def first(self, step: Callable[[T], R], batch: T) -> Passed[R]:
        """See :meth:`take`, with a batch that comes from no stage."""
        return self.take(step, (batch, None))

    def take(self, step: Callable[[T], R], passed: Passed[T]) -> Passed[R]:
        """A step's result, and the event of its end; it begins after the event that is given."""
        batch, before = passed
        if self._stream is None:
            return step(batch), None
        import torch

        with torch.cuda.stream(self._stream):
            if before is not None:
                self._stream.wait_event(before)
            return step(batch), self._stream.record_event()

    def last(self, step: Callable[[T], R], passed: Passed[T]) -> R:
        """Likewise the last step's result, when it is there."""
        result, end = self.take(step, passed)
        if end is not None:
            end.synchronize()
        return result
