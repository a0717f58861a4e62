"""One bounded queue where the pictures of all callers meet, and a worker per device.

A caller's pictures wait with those of others that want the same of them. A worker takes what
waits, in the order of arrival, and walks it as one batch: :func:`deepface.pipeline.walk.walk`,
whose results do not depend on a picture's neighbours, so everybody gets the answer that he would
have had alone. A batch leaves when it is full, when its oldest picture has waited ``max_wait``
seconds, or when nobody else is on the way: a single caller never waits for others.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import CancelledError, Future
from concurrent.futures import TimeoutError as NotInTime
from contextvars import ContextVar
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Any

from deepface.errors import as_ours, with_item, without_item
from deepface.images.batch import Batch
from deepface.logger import get_logger
from deepface.pipeline import FacePipeline
from deepface.pipeline.extraction import Seen
from deepface.pipeline.plan import Plan
from deepface.pipeline.walk import walk
from deepface.server.stopwatch import Stopwatch, WatchedBatch

#: Full batches that a worker takes of one kind before it looks at the others.
_ROUNDS = 4
#: Fields of a pipeline that change no result; a worker sets its own.
_OF_THE_WORKER = {"batch_size": None, "device": None, "workers": None, "progress": False}
#: Fields that matter when results are described, after the walk.
_OF_THE_CALLER = {"color_face": "rgb", "normalize_face": True}


class Overloaded(RuntimeError):
    """The queue is full; ``retry_after`` seconds later it may have room."""

    def __init__(self, retry_after: int) -> None:
        super().__init__("the server is overloaded: try again later")
        self.retry_after = retry_after


class DeadlineExceeded(RuntimeError):
    """The caller's time was up before the answer was there."""


class ShuttingDown(RuntimeError):
    """The server takes no more work."""


class Call:
    """One request: until when its answer is wanted, and whether anybody still wants it.

    Use it as a context: pictures that have not been looked at when it ends are dropped.

    Args:
        batcher: where its pictures go. Until they are there, others may wait for them.
        seconds: time that it has.
    """

    def __init__(self, batcher: Batcher, seconds: float = math.inf) -> None:
        self.deadline = time.monotonic() + seconds
        self.cancelled = False
        #: Longest time that one of its pictures has been queued, in seconds.
        self.queued = 0.0
        self._batcher = batcher
        self._ahead: dict[int, Future[Seen]] = {}
        self._pending: set[Future[Seen]] = set()
        self._lock = threading.Lock()
        self._on_the_way = True
        batcher.expect(1)

    def __enter__(self) -> Call:
        return self

    def __exit__(self, *exc: object) -> None:
        self.cancel()

    def submit(self, pipeline: FacePipeline, pictures: Sequence[Any]) -> list[Future[Seen]]:
        """Queue pictures, all or none; see :meth:`Batcher.submit`."""
        with self._lock:
            if self.cancelled:
                raise CancelledError
            try:
                futures = self._batcher.submit(pipeline, pictures, self)
            finally:
                self._arrived()
            self._pending.update(futures)
        return futures

    def submit_ahead(self, pipeline: FacePipeline, pictures: Sequence[Any]) -> None:
        """Queue pictures that will be asked for one after the other, so that they meet."""
        futures = self.submit(pipeline, pictures)
        self._ahead.update({id(p): f for p, f in zip(pictures, futures, strict=True)})

    def settle(self) -> None:
        """Wait for those that are ahead; raises as :meth:`result` does."""
        for future in self._ahead.values():
            self.result(future)

    def futures(self, pipeline: FacePipeline, pictures: Sequence[Any]) -> list[Future[Seen]]:
        """The pictures' results to come: those that are ahead, or queued now."""
        if pictures and all(id(picture) in self._ahead for picture in pictures):
            return [self._ahead[id(picture)] for picture in pictures]
        return self.submit(pipeline, pictures)

    def left(self) -> float:
        """Seconds that are left for something else than a picture's turn.

        Raises:
            DeadlineExceeded: there are none.
            CancelledError: the caller has gone away.
        """
        if self.cancelled:
            raise CancelledError
        if (left := self.deadline - time.monotonic()) <= 0:
            raise DeadlineExceeded("the deadline of the request has passed")
        return left

    def result(self, future: Future[Seen]) -> Seen:
        """Wait for one result.

        Raises:
            DeadlineExceeded: the time was up first.
            CancelledError: the caller has gone away.
        """
        left = self.deadline - time.monotonic()
        try:
            return future.result(None if left == math.inf else max(left, 0))
        except NotInTime:
            raise DeadlineExceeded("the deadline of the request has passed") from None

    def cancel(self) -> None:
        """Drop what has not been looked at yet; whoever waits for it is woken."""
        with self._lock:
            self.cancelled = True
            pending, self._pending = self._pending, set()
            self._arrived()
        for future in pending:
            future.cancel()

    def _arrived(self) -> None:
        if self._on_the_way:
            self._on_the_way = False
            self._batcher.expect(-1)


#: The request that the present thread works for.
current_call: ContextVar[Call] = ContextVar("current_call")


@dataclass(frozen=True)
class SharedPipeline(FacePipeline):
    """A pipeline whose pictures take the walk together with those of other callers.

    It is called within a :class:`Call`, the value of :data:`current_call`.
    """

    batcher: Any = field(default=None, compare=False, repr=False)

    @cached_property
    def kind(self) -> FacePipeline:
        """What is wanted of pictures: those of equal kinds are walked together."""
        wanted = {f.name: getattr(self, f.name) for f in fields(FacePipeline) if f.init}
        return FacePipeline(**wanted | _OF_THE_WORKER | _OF_THE_CALLER)

    def walk(self, batch: Batch) -> Generator[list[Seen], None, None]:
        """As that of the base class, with the same errors in the same words."""
        call = current_call.get()
        for index, future in enumerate(call.futures(self.kind, list(batch))):
            # A copy: the index is the caller's, and a result may be asked for twice.
            seen = replace(call.result(future), index=index)
            if seen.error is not None:
                seen.error = _named(seen, batch.single)
            yield [seen]


@dataclass(frozen=True)
class BatchReport:
    """What a worker tells of each batch.

    ``queued`` is one number of seconds per picture; ``steps`` are seconds by step, see
    :class:`deepface.server.stopwatch.Stopwatch`.
    """

    kind: FacePipeline
    queued: list[float]
    seconds: float
    steps: dict[str, float]
    faces: int
    errors: int


@dataclass(eq=False)
class _Item:
    picture: Any
    call: Call
    arrived: float
    result: Future[Seen] = field(default_factory=Future)

    def claim(self) -> bool:
        """Whether it is still to be looked at; from here on it is not dropped any more."""
        if not self.result.set_running_or_notify_cancel():
            return False
        if self.call.deadline <= time.monotonic():
            self.result.set_exception(DeadlineExceeded("the deadline of the request has passed"))
            return False
        return True


class Batcher:
    """The queue and its workers.

    Args:
        devices: a worker each; ``None`` is the default device. A device may stand there twice.
        batch_size: most pictures per batch.
        max_wait: most seconds that a picture waits for others.
        max_queue: most pictures that wait.
        observe: is told of each batch.
    """

    def __init__(
        self,
        devices: Sequence[str | None] = (None,),
        batch_size: int = 32,
        max_wait: float = 0.005,
        max_queue: int = 512,
        observe: Callable[[BatchReport], None] = lambda done: None,
    ) -> None:
        self._batch_size, self._max_wait, self._max_queue = batch_size, max_wait, max_queue
        self.observe = observe
        self._changed = threading.Condition()  # guards what follows
        self._queues: dict[FacePipeline, deque[_Item]] = {}
        self._count = 0
        self._on_the_way = 0
        self._closing = False
        self._devices = tuple(devices)
        self._idle = len(devices)
        self._pace = 0.0  # seconds per picture, lately
        #: Begun with the first picture: a process that forks before that (``gunicorn --preload``)
        #: would keep them to itself.
        self._workers: list[threading.Thread] = []

    def __len__(self) -> int:
        """How many pictures wait."""
        return self._count

    def expect(self, change: int) -> None:
        """So many more callers are about to come (or, if negative, have come)."""
        with self._changed:
            self._on_the_way += change
            if not self._on_the_way:
                self._changed.notify_all()

    def is_full(self) -> bool:
        """Whether not even one picture more would be taken."""
        return self._count >= self._max_queue

    def retry_after(self) -> int:
        """Seconds after which the queue may have room: what the present one takes, 1 to 60."""
        return max(1, min(60, math.ceil(self._count * self._pace / len(self._devices))))

    def submit(self, kind: FacePipeline, pictures: Sequence[Any], call: Call) -> list[Future[Seen]]:
        """Queue a caller's pictures, all or none.

        Raises:
            Overloaded: there is no room for them.
            ShuttingDown: the server is being stopped.
        """
        with self._changed:
            if self._closing:
                raise ShuttingDown("the server is shutting down")
            if self._count + len(pictures) > self._max_queue:
                self._drop_cancelled()
            if self._count + len(pictures) > self._max_queue:
                raise Overloaded(self.retry_after())
            now = time.monotonic()
            items = [_Item(picture, call, now) for picture in pictures]
            if items:
                self._begin()
                self._queues.setdefault(kind, deque()).extend(items)
                self._count += len(items)
                self._changed.notify_all()
        return [item.result for item in items]

    def close(self, seconds: float = 30) -> None:
        """Take no more work, finish what waits, and give up on it when the time is over."""
        end = time.monotonic() + seconds
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        for worker in self._workers:
            worker.join(max(0, end - time.monotonic()))
        with self._changed:
            left = [item for queue in self._queues.values() for item in queue]
            self._queues.clear()
            self._count = 0
        for item in left:
            if item.claim():
                item.result.set_exception(ShuttingDown("the server was stopped"))

    def _begin(self) -> None:
        if not self._workers:
            for number, device in enumerate(self._devices):
                worker = threading.Thread(
                    target=self._work, args=(device,), daemon=True, name=f"batches-{number}"
                )
                worker.start()
                self._workers.append(worker)

    def _drop_cancelled(self) -> None:
        for kind, queue in list(self._queues.items()):
            kept = deque(item for item in queue if not item.result.cancelled())
            self._count -= len(queue) - len(kept)
            self._queues[kind] = kept
            if not kept:
                del self._queues[kind]

    def _work(self, device: str | None) -> None:
        while (turn := self._wait_for_batch()) is not None:
            self._run(*turn, device)
            with self._changed:
                self._idle += 1

    def _wait_for_batch(self) -> tuple[FacePipeline, _Item] | None:
        """The kind whose turn it is, and its oldest picture, which is taken.

        ``None`` when there is nothing left to do for ever.
        """
        with self._changed:
            while True:
                now = time.monotonic()
                # The one that has waited longest first; dicts keep no order of arrival here.
                by_age = sorted(self._queues.items(), key=lambda entry: entry[1][0].arrived)
                for kind, queue in by_age:
                    if (
                        len(queue) >= self._batch_size
                        or not self._on_the_way
                        or self._closing
                        or now - queue[0].arrived >= self._max_wait
                    ) and (first := self._take(kind)):
                        self._idle -= 1
                        return kind, first
                by_age = [entry for entry in by_age if entry[1]]  # some had only dropped ones
                if self._closing and not by_age:
                    return None
                wait = by_age[0][1][0].arrived + self._max_wait - now if by_age else None
                self._changed.wait(wait)

    def _take(self, kind: FacePipeline) -> _Item | None:
        """The oldest picture of a kind that somebody still waits for."""
        with self._changed:
            queue = self._queues.get(kind)
            while queue:
                item = queue.popleft()
                self._count -= 1
                if not queue:
                    del self._queues[kind]
                if item.claim():
                    return item
        return None

    def _take_more(self, kind: FacePipeline, taken: int) -> _Item | None:
        """Another one after so many: some batches, and one only where another worker is free."""
        with self._changed:
            rounds = 1 if self._idle else _ROUNDS
            return self._take(kind) if taken < self._batch_size * rounds else None

    def _run(self, kind: FacePipeline, first: _Item, device: str | None) -> None:
        """Walk what waits of one kind. Pictures that come meanwhile join, up to some batches."""
        taken = [first]
        queued: list[float] = []

        def waiting() -> Iterator[Any]:
            while True:
                item = taken[-1]
                queued.append(time.monotonic() - item.arrived)
                item.call.queued = max(item.call.queued, queued[-1])
                yield item.picture
                if (more := self._take_more(kind, len(taken))) is None:
                    return
                taken.append(more)

        begun, done, stopwatch = time.monotonic(), 0, Stopwatch()
        try:
            options = replace(kind, device=device, batch_size=self._batch_size)
            plan = stopwatch.watched(Plan.of(options))
            for seen in walk(WatchedBatch(waiting(), stopwatch), plan):
                for result in seen:
                    if result.error is not None:  # its place in a batch of strangers is nobody's
                        result.error = without_item(result.error)
                    taken[result.index].result.set_result(result)
                now = time.monotonic()
                self._tell(
                    BatchReport(
                        kind,
                        queued=queued[done : done + len(seen)],
                        seconds=now - begun,
                        steps=stopwatch.taken(),
                        faces=sum(len(item.faces) for item in seen),
                        errors=sum(item.error is not None for item in seen),
                    )
                )
                begun, done = now, done + len(seen)
                del seen, result  # or the pixels would live until the next batch
        except BaseException as error:  # no picture can be walked: a model is missing
            get_logger().error("a batch of %s failed: %r", kind.model_name, error)
            while more := self._take_more(kind, len(taken)):
                taken.append(more)
            for item in taken[done:]:
                if not item.result.done():
                    item.result.set_exception(error)

    def _tell(self, report: BatchReport) -> None:
        self._pace += 0.2 * (report.seconds / len(report.queued) - self._pace)
        self.observe(report)


def _named(seen: Seen, single: bool) -> Exception:
    """A picture's error as a caller who asks for it alone sees it."""
    assert seen.error is not None
    if not single:
        return with_item(seen.error, seen.index, seen.name)
    doing = "loading" if seen.image is None else "processing"
    return as_ours(seen.error, f"Exception while {doing} {seen.name}")
