"""DeepID (Sun, Wang, Tang: Deep Learning Face Representation from Predicting 10,000 Classes,
CVPR 2014; weights of https://github.com/Ruoyiran/DeepID).

A small network on faces of 55 rows and 47 columns. The embedding of 160 numbers is the ReLU of the
sum of two dense layers, one on the third pooling, one on the last convolution.
"""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional as F

from deepface.recognition.cards.deepid import CARD
from deepface.recognition.network_model import NetworkModel


class DeepIdNet(nn.Module):
    """``(N, 3, 55, 47)`` BGR in [0, 1] -> ``(N, 160)``, not negative."""

    def __init__(self) -> None:
        super().__init__()
        self.Conv1 = nn.Conv2d(3, 20, kernel_size=4)
        self.Conv2 = nn.Conv2d(20, 40, kernel_size=3)
        self.Conv3 = nn.Conv2d(40, 60, kernel_size=3)
        self.Conv4 = nn.Conv2d(60, 80, kernel_size=2)
        self.fc11 = nn.Linear(60 * 5 * 4, 160)
        self.fc12 = nn.Linear(80 * 4 * 3, 160)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        for conv in (self.Conv1, self.Conv2, self.Conv3):
            x = F.max_pool2d(conv(x).relu(), 2)
        last = self.Conv4(x).relu()
        vectors: Tensor = self.fc11(x.flatten(1)) + self.fc12(last.flatten(1))
        return vectors.relu()


class DeepId(NetworkModel):
    """Vectors of 160 numbers."""

    card = CARD
    keras_order = ("Conv1", "Conv2", "Conv3", "Conv4", "fc11", "fc12")
    flatten: ClassVar = {"fc11": (5, 4, 60), "fc12": (4, 3, 80)}
    chunk_sizes: ClassVar = {"cpu": 64}  # so small that it stays in the cache

    def network(self) -> nn.Module:
        return DeepIdNet()
