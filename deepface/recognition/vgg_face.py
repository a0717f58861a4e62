"""VGG-Face: VGG16 trained on 2.6 M faces (Parkhi, Vedaldi, Zisserman: Deep Face Recognition,
BMVC 2015, https://www.robots.ox.ac.uk/~vgg/publications/2015/Parkhi15/).

The fully connected layers are convolutions: ``fc6`` 7x7 valid, ``fc7`` and ``fc8`` 1x1. The
embedding is ``fc7`` after its ReLU, divided by its length; the classifier ``fc8`` of the weight
files is not used. The trunk also carries the age, gender and race networks.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from deepface.recognition.cards.vgg_face import CARD
from deepface.recognition.network_model import NetworkModel
from deepface.runtime.execution.fusion import fused, is_traced
from deepface.runtime.execution.winograd import WinogradConv2d, pays, tiles
from deepface.types import Pixels

#: Tiles of a map that are multiplied at a time: of the largest a quarter, of all others all.
_BLOCK = 196
#: Height and width of a face.
_SIDE = 224
#: Channels and names of the five groups of 3x3 convolutions; each ends in a 2x2 max pooling.
_GROUPS = (
    (64, ("conv1_1", "conv1_2")),
    (128, ("conv2_1", "conv2_2")),
    (256, ("conv3_1", "conv3_2", "conv3_3")),
    (512, ("conv4_1", "conv4_2", "conv4_3")),
    (512, ("conv5_1", "conv5_2", "conv5_3")),
)

#: The layers of the trunk, in the order of the Keras files.
TRUNK_ORDER = (*(name for _, names in _GROUPS for name in names), "fc6", "fc7")


class VggTrunk(nn.Module):
    """``(N, 3, 224, 224)`` BGR in [0, 1] -> ``(N, 4096)``, not negative."""

    def __init__(self) -> None:
        super().__init__()
        channels = 3
        for width, names in _GROUPS:
            for name in names:
                self.add_module(name, nn.Conv2d(channels, width, kernel_size=3, padding=1))
                channels = width
        self.fc6 = nn.Conv2d(channels, 4096, kernel_size=7)
        self.fc7 = nn.Conv2d(4096, 4096, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        # The first maps of a face are 26 MB: one face at a time is faster on a CPU, and 16 keep a
        # GPU busy.
        if is_traced():
            x = self._maps(x)  # an export takes any number of faces
        else:
            parts = torch.split(x, 1 if x.device.type == "cpu" else 16)
            x = torch.cat([self._maps(part) for part in parts])
        return _dense(self.fc7, _dense(self.fc6, x)[:, :, None, None])

    def _maps(self, x: Tensor) -> Tensor:
        """``(N, 512, 7, 7)``: what the convolutions make of the faces."""
        for _, names in _GROUPS:
            for name in names:
                step = self.get_submodule(name)
                x = step(x)
                if isinstance(step, nn.Conv2d):  # the steps of for_cpu have their ReLU in them
                    x = x.relu_()
            x = nn.functional.max_pool2d(x, 2)
        return x

    @torch.inference_mode()
    def for_cpu(self) -> VggTrunk:
        """The same with its convolutions as a CPU runs them fastest, float32; they are used up."""
        side = _SIDE
        for _, names in _GROUPS:
            for name in names:
                conv = self.get_submodule(name)
                assert isinstance(conv, nn.Conv2d) and conv.bias is not None
                step: nn.Module
                if pays(conv, side, side):
                    block = min(tiles(side) ** 2, _BLOCK)
                    step = WinogradConv2d(conv.weight, conv.bias, block)
                else:
                    step = fused(conv, slope=0).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
                    step.pack((1, conv.in_channels, side, side))
                setattr(self, name, step)
            side //= 2
        return self


def _dense(conv: nn.Conv2d, x: Tensor) -> Tensor:
    """A convolution as large as its input, and ReLU: ``(N, outputs)``.

    As a matrix product it takes a CPU 15 ms for one face instead of 260. Both permutations are
    views, because weights and maps are channels-last.
    """
    weight = conv.weight.permute(0, 2, 3, 1).flatten(1)
    rows = x.permute(0, 2, 3, 1).flatten(1)
    return nn.functional.linear(rows, weight, conv.bias).relu_()


class VggFace(NetworkModel):
    """Vectors of 4096 numbers, of length 1."""

    card = CARD
    keras_order = (*TRUNK_ORDER, None)
    ignore = ("fc8.",)

    def network(self) -> nn.Module:
        return VggTrunk()

    def ready(self, module: nn.Module, device: torch.device, dtype: torch.dtype) -> nn.Module:
        assert isinstance(module, VggTrunk)
        on_cpu = device.type == "cpu" and dtype == torch.float32
        return module.for_cpu() if on_cpu else module

    def embed(self, batch: Pixels) -> NDArray[Any]:
        """See the base class; float64, as published."""
        vectors = super().embed(batch).astype(np.float64)
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        unit: NDArray[np.float64] = vectors / (lengths + 1e-10)
        return unit
