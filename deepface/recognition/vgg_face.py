"""VGG-Face: VGG16 trained on 2.6 M faces (Parkhi, Vedaldi, Zisserman: Deep Face Recognition,
BMVC 2015, https://www.robots.ox.ac.uk/~vgg/publications/2015/Parkhi15/).

The fully connected layers are convolutions: ``fc6`` 7x7 valid, ``fc7`` and ``fc8`` 1x1. The
embedding is ``fc7`` after its ReLU, divided by its length; the classifier ``fc8`` of the weight
files is not used. The trunk also carries the age, gender and race networks.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

#: Channels and depth of the five groups of 3x3 convolutions; each ends in a 2x2 max pooling.
_GROUPS = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))


class VggTrunk(nn.Module):
    """``(N, 3, 224, 224)`` BGR in [0, 1] -> ``(N, 4096)``, not negative."""

    def __init__(self) -> None:
        super().__init__()
        channels = 3
        for group, (width, depth) in enumerate(_GROUPS, start=1):
            for unit in range(1, depth + 1):
                conv = nn.Conv2d(channels, width, kernel_size=3, padding=1)
                self.add_module(f"conv{group}_{unit}", conv)
                channels = width
        self.fc6 = nn.Conv2d(channels, 4096, kernel_size=7)
        self.fc7 = nn.Conv2d(4096, 4096, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        for group, (_, depth) in enumerate(_GROUPS, start=1):
            for unit in range(1, depth + 1):
                x = self.get_submodule(f"conv{group}_{unit}")(x).relu()
            x = nn.functional.max_pool2d(x, 2)
        x = self.fc6(x).relu()
        x = self.fc7(x).relu()
        return x.flatten(1)
