"""Models are built once per process and device, also when threads ask at the same time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

#: ``cached_models[task][name]``: what has been built. Scripts read it and put stubs into it.
cached_models: dict[str, dict[str, Any]] = {}

_guard = threading.Lock()
_locks: dict[tuple[str, str], threading.Lock] = {}


def get_or_build(task: str, name: str, build: Callable[[], Any]) -> Any:
    """The cached model, or the result of ``build``; nothing is cached when ``build`` raises."""
    models = cached_models.setdefault(task, {})
    if name in models:
        return models[name]
    with _guard:
        lock = _locks.setdefault((task, name), threading.Lock())
    with lock:
        if name not in models:
            models[name] = build()
        return models[name]
