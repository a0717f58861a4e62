"""DeepFace of Facebook (Taigman, Yang, Ranzato, Wolf: DeepFace, CVPR 2014; weights trained on
VGGFace2 by https://github.com/swghosh/DeepFace).

Three layers are locally connected: every output position has its own kernel. The embedding is
``F7`` after its ReLU (4096); the classifier ``F8`` of the Keras file is not used.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class LocallyConnected(nn.Module):
    """A convolution whose kernel differs from place to place, ``(N, C, H, W) -> (N, O, h, w)``.

    ``weight`` is ``(h * w, outputs, inputs * k * k)``, places in row-major order; ``bias`` is
    ``(outputs, h, w)``.
    """

    def __init__(self, inputs: int, outputs: int, size: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.size, self.kernel, self.stride = size, kernel, stride
        places, patch = size * size, inputs * kernel * kernel
        self.weight = nn.Parameter(torch.empty(places, outputs, patch))
        self.bias = nn.Parameter(torch.empty(outputs, size, size))

    def forward(self, x: Tensor) -> Tensor:
        patches = F.unfold(x, self.kernel, stride=self.stride).permute(2, 1, 0)
        out = torch.bmm(self.weight, patches)  # (places, outputs, N)
        return out.permute(2, 1, 0).unflatten(2, (self.size, self.size)) + self.bias


class FbDeepFaceNet(nn.Module):
    """``(N, 3, 152, 152)`` BGR in [0, 1] -> ``(N, 4096)``, not negative."""

    def __init__(self) -> None:
        super().__init__()
        self.C1 = nn.Conv2d(3, 32, kernel_size=11)
        self.C3 = nn.Conv2d(32, 16, kernel_size=9)
        self.L4 = LocallyConnected(16, 16, size=55, kernel=9)
        self.L5 = LocallyConnected(16, 16, size=25, kernel=7, stride=2)
        self.L6 = LocallyConnected(16, 16, size=21, kernel=5)
        self.F7 = nn.Linear(21 * 21 * 16, 4096)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(self.C1(x).relu(), 3, stride=2, ceil_mode=True)
        x = self.C3(x).relu()
        x = self.L6(self.L5(self.L4(x).relu()).relu()).relu()
        return self.F7(x.flatten(1)).relu()
