"""State of the whole process that a test could leave behind for those that come after it."""

from __future__ import annotations

import gc
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType

import deepface.modeling  # noqa: F401  its registries fill the table of weight files

#: Tables of the package that are filled at first use and stay: models and their locks by name, and
#: of which path something was said already.
KEPT = {"cached_models", "_locks", "_told"}
#: What libraries do: mongomock writes into the projection that it is given, and lightdsa lifts the
#: limit when it is imported.
OF_LIBRARIES = {
    "deepface.search.database.mongo._COLUMNS",
    "sys int_max_str_digits",
}
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD, signal.SIGALRM)


def state() -> dict[str, object]:
    """Each part of the state by its name, as something that can be compared later."""
    mask = os.umask(0o022)
    os.umask(mask)
    return {
        **{f"os.environ {key}": value for key, value in os.environ.items()},
        **{name: value for module in _modules() for name, value in _globals(module)},
        **{signal.Signals(number).name: signal.getsignal(number) for number in _SIGNALS},
        **dict(_of_libraries()),
        "working directory": Path.cwd(),
        "os.umask()": mask,
        "os.geteuid()": os.geteuid(),
        "sys.path": tuple(sys.path),
        "sys.excepthook": sys.excepthook,
        "sys int_max_str_digits": sys.get_int_max_str_digits(),
        "sys recursion limit": sys.getrecursionlimit(),
        "threading.excepthook": threading.excepthook,
        "socket timeout": socket.getdefaulttimeout(),
        "gc": (gc.isenabled(), gc.get_threshold()),
        "logger": (logging.getLogger().level, *_logger()),
    }


def left_behind(before: Mapping[str, object], after: Mapping[str, object]) -> list[str]:
    """What differs, in words.

    Not what has come with a module that was imported in between, nor variables that libraries set
    then.
    """
    changed = []
    for name in sorted({*before, *after} - OF_LIBRARIES - {"os.environ PYTEST_CURRENT_TEST"}):
        old, new = before.get(name, _MISSING), after.get(name, _MISSING)
        if old != new and (name.startswith("os.environ DEEPFACE_") or old is not _MISSING):
            if isinstance(old, frozenset) and isinstance(new, frozenset):
                gone, come = sorted(map(str, old - new)), sorted(map(str, new - old))
                changed.append(f"{name}: {gone!s:.200} -> {come!s:.200}")
            else:
                changed.append(f"{name}: {old!s:.200} -> {new!s:.200}")
    return changed


_MISSING = "nothing"


def _modules() -> Iterator[tuple[str, ModuleType]]:
    for name, module in sys.modules.copy().items():
        if name.partition(".")[0] == "deepface" and isinstance(module, ModuleType):
            yield name, module


def _globals(named: tuple[str, ModuleType]) -> Iterator[tuple[str, object]]:
    """What a module's names are bound to, and what its tables hold."""
    for name, value in vars(named[1]).copy().items():
        if name in KEPT or name.startswith("__"):
            continue
        kind = type(value)
        content: object = id(value)
        if kind is dict or kind is set:
            content = frozenset(value.copy())  # other threads may add to it
        elif kind is list:
            content = tuple(map(id, value))
        yield f"{named[0]}.{name}", content


def _logger() -> tuple[object, ...]:
    logger = logging.getLogger("deepface")
    return logger.level, logger.disabled, logger.propagate, tuple(logger.handlers)


def _of_libraries() -> Iterator[tuple[str, object]]:
    if torch := sys.modules.get("torch"):
        yield "torch threads", torch.get_num_threads()
        yield "torch gradients", torch.is_grad_enabled()
        yield "torch dtype", torch.get_default_dtype()
        yield "torch precision", torch.get_float32_matmul_precision()
        yield "torch tf32", torch.backends.cudnn.allow_tf32
        yield "torch cudnn.benchmark", torch.backends.cudnn.benchmark
    if numpy := sys.modules.get("numpy"):
        yield "numpy errors", tuple(numpy.geterr().items())
    if cv2 := sys.modules.get("cv2"):
        yield "cv2", (cv2.getNumThreads(), cv2.useOptimized())
    if pillow := sys.modules.get("PIL.Image"):
        yield "PIL pixels", pillow.MAX_IMAGE_PIXELS
