"""SIGTERM, which containers, systemd and ``timeout`` send, in programs of this package."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def sigterm_interrupts() -> Iterator[None]:
    """Within, SIGTERM is as Ctrl-C: what has been begun is ended and cleared away.

    Then the process ends by it, as it would have at once. Where somebody else handles or ignores
    it, nothing is changed.
    """
    unhandled = signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    if not unhandled or threading.current_thread() is not threading.main_thread():
        yield
        return
    came = False

    def interrupt(*_: Any) -> None:
        nonlocal came
        came = True
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        if came:
            with contextlib.suppress(Exception):  # there may be no stdout, or nobody who reads it
                sys.stdout.flush()
            signal.raise_signal(signal.SIGTERM)
