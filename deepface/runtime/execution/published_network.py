"""A network with published weights, as the engines need to know it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from deepface.runtime.weights.table import WeightFile


@dataclass(frozen=True)
class PublishedNetwork:
    """A network with published weights.

    Attributes:
        name: of the model.
        files: alternatives: ``.pth`` and ``.h5``, the preferred one first, and ``.onnx``.
        shape: ``(H, W, C)`` of an item.
        outputs: how many numbers it gives per item.
        load: the network in PyTorch, ``(n, C, H, W)`` -> ``(n, outputs)``, with the weights of the
            first of the given files that is on disk.
        ready: the same as it is run on a device in a precision, if that differs; it uses up what it
            is given.
    """

    name: str
    files: Sequence[WeightFile]
    shape: tuple[int, int, int]
    outputs: int
    load: Callable[[Sequence[WeightFile]], nn.Module]
    ready: Callable[[nn.Module, torch.device, torch.dtype], nn.Module] | None = None
