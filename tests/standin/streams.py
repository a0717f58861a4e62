"""Streams and events: who may use what, since whom has been waited for."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

DEVICES = 2


class Stream:
    """Work on one device in order. ``tick`` counts it, ``seen`` says what it waits for of others.

    Args:
        device: as for ``torch.cuda.Stream``.
    """

    def __init__(self, device: Any = None, priority: int = 0, **_: Any) -> None:
        self.index = index_of(device)
        self.tick = 0
        self.seen: dict[Stream, int] = {}
        self.cuda_stream = 0

    @property
    def device(self) -> torch.device:
        """The device."""
        return torch.device("cuda", self.index)

    def marks(self) -> dict[Stream, int]:
        """All that is done once this stream has come to its present end."""
        return {**self.seen, self: self.tick}

    def wait_stream(self, other: Stream) -> None:
        """Later work here comes after what is on the other stream now."""
        _merge(self.seen, other.marks())

    def wait_event(self, event: Event) -> None:
        """Later work here comes after the event."""
        _merge(self.seen, event.marks)

    def record_event(self, event: Event | None = None) -> Event:
        """An event after what is here now."""
        event = event or Event()
        event.record(self)
        return event

    def synchronize(self) -> None:
        """The host waits."""
        HOST.wait("synchronize", self.marks())

    def query(self) -> bool:
        """Whether all is done; it might be."""
        return False


class Event:
    """A moment on a stream."""

    def __init__(self, *_: Any, **__: Any) -> None:
        self.marks: dict[Stream, int] = {}

    def record(self, stream: Stream | None = None) -> None:
        """Now, on that stream."""
        self.marks = (stream or current_stream()).marks()

    def wait(self, stream: Stream | None = None) -> None:
        """Later work on that stream comes after this."""
        (stream or current_stream()).wait_event(self)

    def synchronize(self) -> None:
        """The host waits."""
        HOST.wait("event", self.marks)

    def query(self) -> bool:
        """Whether it has come; it might have."""
        return False

    def elapsed_time(self, _: Event) -> float:
        """No clock."""
        return 0.0


class _Host:
    """What the host has waited for, and what lands in its memory by then."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.known: dict[Stream, int] = {}
        self.note: Any = lambda _: None
        self._landing: list[tuple[Stream, int, Tensor, Tensor]] = []

    def wait(self, what: str, marks: dict[Stream, int]) -> None:
        self.note(what)
        self.learn(marks)

    def learn(self, marks: dict[Stream, int]) -> None:
        with self._lock:
            _merge(self.known, marks)
            rest = []
            for stream, tick, target, value in self._landing:
                if tick <= self.known.get(stream, 0):
                    with torch.inference_mode():
                        target.copy_(value)
                else:
                    rest.append((stream, tick, target, value))
            self._landing = rest

    def later(self, stream: Stream, target: Tensor, value: Tensor) -> None:
        """``target`` is garbage until the host has waited for what is on the stream now."""
        with self._lock:
            self._landing.append((stream, stream.tick, target, value.clone()))
        target.fill_(85)


HOST = _Host()
_local = threading.local()
_defaults: dict[int, Stream] = {}


def current_index() -> int:
    """The device of ``"cuda"`` in this thread."""
    return getattr(_local, "index", 0)


def index_of(device: Any) -> int:
    """The number of a device as PyTorch names it."""
    if device is None:
        return current_index()
    if isinstance(device, int):
        return device
    index = torch.device(device).index
    return current_index() if index is None else index


def current_stream(device: Any = None) -> Stream:
    """Where this thread's work goes."""
    index = index_of(device)
    chosen: dict[int, Stream] = getattr(_local, "streams", {})
    return chosen.get(index) or default_stream(index)


def default_stream(device: Any = None) -> Stream:
    """The stream of those who choose none."""
    return _defaults.setdefault(index_of(device), Stream(index_of(device)))


@contextlib.contextmanager
def stream(chosen: Stream | None) -> Iterator[None]:
    """``torch.cuda.stream``."""
    if chosen is None:
        yield
        return
    before = dict(getattr(_local, "streams", {}))
    _local.streams = {**before, chosen.index: chosen}
    try:
        with device(chosen.index):
            yield
    finally:
        _local.streams = before


@contextlib.contextmanager
def device(chosen: Any) -> Iterator[None]:
    """``torch.cuda.device``."""
    before = current_index()
    _local.index = index_of(chosen)
    try:
        yield
    finally:
        _local.index = before


def _merge(into: dict[Stream, int], marks: dict[Stream, int]) -> None:
    for other, tick in marks.items():
        into[other] = max(into.get(other, 0), tick)
