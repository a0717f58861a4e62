"""Many arrays in one copy, whatever their dtype, layout and owner."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from deepface.runtime.execution.batching import halving
from deepface.runtime.execution.transfer import downloaded, uploaded

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]


@pytest.mark.parametrize("device", DEVICES)
def test_there_and_back(device: str) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (7, 5, 3), dtype=np.uint8)
    fixed = picture.copy()
    fixed.setflags(write=False)
    arrays: list[NDArray[Any]] = [
        *(picture, picture[:, ::-1], picture[1:6:2, :, ::-1], fixed, picture[:0]),
        *(np.arange(3.0), np.arange(5, dtype=np.int32)[::-1], np.array([[True, False]])),
        *(np.array([[-(1 << 40)]]), np.array([1.5], np.float32)),
    ]
    sent = uploaded(arrays, torch.device(device))
    for tensor, array in zip(sent, arrays, strict=True):
        assert tensor.device.type == device
        np.testing.assert_array_equal(tensor.cpu().numpy(), array, strict=True)
    for found, array in zip(downloaded(sent[:5]), arrays[:5], strict=True):
        np.testing.assert_array_equal(found, array, strict=True)
    assert uploaded([], torch.device(device)) == downloaded([]) == []


def full(most: int, message: str = "CUDA out of memory") -> list[int]:
    sizes: list[int] = []

    def run(items: list[int]) -> list[int]:
        sizes.append(len(items))
        if len(items) > most:
            raise torch.OutOfMemoryError(message)
        return [item * 2 for item in items]

    found = halving(run, list(range(7)))  # type: ignore[arg-type]
    assert found == [item * 2 for item in range(7)]
    return sizes


def test_what_does_not_fit_is_halved(caplog: pytest.LogCaptureFixture) -> None:
    assert full(7) == [7]
    assert not caplog.messages
    assert full(2) == [7, 3, 1, 2, 4, 2, 2]
    assert caplog.messages == [
        f"out of memory: going on with {half} at a time instead of {whole}"
        for half, whole in ((3, 7), (1, 3), (2, 4))
    ]


@pytest.mark.parametrize(("most", "message"), [(0, "out of memory"), (2, "misaligned address")])
def test_other_errors_and_one_item_that_does_not_fit(most: int, message: str) -> None:
    with pytest.raises(torch.OutOfMemoryError, match=message):
        full(most, message)
