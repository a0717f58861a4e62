"""float32 that is float32: cuDNN's convolutions would use TF32 by default."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

import torch

_lock = threading.Lock()
_users = 0
_allowed_before = True


@contextlib.contextmanager
def exact_convolutions() -> Iterator[None]:
    """No TF32 in cuDNN for the block.

    The setting belongs to the process, not to a thread. So the first of several threads turns it
    off and the last one restores it: none finds it on because another has just left.
    """
    global _users, _allowed_before
    with _lock:
        if _users == 0:
            _allowed_before = torch.backends.cudnn.allow_tf32
            torch.backends.cudnn.allow_tf32 = False
        _users += 1
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if _users == 0:
                torch.backends.cudnn.allow_tf32 = _allowed_before
