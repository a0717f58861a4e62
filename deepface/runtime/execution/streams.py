"""Tensors on a device that outlive a call: any stream may use them."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import Any, TypeVar

import torch

F = TypeVar("F", bound=Callable[..., Any])


def settle(device: torch.device) -> None:
    """Wait until what was begun on this thread's stream is done."""
    if device.type == "cuda":
        torch.cuda.current_stream(device).synchronize()


def kept(maxsize: int) -> Callable[[F], F]:
    """``lru_cache`` for functions that make tensors on a device: a tensor, or a tuple of some.

    They are finished before anybody gets them.
    """

    def decorate(make: F) -> F:
        @wraps(make)
        def finished(*arguments: Any) -> Any:
            made = make(*arguments)
            settle((made if isinstance(made, torch.Tensor) else made[0]).device)
            return made

        return lru_cache(maxsize)(finished)  # type: ignore[return-value]

    return decorate
