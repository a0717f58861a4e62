"""float32 that is float32: CUDA would use TF32 for convolutions by default, for products if told.

There are two generations of switches: ``allow_tf32``, and since torch 2.9 ``fp32_precision``. Once
the newer ones say something else, reading an older one raises; and the older ones alone leave TF32
on where the newer ones have turned it on. So both are turned off, and put back as they were.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, TypeVar

import torch

T = TypeVar("T")

_lock = threading.Lock()
_users = 0
_restore: list[Callable[[], object]] = []


@contextlib.contextmanager
def exact_float32() -> Iterator[None]:
    """No TF32 in convolutions and matrix products on CUDA for the block.

    The switches belong to the process, not to a thread. So the first of several threads turns them
    off and the last one restores them: none finds them on because another has just left.
    """
    global _users
    with _lock:
        if _users == 0:
            _turn_off()
        _users += 1
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if _users == 0:
                _turn_back()


def _turn_off() -> None:
    backends = torch.backends
    newer: list[Any] = [
        part
        for owner in (backends.cudnn, backends.cuda)
        for name in ("conv", "rnn", "matmul")
        if hasattr(part := getattr(owner, name, None), "fp32_precision")
    ]
    # All are read before any is set. The older ones are put back last: the default of the newer
    # ones, which follows ``torch.backends.fp32_precision``, is then the default again.
    convolutions = _value(lambda: backends.cudnn.allow_tf32)
    products = _value(torch.get_float32_matmul_precision)
    precisions = [part.fp32_precision for part in newer]
    for part, before in zip(newer, precisions, strict=True):
        if before != "ieee":
            _restore.append(partial(setattr, part, "fp32_precision", before))
    if convolutions:
        backends.cudnn.allow_tf32 = False
        _restore.append(partial(setattr, backends.cudnn, "allow_tf32", True))
    if products not in (None, "highest"):
        torch.set_float32_matmul_precision("highest")
        _restore.append(partial(torch.set_float32_matmul_precision, products))
    for part, before in zip(newer, precisions, strict=True):
        if before != "ieee":
            part.fp32_precision = "ieee"


def _turn_back() -> None:
    for restore in _restore:
        restore()
    _restore.clear()


def _value(read: Callable[[], T]) -> T | None:
    """``None`` where it cannot be read, and so is not the one that counts."""
    try:
        return read()
    except RuntimeError:
        return None
