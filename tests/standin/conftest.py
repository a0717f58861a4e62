"""A device for each test: the last GPU of the machine, or the second that stands in for one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from tests.standin import Standin


@pytest.fixture
def cuda() -> Iterator[str]:
    """The name of a CUDA device, not the first one where there are several.

    On the stand-in a test fails if anything was refused, or ran on another device.
    """
    if torch.cuda.is_available():
        yield f"cuda:{torch.cuda.device_count() - 1}"
        return
    with Standin() as device:
        yield "cuda:1"
        assert not device.settings.refused, device.settings.refused
        assert device.settings.used <= {1}, device.settings.used


@pytest.fixture
def device() -> Iterator[Standin]:
    """The stand-in, for tests that count; a real GPU does not count."""
    if torch.cuda.is_available():
        pytest.skip("counts are of the stand-in: there is a real GPU")
    with Standin() as standin:
        yield standin
