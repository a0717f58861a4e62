"""Stages of the walk on streams of CUDA: what runs on different ones overlaps."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias, TypeVar

if TYPE_CHECKING:
    import torch

T = TypeVar("T")
R = TypeVar("R")
#: A batch, and the event after which its tensors may be used.
Passed: TypeAlias = "tuple[T, torch.cuda.Event | None]"


class Stage:
    """Steps of one kind with batches, on a stream of their own where ``device`` is CUDA's.

    A batch goes from stage to stage together with an event, after which its tensors may be used.
    What outlives a batch is finished when it is made (:mod:`deepface.runtime.execution.streams`).
    Whoever takes the last step waits for its end: until then the batch holds its tensors, so none
    is given back while another stream reads it.
    """

    def __init__(self, device: torch.device | None) -> None:
        self._stream: torch.cuda.Stream | None = None
        if device is not None and device.type == "cuda":
            import torch

            self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

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
