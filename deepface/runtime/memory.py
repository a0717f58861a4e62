"""Memory that tensors leave is kept for the next ones."""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
from functools import cache

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_KEPT = 2**30
_SETTINGS = ("GLIBC_TUNABLES", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_")


@cache
def keep_freed_memory() -> None:
    """Let glibc keep up to 1 GiB of freed memory, unless the environment says how much.

    Otherwise it returns each block above 32 MB at once, and the kernel zeroes and maps new pages
    for the next one: a fifth of the time of a network with large maps on a CPU. Elsewhere this
    does nothing.
    """
    if not sys.platform.startswith("linux") or any(name in os.environ for name in _SETTINGS):
        return
    with contextlib.suppress(OSError, AttributeError):  # another C library
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_MMAP_THRESHOLD, _KEPT)
        mallopt(_TRIM_THRESHOLD, _KEPT)
