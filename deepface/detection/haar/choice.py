"""Who searches pictures with a Haar cascade: OpenCV on the CPU, or a CUDA device.

Both find the same to the last bit, so the faster one is taken, as measured in the running process:
which one that is depends on the device, on the cores beside it, and on how much there is to search
at a time.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import TYPE_CHECKING, TypeVar

from deepface.errors import UnimplementedError
from deepface.logger import get_logger
from deepface.runtime.execution.batching import is_out_of_memory
from deepface.runtime.execution.device import cuda_is_running, may_have_cuda, resolve_device
from deepface.runtime.execution.fastest import Fastest
from deepface.types import Pixels

if TYPE_CHECKING:
    import torch

T = TypeVar("T")


class Searchers:
    """OpenCV and the devices of a process, and how fast each of them was.

    To start with a device takes ``patience`` seconds: PyTorch, CUDA, the first run of each kernel.
    """

    def __init__(self, patience: float = 2.0, clock: Callable[[], float] = perf_counter) -> None:
        self._fastest = Fastest(patience, clock)
        #: Where CUDA runs already, a network's detector say, it is the device that is used first.
        self._at_hand = Fastest(patience, clock)
        #: On which a search failed for another reason than memory; they are not asked again.
        self._failed: set[torch.device] = set()

    def search(
        self,
        kind: str,
        images: Sequence[Pixels],
        device: str | None,
        by_opencv: Callable[[], T],
        on_device: Callable[[torch.device], T],
    ) -> T:
        """The result of one of two functions that give the same.

        Args:
            kind: of pictures: how much there is to find in a pixel.
            images: ``(H, W, 3)``, what is searched.
            device: see :func:`deepface.runtime.execution.device.resolve_device`.
            by_opencv: searches on the CPU.
            on_device: searches there. Where it raises and nobody asked for it, it is OpenCV's turn.

        Raises:
            UnimplementedError: ``DEEPFACE_HAAR`` is set to something else than it can be.
        """
        choice = implementation()
        if choice == "torch":
            return on_device(resolve_device(device))
        if choice in ("opencv", "numba") or device == "cpu" or not may_have_cuda():
            return by_opencv()
        ways: list[torch.device | None] = [None]
        running = cuda_is_running()
        fastest = self._at_hand if running else self._fastest
        if running or fastest.tries_others:
            resolved = resolve_device(device)
            if resolved.type == "cuda" and resolved not in self._failed:
                ways = [resolved, None] if running else [None, resolved]
        pixels = sum(image.shape[0] * image.shape[1] for image in images)
        with fastest.choose((kind, device, pixels.bit_length()), max(1, pixels), ways) as way:
            if way is not None:
                try:
                    return on_device(way)
                except RuntimeError as error:
                    if is_out_of_memory(error):
                        get_logger().info("out of memory on %s: OpenCV searches instead", way)
                    else:
                        self._failed.add(way)
                        get_logger().warning(
                            "the search on %s failed, OpenCV goes on instead: %s", way, error
                        )
            return by_opencv()


#: What all detectors share.
search = Searchers().search


def implementation() -> str:
    """What ``DEEPFACE_HAAR`` asks for: ``"opencv"``, ``"numba"``, ``"torch"``, or ``"auto"``."""
    choice = os.environ.get("DEEPFACE_HAAR") or "auto"
    if choice not in ("auto", "opencv", "numba", "torch"):
        raise UnimplementedError(
            f"environment variable DEEPFACE_HAAR={choice!r}: use 'opencv', 'numba' or 'torch', or "
            "leave it out to let what is faster decide"
        )
    return choice
