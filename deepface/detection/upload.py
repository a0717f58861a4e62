"""Arrays that go to a device together: one copy, which the host does not wait for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


class Parcel:
    """Zeroed arrays on the host that lie in one piece of memory.

    Attributes:
        arrays: to be filled before they are sent.

    Args:
        forms: shape and dtype of each.
    """

    def __init__(self, forms: Sequence[tuple[Sequence[int], type[np.generic]]]) -> None:
        sizes = [int(np.prod(shape)) * np.dtype(dtype).itemsize for shape, dtype in forms]
        starts = np.cumsum([0, *(size + -size % 8 for size in sizes)]).tolist()
        self._memory = np.zeros(starts[-1], np.uint8)
        self._places = [slice(a, a + size) for a, size in zip(starts, sizes, strict=False)]
        self._forms = forms
        self.arrays: list[NDArray[Any]] = [
            self._memory[place].view(dtype).reshape(shape)
            for place, (shape, dtype) in zip(self._places, forms, strict=True)
        ]

    @classmethod
    def of(cls, arrays: Sequence[NDArray[Any]]) -> Parcel:
        """Copies of arrays."""
        parcel = cls([(array.shape, array.dtype.type) for array in arrays])
        for place, array in zip(parcel.arrays, arrays, strict=True):
            place[...] = array
        return parcel

    def send(self, device: torch.device) -> list[Tensor]:
        """The arrays on the device; on the CPU they share their memory."""
        if device.type == "cpu":
            return [torch.from_numpy(array) for array in self.arrays]
        memory = torch.from_numpy(self._memory)
        if device.type == "cuda":
            memory = memory.pin_memory().to(device, non_blocking=True)
        else:
            memory = memory.to(device)
        return [
            memory[place].view(getattr(torch, np.dtype(dtype).name)).view(*shape)
            for place, (shape, dtype) in zip(self._places, self._forms, strict=True)
        ]
