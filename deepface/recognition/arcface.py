"""ArcFace: ResNet34 with pre-activated units (Deng, Guo, Xue, Zafeiriou: ArcFace, CVPR 2019,
https://arxiv.org/abs/1801.07698; Keras weights of https://github.com/leondgarse/Keras_insightface
lineage).

Each unit is BN -> 3x3 -> BN -> PReLU -> 3x3 (stride) -> BN, added to its input; there is no
activation after the sum. The first unit of a stage has stride 2 and a 1x1 shortcut. Convolutions
have no bias; eps is 2e-5. The embedding is the batch-normalised dense layer of 512 numbers.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import ClassVar

from torch import Tensor, nn

from deepface.recognition.cards.arcface import CARD
from deepface.recognition.network_model import NetworkModel

_EPS = 2e-5

#: Units of each stage, and its channels.
_STAGES = {"conv2": (3, 64), "conv3": (4, 128), "conv4": (6, 256), "conv5": (3, 512)}


def _conv(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=kernel // 2, bias=False)


class _Unit(nn.Module):
    def __init__(self, inputs: int, outputs: int, first: bool) -> None:
        super().__init__()
        stride = 2 if first else 1
        self.bn_1 = nn.BatchNorm2d(inputs, eps=_EPS)
        self.conv_1 = _conv(inputs, outputs, 3)
        self.bn_2 = nn.BatchNorm2d(outputs, eps=_EPS)
        self.prelu_1 = nn.PReLU(outputs)
        self.conv_2 = _conv(outputs, outputs, 3, stride)
        self.bn_3 = nn.BatchNorm2d(outputs, eps=_EPS)
        self.first = first
        if first:
            self.conv_0 = _conv(inputs, outputs, 1, stride)
            self.bn_0 = nn.BatchNorm2d(outputs, eps=_EPS)

    def forward(self, x: Tensor) -> Tensor:
        shortcut = self.bn_0(self.conv_0(x)) if self.first else x
        x = self.prelu_1(self.bn_2(self.conv_1(self.bn_1(x))))
        total: Tensor = shortcut + self.bn_3(self.conv_2(x))
        return total


def _backbone() -> nn.Sequential:
    parts: OrderedDict[str, nn.Module] = OrderedDict(
        conv1_conv=_conv(3, 64, 3),
        conv1_bn=nn.BatchNorm2d(64, eps=_EPS),
        conv1_prelu=nn.PReLU(64),
    )
    inputs = 64
    for name, (depth, outputs) in _STAGES.items():
        units = [_Unit(inputs, outputs, first=True)]
        units += [_Unit(outputs, outputs, first=False) for _ in range(depth - 1)]
        parts[name], inputs = nn.Sequential(*units), outputs
    return nn.Sequential(parts)


class ArcFaceNet(nn.Module):
    """``(N, 3, 112, 112)`` BGR in [0, 1] -> ``(N, 512)``."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = _backbone()
        self.bn = nn.BatchNorm2d(512, eps=_EPS)
        self.dense = nn.Linear(512 * 7 * 7, 512)
        self.embedding = nn.BatchNorm1d(512, eps=_EPS)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        vectors: Tensor = self.embedding(self.dense(self.bn(self.backbone(x)).flatten(1)))
        return vectors


def _keras_order() -> Iterator[str]:
    """Keras sorts layers by depth: a shortcut's come between those of its unit."""
    yield from (f"backbone.conv1_{part}" for part in ("conv", "bn", "prelu"))
    for stage, (depth, _) in _STAGES.items():
        for unit in range(depth):
            first = ("conv_0", "conv_2", "bn_0") if unit == 0 else ("conv_2",)
            for part in ("bn_1", "conv_1", "bn_2", "prelu_1", *first, "bn_3"):
                yield f"backbone.{stage}.{unit}.{part}"
    yield from ("bn", "dense", "embedding")


class ArcFace(NetworkModel):
    """Vectors of 512 numbers."""

    card = CARD
    keras_order = tuple(_keras_order())
    flatten: ClassVar = {"dense": (7, 7, 512)}

    def network(self) -> nn.Module:
        return ArcFaceNet()
