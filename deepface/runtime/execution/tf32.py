"""float32 that is float32, or TF32 where it was asked for: CUDA would use TF32 for convolutions by
default, for products if told.

There are two generations of switches: ``allow_tf32``, and since torch 2.9 ``fp32_precision``. Once
the newer ones say something else, reading an older one raises; and the older ones alone leave TF32
on where the newer ones have turned it on. So both are set, and put back as they were.

The switches belong to the process, not to a thread. As long as any thread needs float32, all have
it; as long as any needs either, nobody restores what the caller had.
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
#: Who is inside, by what they asked for: what comes first here is what all get.
_users = {"ieee": 0, "tf32": 0}
_set: str | None = None
_restore: list[Callable[[], object]] = []


def exact_float32() -> contextlib.AbstractContextManager[None]:
    """No TF32 in convolutions and matrix products on CUDA for the block."""
    return _float32("ieee")


def tensor_float32() -> contextlib.AbstractContextManager[None]:
    """TF32 in convolutions and matrix products on CUDA for the block, unless others forbid it."""
    return _float32("tf32")


@contextlib.contextmanager
def _float32(precision: str) -> Iterator[None]:
    _count(precision, 1)
    try:
        yield
    finally:
        _count(precision, -1)


def _count(precision: str, more: int) -> None:
    global _set
    with _lock:
        _users[precision] += more
        wanted = next((name for name, count in _users.items() if count), None)
        if wanted == _set:
            return
        for restore in _restore:
            restore()
        _restore.clear()
        _set = wanted
        if wanted is not None:
            _turn(wanted)


def _turn(to: str) -> None:
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
        if before != to:
            _restore.append(partial(setattr, part, "fp32_precision", before))
    allowed, level = to == "tf32", "high" if to == "tf32" else "highest"
    if convolutions not in (None, allowed):
        backends.cudnn.allow_tf32 = allowed
        _restore.append(partial(setattr, backends.cudnn, "allow_tf32", convolutions))
    if products not in (None, level):
        torch.set_float32_matmul_precision(level)
        _restore.append(partial(torch.set_float32_matmul_precision, products))
    for part, before in zip(newer, precisions, strict=True):
        if before != to:
            part.fp32_precision = to
        _restore.append(partial(_put_back, part, before))


def _put_back(part: Any, before: str) -> None:
    """Where an older switch, put back, has set a newer one that was not set."""
    if part.fp32_precision != before:
        part.fp32_precision = before


def _value(read: Callable[[], T]) -> T | None:
    """``None`` where it cannot be read, and so is not the one that counts."""
    try:
        return read()
    except RuntimeError:
        return None
