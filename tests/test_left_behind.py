"""What tests must not leave behind is noticed, by ``tests/left_behind.py``."""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
from collections.abc import Callable

import pytest
import torch

from deepface.modeling import build_model
from deepface.runtime.weights import store
from deepface.runtime.weights.table import WEIGHT_FILES, WeightFile
from tests.left_behind import left_behind, state

SHA256, FOLDER = store.sha256, os.getcwd()  # noqa: PTH109
LOGGER = logging.getLogger("deepface")
Do = Callable[[], object]
#: What it is called, how it is left, and how that is undone.
LEFT: list[tuple[str, Do, Do]] = [
    (
        "deepface.runtime.weights.table.WEIGHT_FILES: [] -> ['x']",
        lambda: WEIGHT_FILES.setdefault("x", WeightFile("x", ())),
        lambda: WEIGHT_FILES.pop("x"),
    ),
    (
        "deepface.runtime.weights.store.sha256: ",
        lambda: setattr(store, "sha256", print),
        lambda: setattr(store, "sha256", SHA256),
    ),
    (
        "os.environ DEEPFACE_LEFT: nothing -> 1",
        lambda: os.environ.update(DEEPFACE_LEFT="1"),
        lambda: os.environ.pop("DEEPFACE_LEFT"),
    ),
    ("working directory: ", lambda: os.chdir("/"), lambda: os.chdir(FOLDER)),
    ("sys.path: ", lambda: sys.path.append("x"), lambda: sys.path.remove("x")),
    (
        "SIGALRM: ",
        lambda: signal.signal(signal.SIGALRM, signal.SIG_IGN),
        lambda: signal.signal(signal.SIGALRM, signal.SIG_DFL),
    ),
    (
        "socket timeout: None -> 9",
        lambda: socket.setdefaulttimeout(9),
        lambda: socket.setdefaulttimeout(None),
    ),
    (
        "torch gradients: True -> False",
        lambda: torch.set_grad_enabled(False),
        lambda: torch.set_grad_enabled(True),
    ),
    (
        "logger: ",
        lambda: LOGGER.addHandler(logging.NullHandler()),
        lambda: LOGGER.handlers.pop(),
    ),
]


@pytest.mark.parametrize(("name", "leave", "undo"), LEFT, ids=[name for name, _, _ in LEFT])
def test_what_is_left_is_named(name: str, leave: Do, undo: Do) -> None:
    before = state()
    leave()
    try:
        after = state()
    finally:
        undo()
    assert any(changed.startswith(name) for changed in left_behind(before, after))
    assert not left_behind(before, state())


def test_a_model_that_is_built_is_not() -> None:
    before = state()
    build_model("face_detector", "opencv")
    assert not left_behind(before, state())
