"""Kernels of our own in Triton, which PyTorch brings along on Linux: does a device run them?"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TypeVar

import torch

from deepface.logger import get_logger
from deepface.runtime.execution.batching import is_out_of_memory

K = TypeVar("K")


def tried(load: Callable[[], K], device: torch.device, what: str) -> K | None:
    """What ``load`` gives, which imports kernels and raises unless they are right on ``device``.

    ``None`` where they do not run, which a line in the log says with ``what`` they are for, and
    everywhere but on CUDA. ``DEEPFACE_TRITON=0`` leaves them out.
    """
    if device.type != "cuda" or os.environ.get("DEEPFACE_TRITON") == "0":
        return None
    try:
        return load()
    except Exception as error:  # there are many ways in which a compiler can be missing
        if is_out_of_memory(error):
            raise
        reason = " ".join([type(error).__name__, *str(error).splitlines()[:1]])
        get_logger().info("no Triton kernels for %s on %s: %s", what, device, reason)
        return None
