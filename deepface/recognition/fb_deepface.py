"""DeepFace of Facebook (Taigman, Yang, Ranzato, Wolf: DeepFace, CVPR 2014).

Weights trained on VGGFace2 by https://github.com/swghosh/DeepFace. Three layers are locally
connected: every output position has its own kernel. The vector is ``F7`` after its ReLU; the
classifier ``F8`` of the Keras file is not used.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F

from deepface.recognition.cards.fb_deepface import CARD
from deepface.recognition.network_model import NetworkModel
from deepface.runtime.execution.fusion import is_traced
from deepface.runtime.weights.keras_h5 import Layout


class LocallyConnected(nn.Module):
    """A convolution whose kernel differs from place to place, ``(N, C, H, W) -> (N, O, h, w)``.

    ``weight`` is ``(h * w, outputs, inputs * k * k)``, places in row-major order; ``bias`` is
    ``(outputs, h, w)``.
    """

    def __init__(self, inputs: int, outputs: int, size: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.inputs, self.size, self.kernel, self.stride = inputs, size, kernel, stride
        places, patch = size * size, inputs * kernel * kernel
        self.weight = nn.Parameter(torch.empty(places, outputs, patch))
        self.bias = nn.Parameter(torch.empty(outputs, size, size))

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        return _locally_connected(x, self.weight, self.bias, self.kernel, self.stride)

    def keras_layout(self) -> Layout:
        """See :data:`deepface.runtime.weights.keras_h5.Layout`."""
        return {
            "kernel": ("weight", self._from_keras),
            "bias": ("bias", lambda bias: bias.permute(2, 0, 1)),
        }

    def _from_keras(self, kernel: Tensor) -> Tensor:
        """``(places, k * k * inputs, outputs)``: patches with their channels last."""
        places, _, outputs = kernel.shape
        patches = kernel.reshape(places, self.kernel, self.kernel, self.inputs, outputs)
        return patches.permute(0, 4, 3, 1, 2).flatten(2)


@fx.wrap  # one step of a traced network
def _locally_connected(x: Tensor, weight: Tensor, bias: Tensor, kernel: int, stride: int) -> Tensor:
    windows = x.unfold(2, kernel, stride).unfold(3, kernel, stride)  # (N, C, h, w, k, k)
    windows = windows.permute(2, 3, 0, 1, 4, 5)
    height, width, count = windows.shape[:3]
    if x.device.type == "cpu" and not is_traced() and count > 1:
        # One row of places at a time: the windows of all are many times the maps.
        rows = zip(torch.split(windows, 1), torch.split(weight, width), strict=True)
        out = torch.cat([_products(*row) for row in rows])
    else:
        out = _products(windows, weight)
    return out.view(height, width, count, -1).permute(2, 3, 0, 1) + bias


def _products(windows: Tensor, weight: Tensor) -> Tensor:
    """``(h, w, N, C, k, k)`` with the kernels of these places: ``(places, N, O)``."""
    patches = windows.reshape(len(weight), windows.shape[2], -1)
    return torch.bmm(patches, weight.transpose(1, 2))


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
        """See the class."""
        x = F.max_pool2d(self.C1(x).relu(), 3, stride=2, ceil_mode=True)
        x = self.C3(x).relu()
        x = self.L6(self.L5(self.L4(x).relu()).relu()).relu()
        vectors: Tensor = self.F7(x.flatten(1))
        return vectors.relu()


class FbDeepFace(NetworkModel):
    """Vectors of 4096 numbers."""

    card = CARD
    keras_order = ("C1", "C3", "L4", "L5", "L6", "F7", None)
    flatten: ClassVar = {"F7": (21, 21, 16)}

    def network(self) -> nn.Module:
        return FbDeepFaceNet()
