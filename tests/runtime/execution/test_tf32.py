"""TF32 is off while any thread needs it off."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
import torch

from deepface.runtime.execution.tf32 import exact_convolutions


@pytest.fixture(autouse=True, params=[False, True])
def allowed_before(request: pytest.FixtureRequest) -> Iterator[bool]:
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = request.param
    yield request.param
    torch.backends.cudnn.allow_tf32 = before


def test_off_inside_restored_after(allowed_before: bool) -> None:
    with exact_convolutions():
        assert not torch.backends.cudnn.allow_tf32
        with exact_convolutions():
            pass
        assert not torch.backends.cudnn.allow_tf32
    assert torch.backends.cudnn.allow_tf32 is allowed_before


def test_restored_after_an_error(allowed_before: bool) -> None:
    with pytest.raises(KeyError), exact_convolutions():
        raise KeyError
    assert torch.backends.cudnn.allow_tf32 is allowed_before


def test_one_thread_leaves_while_another_is_inside(allowed_before: bool) -> None:
    entered, leave = threading.Event(), threading.Event()

    def other() -> None:
        with exact_convolutions():
            entered.set()
            leave.wait(10)

    thread = threading.Thread(target=other)
    thread.start()
    assert entered.wait(10)
    with exact_convolutions():
        leave.set()
        thread.join()
        assert not torch.backends.cudnn.allow_tf32
    assert torch.backends.cudnn.allow_tf32 is allowed_before
