"""An iterator that runs ahead in a thread."""

from __future__ import annotations

import gc
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from deepface.runtime.concurrency.kept_threads import KeptThreads
from deepface.runtime.concurrency.prefetch import ahead, as_they_come


def threads() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name == "deepface-ahead"]


def test_the_same_items_in_order() -> None:
    assert list(ahead(iter(range(50)), 3)) == list(range(50))
    assert list(ahead(iter(()))) == []
    assert not threads()


def test_it_runs_ahead_no_further_than_told() -> None:
    made = []

    def items() -> Iterator[int]:
        for n in range(100):
            made.append(n)
            yield n

    walk = ahead(items(), 2)
    next(walk)
    deadline = time.monotonic() + 10
    while len(made) < 4 and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.3)
    assert len(made) == 4  # the caller's, two that wait, one that waits to be put down
    walk.close()  # type: ignore[attr-defined]
    assert not threads()


def test_an_error_comes_in_its_turn() -> None:
    def items() -> Iterator[int]:
        yield 1
        yield 2
        raise KeyError("three")

    seen = []
    with pytest.raises(KeyError, match="three"):
        for item in ahead(items(), 5):
            seen.append(item)
    assert seen == [1, 2]
    assert not threads()


def test_closing_closes_the_source() -> None:
    closed = threading.Event()

    def items() -> Iterator[int]:
        try:
            yield from range(100)
        finally:
            closed.set()

    walk = ahead(items())
    assert next(walk) == 0
    walk.close()  # type: ignore[attr-defined]
    assert closed.is_set()
    assert not threads()


@pytest.mark.parametrize("size", [1, 3, 64])
def test_lists_end_where_the_source_blocks(size: int) -> None:
    go_on = threading.Semaphore(1)

    def source() -> Iterator[int]:
        for burst in (range(2), range(2, 7), range(7, 8)):
            assert go_on.acquire(timeout=20), "nobody took what was there"
            yield from burst
        assert go_on.acquire(timeout=20)

    lists = as_they_come(source(), size)
    found: list[int] = []
    for total in (2, 7, 8):
        while len(found) < total:
            part = next(lists)
            assert 1 <= len(part) <= size
            found += part
        go_on.release()
    assert found == list(range(8))
    assert next(lists, None) is None


def test_an_error_comes_after_what_was_before_it() -> None:
    def source() -> Iterator[int]:
        yield from range(5)
        raise RuntimeError("gone")

    found: list[int] = []
    with pytest.raises(RuntimeError, match="gone"):
        for part in as_they_come(source(), 3):
            found += part
    assert found == list(range(5))


def test_lists_of_a_source_that_blocks_can_be_left() -> None:
    go_on = threading.Event()

    def source() -> Iterator[int]:
        yield 1
        go_on.wait(20)

    lists = as_they_come(source(), 4)
    assert next(lists) == [1]
    lists.close()
    go_on.set()


def test_a_thread_stays_for_items_of_its_kind() -> None:
    """What PyTorch keeps for a thread serves the next walk; two at once have two threads."""

    def names(kind: str | None) -> Iterator[int]:
        return ahead(iter(threading.get_ident, None), 1, kind)

    first, second = names("tested"), names("tested")
    of_first, of_second = next(first), next(second)
    assert of_first != of_second
    second.close()  # type: ignore[attr-defined]
    third = names("tested")
    assert next(third) == of_second
    for walk in (first, third):
        walk.close()  # type: ignore[attr-defined]
    other = names("tested otherwise")
    assert next(other) not in (of_first, of_second)
    other.close()  # type: ignore[attr-defined]
    assert list(ahead(iter(range(9)), 1, "tested")) == list(range(9))
    assert not threads()


def test_an_error_leaves_the_thread_for_others() -> None:
    def items() -> Iterator[int]:
        yield threading.get_ident()
        raise KeyError("gone")

    used = []
    for _ in range(3):
        with pytest.raises(KeyError, match="gone"):
            for item in ahead(items(), 1, "failing"):
                used.append(item)
    assert len(set(used)) == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows does not fork")
def test_a_forked_child_has_threads_of_its_own() -> None:
    assert list(ahead(iter(range(3)), 1, "forked")) == [0, 1, 2]
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.write(writer, bytes(list(ahead(iter(range(3)), 1, "forked"))))
        os._exit(0)
    os.close(writer)
    ready, _, _ = select.select([reader], [], [], 60)
    found = os.read(reader, 10) if ready else b"it hangs"
    os.close(reader)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert found == bytes(range(3))


def test_kept_threads_end_with_what_keeps_them() -> None:
    kept = KeptThreads("short-lived")
    assert [kept.submit(threading.get_ident).result(60) for _ in range(3)]
    error = kept.submit(lambda: 1 // 0).exception(60)
    assert isinstance(error, ZeroDivisionError)
    mine = [thread for thread in threading.enumerate() if thread.name == "short-lived"]
    del kept, error
    gc.collect()
    for thread in mine:
        thread.join(60)
        assert not thread.is_alive()
    assert mine


#: Its thread for the source is in OpenCV most of the time.
PROGRAM = """
import sys, numpy, cv2
from deepface.pipeline import FacePipeline

def pictures():
    while True:
        yield numpy.zeros((8, 8, 3), numpy.uint8)
        cv2.GaussianBlur(numpy.zeros((400, 400)), (0, 0), 9)

stream = FacePipeline("skip").stream(pictures())
print(len(next(stream).faces))
{end}
"""


@pytest.mark.parametrize("end", ["stream.close()", "", "raise KeyboardInterrupt", "sys.exit(3)"])
def test_python_ends_while_a_thread_is_in_a_library(end: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(end=end)], capture_output=True, text=True, timeout=60
    )
    told = done.stderr.replace("KeyboardInterrupt", "")
    assert "terminate called" not in told and "FATAL" not in told
    assert done.stdout == "1\n"
    assert done.returncode in (0, 3, -signal.SIGINT), told


def test_python_ends_while_a_source_waits() -> None:
    """For ever, in Python: that holds nobody up for long."""
    waiting = PROGRAM.replace("    while True:\n", "    import threading\n    if True:\n").replace(
        "cv2.GaussianBlur(numpy.zeros((400, 400)), (0, 0), 9)", "threading.Event().wait()"
    )
    done = subprocess.run(
        [sys.executable, "-c", waiting.format(end="sys.exit(3)")],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (3, "1\n"), done.stderr
