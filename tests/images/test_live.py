"""Sources that block: what is ready comes out, in order; a fast one still fills its batches."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deepface.errors import DeepFaceError
from deepface.images import batch
from deepface.images.batch import FailedImage
from deepface.images.decode import Encoded
from deepface.images.load import read_item
from deepface.images.sources import open_sources
from deepface.pipeline import FacePipeline
from deepface.pipeline.plan import Plan
from tests.images.pictures import encoded, folder_of, picture

PNG = encoded(picture())
#: Long enough for any machine, short enough for a person who waits for a failure.
LIMIT = 20


class Source:
    """Gives bursts of pictures; goes on with the next burst when it is told to."""

    def __init__(self, *bursts: int, make: Callable[[int], Any] = lambda number: PNG) -> None:
        self._bursts, self._make = bursts, make
        self._go_on = threading.Semaphore(1)
        self.closed = threading.Event()

    def go_on(self) -> None:
        self._go_on.release()

    def __iter__(self) -> Iterator[Any]:
        number = 0
        try:
            for burst in self._bursts:
                assert self._go_on.acquire(timeout=LIMIT), "nobody took what was there"
                for _ in range(burst):
                    yield self._make(number)
                    number += 1
            assert self._go_on.acquire(timeout=LIMIT), "nobody took the last ones"
        finally:
            self.closed.set()


def feeders() -> list[threading.Thread]:
    return [t for t in threading.enumerate() if t.name == "deepface-source"]


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    yield
    end = time.monotonic() + LIMIT
    while feeders() and time.monotonic() < end:
        time.sleep(0.01)
    assert not feeders()


KINDS: dict[str, Callable[[int], Any]] = {
    "bytes": lambda number: PNG,
    "arrays": lambda number: picture(seed=number),
    "failures": lambda number: b"garbage" if number % 2 else PNG,
}


@pytest.mark.parametrize("size", [1, 2, 3, 32])
@pytest.mark.parametrize("bursts", [(1, 1, 1), (2, 1, 3), (7,), (1, 40, 1)])
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_ready_comes_out_while_the_source_blocks(
    size: int, bursts: tuple[int, ...], kind: str
) -> None:
    source = Source(*bursts, make=KINDS[kind])
    images = open_sources(iter(source)).attempts(size)
    indices: list[int] = []
    for total in np.cumsum(bursts).tolist():
        while len(indices) < total:
            chunk = next(images)
            assert 1 <= len(chunk) <= size
            indices += [image.index for image in chunk]
        source.go_on()
    assert indices == list(range(sum(bursts)))
    assert next(images, None) is None


class Stages(FacePipeline):
    """Three threads, as on a GPU that decodes."""

    def plan(self, single: bool = False) -> Plan:
        return replace(super().plan(single), loads_ahead=True, finds_ahead=True)


class Lanes(FacePipeline):
    """As on several GPUs."""

    def plan(self, single: bool = False) -> Plan:
        plan = super().plan(single)
        return replace(plan, lanes=plan.lanes * 3)


@pytest.mark.parametrize("kind", [FacePipeline, Stages, Lanes])
@pytest.mark.parametrize("batch_size", [1, 8])
def test_a_stream_can_be_left_while_its_source_blocks(
    kind: type[FacePipeline], batch_size: int
) -> None:
    source = Source(3, 1)
    stream: Any = kind("skip", batch_size=batch_size).stream(source)
    for _ in range(3):
        next(stream)
    start = time.monotonic()
    stream.close()
    assert time.monotonic() - start < LIMIT / 2
    names = {thread.name for thread in threading.enumerate()}
    assert not any(name.startswith(("deepface-ahead", "deepface-device")) for name in names)
    source.go_on()


@pytest.mark.parametrize("kind", [FacePipeline, Stages, Lanes])
def test_each_result_of_a_stream_comes_before_the_next_picture(kind: type[FacePipeline]) -> None:
    for batch_size in (1, 8):
        source = Source(1, 1, 2)
        pipeline = kind("skip", batch_size=batch_size)
        stream = pipeline.stream(source)
        for count in (1, 1, 2):
            for _ in range(count):
                assert next(stream).faces
            source.go_on()
        assert list(stream) == []


def test_a_fast_source_fills_its_batches(tmp_path: Path) -> None:
    """However slow the machine is, because a source that does not block is not waited for."""
    [path] = folder_of(tmp_path, 1)
    for item in (PNG, picture(), path):
        sources = open_sources(item for _ in range(50))
        sources.patience = sources.reading = LIMIT
        assert [len(chunk) for chunk in sources.attempts(16)] == [16, 16, 16, 2]


def test_a_source_is_asked_for_no_more_than_a_list_ahead() -> None:
    taken = 0

    def source() -> Iterator[Any]:
        nonlocal taken
        for _ in range(1000):
            taken += 1
            yield PNG

    images = open_sources(source()).attempts(5)
    seen = 0
    for _ in range(4):
        seen += len(next(images))
        time.sleep(0.02)
        assert taken <= seen + 5 + 1
    images.close()  # type: ignore[attr-defined]
    assert taken <= seen + 5 + 1


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit, TimeoutError])
@pytest.mark.parametrize("size", [1, 4])
def test_an_error_of_the_source_comes_in_its_turn(error: type[BaseException], size: int) -> None:
    def source() -> Iterator[Any]:
        for _ in range(6):
            yield PNG
        raise error("the camera is gone")

    seen = 0
    with pytest.raises(error, match="the camera is gone"):
        for chunk in open_sources(source()).attempts(size):
            seen += len(chunk)
    assert seen == 6


def test_it_can_be_left_while_the_source_blocks() -> None:
    source = Source(2, 5)
    images = open_sources(source).attempts(4)
    assert sum(len(next(images)) for _ in range(1)) >= 1
    start = time.monotonic()
    images.close()  # type: ignore[attr-defined]
    assert time.monotonic() - start < LIMIT / 2
    source.go_on()  # the thread takes one more picture at most, and goes
    end = time.monotonic() + LIMIT
    while feeders() and time.monotonic() < end:
        time.sleep(0.01)
    del images
    assert not feeders()


def test_a_picture_that_is_long_in_coming_holds_up_none_before_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A slow server among fast ones, say."""
    come = threading.Event()
    paths = folder_of(tmp_path, 3)

    def slowly(img: Any, name: str) -> Any:
        if img == paths[1]:
            assert come.wait(LIMIT)
        return read_item(img, name)

    monkeypatch.setattr(batch, "read_item", slowly)
    sources = open_sources(iter(paths))
    sources.reading = 0.05
    images = sources.attempts(3)
    assert [image.index for image in next(images)] == [0]
    come.set()
    assert [image.index for chunk in images for image in chunk] == [1, 2]


@pytest.mark.parametrize("kind", [FacePipeline, Stages, Lanes])
def test_no_picture_is_kept_while_the_source_blocks(
    kind: type[FacePipeline], monkeypatch: pytest.MonkeyPatch
) -> None:
    alive: list[weakref.ref[Any]] = []
    decode = Encoded.decode

    def noted(self: Encoded) -> Any:
        image = decode(self)
        alive.append(weakref.ref(image))
        return image

    monkeypatch.setattr(Encoded, "decode", noted)
    source = Source(4, 1)
    stream: Any = kind("skip", batch_size=2).stream(source)
    for _ in range(4):
        next(stream)
    end = time.monotonic() + LIMIT
    while any(ref() is not None for ref in alive) and time.monotonic() < end:
        gc.collect()
        time.sleep(0.01)
    assert len(alive) == 4
    assert not any(ref() is not None for ref in alive)
    source.go_on()
    stream.close()


def test_a_list_is_no_live_source(tmp_path: Path) -> None:
    for sources in ([PNG, PNG], (PNG,), np.stack([picture()] * 2), folder_of(tmp_path, 2)):
        images = open_sources(sources).attempts(2)
        next(images)
        assert not feeders()


def test_failures_of_one_are_no_failures_of_the_source() -> None:
    chunks = list(open_sources(iter([PNG, b"garbage", PNG])).attempts(4))
    failed = [type(image) is FailedImage for chunk in chunks for image in chunk]
    assert failed == [False, True, False]
    with pytest.raises(DeepFaceError, match="item 1"):
        list(open_sources(iter([PNG, b"garbage", PNG])).chunks(4))


@contextmanager
def command(*arguments: str) -> Iterator[Any]:
    """The command line, with a pipe at each end."""
    with subprocess.Popen(
        [sys.executable, "-m", "deepface.cli", "extract", "-", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        timer = threading.Timer(60, process.kill)
        timer.start()
        try:
            yield process
        finally:
            timer.cancel()
            process.kill()


def answer(process: Any, path: Path) -> str:
    process.stdin.write(f"{path}\n")
    process.stdin.flush()
    line: str = process.stdout.readline()
    return line


def test_the_command_line_answers_each_line_of_stdin(tmp_path: Path) -> None:
    with command("--detector-backend", "skip") as process:
        for path in folder_of(tmp_path, 3):
            assert os.fspath(path) in answer(process, path)
        process.stdin.close()
        assert process.wait() == 0, process.stderr.read()


def test_the_command_line_can_be_interrupted_while_it_waits_for_a_line(tmp_path: Path) -> None:
    [path] = folder_of(tmp_path, 1)
    with command("--detector-backend", "skip") as process:
        assert os.fspath(path) in answer(process, path)
        process.send_signal(signal.SIGINT)
        assert process.wait() == 130
        error = process.stderr.read()
        assert "interrupted after 1 picture" in error
        assert "Traceback" not in error and "Fatal" not in error
