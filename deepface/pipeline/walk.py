"""The walk: pictures to faces to vectors and attributes, one batch after the other, in order."""

from __future__ import annotations

import queue
import sys
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, wait
from contextlib import AbstractContextManager, ExitStack, closing
from functools import partial
from typing import Any, Protocol, TypeVar

from deepface.errors import as_ours, fault_of, with_item
from deepface.images.batch import Attempt, Batch
from deepface.images.device_image import decoded, on_device
from deepface.pipeline.extraction import Seen
from deepface.pipeline.plan import Lane, Plan, Step
from deepface.runtime.concurrency.kept_threads import kept_threads
from deepface.runtime.concurrency.prefetch import ahead
from deepface.runtime.concurrency.stage import Stage, stages
from deepface.runtime.execution.batching import halving
from deepface.runtime.progress import progress_bar

T = TypeVar("T")


#: Batches of a walk over several devices that are under way on each of them: while one waits for
#: the host, the other one has something to do.
_AT_ONCE = 2


def walk(batch: Batch, plan: Plan, progress: bool = False) -> Generator[list[Seen], None, None]:
    """The pictures of a batch with all that was planned for them, a list per batch, in order.

    A picture that cannot be loaded, has no face where it must, or makes a step fail has its
    ``error``, which names it; nobody else's result changes. Whoever wants errors raised asks for
    :func:`checked` pictures. Only what every picture would meet is raised here.

    ``map`` and ``yield from`` keep nothing of what they hand on: memory is that of two batches, of
    three on CUDA, of three per device where several share the work, however many pictures come.

    Args:
        batch: the pictures.
        plan: what is done with them.
        progress: show a progress bar.

    Raises:
        DeepFaceError: a step that no picture can do without cannot be taken at all.
    """
    with ExitStack() as stack:
        chunks = stack.enter_context(
            closing(batch.attempts(plan.batch_size, plan.workers, leave_jpeg=plan.decodes))
        )
        run = _one_lane if len(plan.lanes) == 1 else _several_lanes
        seen = run(chunks, plan, batch.single, stack)
        bar = stack.enter_context(_progress_bar(batch, progress))
        stack.callback(batch.interrupt)  # first of all, or threads would wait for the source
        yield from map(partial(_counted, bar=bar), seen)


def _one_lane(
    chunks: Iterator[list[Attempt]], plan: Plan, single: bool, stack: ExitStack
) -> Iterator[list[Seen]]:
    (lane,) = plan.lanes
    apart = plan.loads_ahead or plan.finds_ahead
    device = lane.device if apart else None
    loading, finding, rest = stack.enter_context(stages(device, 3))
    load = partial(_loaded, plan=plan, lane=lane, single=single)
    find = partial(_taken, steps=[lane.find], single=single)
    later = partial(_taken, steps=lane.later, single=single)
    seen: Iterator[Any] = map(partial(loading.first, load), chunks)
    if plan.loads_ahead:
        seen = stack.enter_context(closing(ahead(seen, kind="load" if lane.is_cuda else None)))
    seen = map(partial(finding.take, find), seen)
    if plan.finds_ahead:
        seen = stack.enter_context(closing(ahead(seen, kind="find" if lane.is_cuda else None)))
    return map(partial(rest.last, later), seen)


def _several_lanes(
    chunks: Iterator[list[Attempt]], plan: Plan, single: bool, stack: ExitStack
) -> Iterator[list[Seen]]:
    """Each device takes the next batch when it is free."""
    free: queue.SimpleQueue[tuple[Lane, Stage]] = queue.SimpleQueue()
    for lane in plan.lanes * _AT_ONCE:
        [stage] = stack.enter_context(stages(lane.device, 1))
        free.put((lane, stage))

    def work(chunk: list[Attempt]) -> list[Seen]:
        lane, place = free.get()

        def step(chunk: list[Attempt]) -> list[Seen]:
            seen = _loaded(chunk, plan, lane, single)
            return _taken(seen, [lane.find, *lane.later], single)

        try:
            return place.last(step, (chunk, None))
        finally:
            free.put((lane, place))

    running: set[Future[list[Seen]]] = set()

    def begin(chunk: list[Attempt]) -> Future[list[Seen]]:
        future = kept_threads("device").submit(partial(work, chunk))
        running.add(future)
        future.add_done_callback(running.discard)
        return future

    limit = _AT_ONCE * len(plan.lanes)
    stack.callback(lambda: wait([*running]))
    # Besides those that wait, one has just been begun, and one is the caller's.
    begun = stack.enter_context(closing(ahead(map(begin, chunks), limit - 2)))
    return map(Future.result, begun)


def one_by_one(lists: Iterable[list[T]]) -> Iterator[T]:
    """The items of lists in order, taken out of them: nobody but the caller holds one."""
    for items in lists:
        items.reverse()
        while items:
            yield items.pop()


class _HasError(Protocol):
    @property
    def error(self) -> Exception | None: ...


E = TypeVar("E", bound="_HasError")


def checked(item: E) -> E:
    """A picture, or what became of it: the one place where the error it had is raised."""
    if item.error is not None:
        raise item.error
    return item


def _loaded(chunk: list[Attempt], plan: Plan, lane: Lane, single: bool) -> list[Seen]:
    images = decoded(chunk, lane.device if plan.decodes else None, single)
    if lane.device is not None and lane.is_cuda:
        images = on_device(images, lane.device)
    return [Seen.of(image) for image in images]


def _taken(seen: list[Seen], steps: Iterable[Step], single: bool) -> list[Seen]:
    for step in steps:
        well = [item for item in seen if item.error is None]
        _take(step, well)
        for item in well:
            if item.error is not None:
                item.error = named(item.error, item, single)
    return seen


def _take(step: Step, well: Sequence[Seen]) -> None:
    """A step that fails for a batch is taken by each picture alone: one of them is to blame."""
    if not well:
        return
    try:
        halving(step, well)
        return
    except Exception as error:
        if fault_of(error) == "call":
            raise
        if len(well) == 1:
            well[0].error = error
            return
    for item in well:
        _take(step, [item])


def named(error: Exception, item: Seen, single: bool) -> Exception:
    """What goes wrong with a picture as an error of ours that names it.

    Raises:
        DeepFaceError: it is no picture's fault: every other would meet it, too.
    """
    if fault_of(error) == "call":
        raise error
    if single:
        return as_ours(error, f"Exception while processing {item.name}")
    return with_item(error, item.index, item.name)


def _counted(seen: list[Seen], bar: Any) -> list[Seen]:
    bar.update(len(seen))
    return seen


def _progress_bar(batch: Batch, progress: bool) -> AbstractContextManager[Any]:
    shown = progress and not batch.single and sys.stderr is not None  # else it has no console
    bar: AbstractContextManager[Any] = progress_bar(
        shown, total=batch.total, desc="Images", unit="image"
    )
    return bar
