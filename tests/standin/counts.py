"""What a device was asked to do."""

from __future__ import annotations

import sys
import threading
from collections import Counter
from pathlib import Path

import deepface

_PRODUCT = str(Path(deepface.__file__).parent)


class Counts:
    """Sums since the last :meth:`reset`, and for each kind by the product's source line.

    ``lines["launches"]``, ``["waits"]``, ``["up"]`` and ``["down"]`` are counters by line;
    ``up`` and ``down`` are copies to the device and to the host. ``moved`` are bytes that kernels
    read and write in the device's memory.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.reset()

    def reset(self) -> None:
        """Start anew."""
        with self._lock:
            self.launches = self.waits = self.up = self.down = self.pins = 0
            self.up_bytes = self.down_bytes = self.moved = 0
            self.flops = 0.0
            #: Of each operation its launches, bytes and floating-point operations.
            self.work: list[tuple[int, int, float]] = []
            self.lines: dict[str, Counter[str]] = {
                kind: Counter() for kind in ("launches", "waits", "up", "down", "flops")
            }

    def kernel(self, count: int, moved: int, flops: float) -> None:
        """Some launches of one operation."""
        with self._lock:
            self.launches += count
            self.moved += moved
            self.flops += flops
            self.work.append((count, moved, flops))
            self.lines["launches"][product_line()] += count

    def wait(self, what: str, count: int = 1) -> None:
        """The host waited for the device."""
        with self._lock:
            self.waits += count
            self.lines["waits"][f"{product_line()} [{what}]"] += count

    def upload(self, size: int) -> None:
        """A copy to the device."""
        with self._lock:
            self.up += 1
            self.up_bytes += size
            self.lines["up"][product_line()] += 1

    def download(self, size: int) -> None:
        """A copy to the host."""
        with self._lock:
            self.down += 1
            self.down_bytes += size
            self.lines["down"][product_line()] += 1

    def __str__(self) -> str:
        return (
            f"{self.launches} launches, {self.waits} waits, {self.up} up "
            f"({self.up_bytes / 1e6:.2f} MB), {self.down} down ({self.down_bytes / 1e6:.2f} MB), "
            f"{self.flops / 1e9:.2f} GFLOP"
        )

    def where(self, kind: str, most: int = 12) -> str:
        """The lines that count most, for messages."""
        return "\n".join(f"{n:7} {line}" for line, n in self.lines[kind].most_common(most))


def product_line() -> str:
    """Where in the product this comes from."""
    frame = sys._getframe(1)
    while frame is not None:
        name = frame.f_code.co_filename
        if name.startswith(_PRODUCT):
            return f"{name[len(_PRODUCT) + 1 :]}:{frame.f_lineno} {frame.f_code.co_name}"
        frame = frame.f_back  # type: ignore[assignment]
    return "?"
