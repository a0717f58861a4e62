"""Import ultralytics without what its import does to the rest of the process.

Importing it writes a settings file into the user's home, asks DNS servers whether there is a
network, sets environment variables, takes OpenCV's threads away, replaces ``PIL.Image.open`` by a
function that installs packages when a picture cannot be read, and more. Here the settings file
goes into a temporary folder, the network counts as absent, packages are never installed, and
whatever was changed is changed back.

A program that wants ultralytics' own behaviour imports it before its first YOLO detector is built.
"""

from __future__ import annotations

import copy
import logging
import os
import sys
import tempfile
import threading
import warnings
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager

import cv2
import numpy as np
import PIL.Image
import torch

from deepface.errors import MissingPackageError

#: The oldest version that has the layers of all detectors here.
REQUIREMENT = "ultralytics>=8.3.203"

_PATCHED = (
    (PIL.Image, "open"),
    (torch, "save"),
    (cv2, "imread"),
    (cv2, "imwrite"),
    (cv2, "imshow"),
    (torch._tensor_str, "PRINT_OPTS"),
)
_VARIABLES = (
    "OMP_NUM_THREADS",
    "NUMEXPR_MAX_THREADS",
    "TF_CPP_MIN_LOG_LEVEL",
    "TORCH_CPP_LOG_LEVEL",
    "KINETO_LOG_LEVEL",
)
_lock = threading.Lock()


def import_ultralytics() -> None:
    """Make ``ultralytics.nn.tasks`` importable at no cost.

    Raises:
        MissingPackageError: the package is not installed, or does not work.
    """
    with _lock:
        if "ultralytics.nn.tasks" in sys.modules:
            return
        try:
            with tempfile.TemporaryDirectory(prefix="deepface-") as folder, _unchanged(folder):
                import ultralytics.nn.tasks  # noqa: F401
        except ImportError as error:
            raise MissingPackageError(
                "the YOLO detectors need the package ultralytics, which cannot be imported "
                f'({error}): pip install "{REQUIREMENT}"'
            ) from error


@contextmanager
def _unchanged(folder: str) -> Iterator[None]:
    """Keep what an import of ultralytics changes; its settings go into ``folder``."""
    with ExitStack() as stack:
        own = {"YOLO_CONFIG_DIR": folder, "YOLO_OFFLINE": "true", "YOLO_AUTOINSTALL": "false"}
        stack.enter_context(_environment(own))
        for owner, name in _PATCHED:
            value = getattr(owner, name)
            # The print options are changed in place.
            value = value if callable(value) else copy.copy(value)
            stack.callback(setattr, owner, name, value)
        stack.callback(cv2.setNumThreads, cv2.getNumThreads())
        stack.enter_context(np.printoptions())
        stack.enter_context(warnings.catch_warnings())
        stack.callback(logging.disable, logging.root.manager.disable)
        logging.disable(logging.WARNING)
        yield


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in (*values, *_VARIABLES)}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
