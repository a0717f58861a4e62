"""SIGTERM is as Ctrl-C while a program of this package works, and ends it all the same."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from deepface.runtime.sigterm import sigterm_interrupts

SENT = """
import signal
from deepface.runtime.sigterm import sigterm_interrupts
with sigterm_interrupts():
    try:
        signal.raise_signal(signal.SIGTERM)
        print("went on")
    finally:
        print("cleared away")
"""


@pytest.fixture
def handle() -> Iterator[Callable[[Any], object]]:
    before = signal.getsignal(signal.SIGTERM)
    yield lambda handler: signal.signal(signal.SIGTERM, handler)
    signal.signal(signal.SIGTERM, before)


def test_what_was_begun_is_cleared_away_before_the_process_ends_by_it() -> None:
    ended = subprocess.run([sys.executable, "-c", SENT], capture_output=True, text=True)
    assert (ended.returncode, ended.stdout) == (-signal.SIGTERM, "cleared away\n")


def test_afterwards_it_is_as_it_was(handle: Callable[[Any], object]) -> None:
    handle(signal.SIG_DFL)
    with sigterm_interrupts():
        assert signal.getsignal(signal.SIGTERM) != signal.SIG_DFL
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


@pytest.mark.parametrize("other", [signal.SIG_IGN, lambda *_: None])
def test_who_else_handles_it_goes_on_to(handle: Callable[[Any], object], other: Any) -> None:
    handle(other)
    with sigterm_interrupts():
        assert signal.getsignal(signal.SIGTERM) == other
    assert signal.getsignal(signal.SIGTERM) == other


def test_other_threads_may_not_handle_signals(handle: Callable[[Any], object]) -> None:
    handle(signal.SIG_DFL)

    def handler() -> object:
        with sigterm_interrupts():
            return signal.getsignal(signal.SIGTERM)

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(handler).result() == signal.SIG_DFL
