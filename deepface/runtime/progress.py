"""Progress bars, where somebody looks: tqdm starts a thread for a bar that is off, too."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any


class _NoBar(nullcontext[Any]):
    """Takes what a bar is told."""

    def __init__(self) -> None:
        super().__init__(self)

    def update(self, n: float = 1) -> None:
        """Nothing is shown."""

    def clear(self) -> None:
        """Nothing is there."""


def progress_bar(shown: bool, **options: Any) -> Any:
    """A bar of tqdm with these options, gone at its end; or what does nothing."""
    if not shown:
        return _NoBar()
    from tqdm.auto import tqdm

    return tqdm(leave=False, **options)
