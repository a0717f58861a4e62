"""ArcFace: ResNet34 with pre-activated units (Deng, Guo, Xue, Zafeiriou: ArcFace, CVPR 2019,
https://arxiv.org/abs/1801.07698; Keras weights of https://github.com/leondgarse/Keras_insightface
lineage).

Each unit is BN -> 3x3 -> BN -> PReLU -> 3x3 (stride) -> BN, added to its input; there is no
activation after the sum. The first unit of a stage has stride 2 and a 1x1 shortcut. Convolutions
have no bias; eps is 2e-5. The embedding is the batch-normalised dense layer of 512 numbers.
"""

from __future__ import annotations

from torch import Tensor, nn

_EPS = 2e-5


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
        return shortcut + self.bn_3(self.conv_2(x))


def _stage(inputs: int, outputs: int, depth: int) -> nn.Sequential:
    units = [_Unit(inputs, outputs, first=True)]
    units += [_Unit(outputs, outputs, first=False) for _ in range(depth - 1)]
    return nn.Sequential(*units)


class _Backbone(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1_conv = _conv(3, 64, 3)
        self.conv1_bn = nn.BatchNorm2d(64, eps=_EPS)
        self.conv1_prelu = nn.PReLU(64)
        self.conv2 = _stage(64, 64, 3)
        self.conv3 = _stage(64, 128, 4)
        self.conv4 = _stage(128, 256, 6)
        self.conv5 = _stage(256, 512, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv1_prelu(self.conv1_bn(self.conv1_conv(x)))
        return self.conv5(self.conv4(self.conv3(self.conv2(x))))


class ArcFaceNet(nn.Module):
    """``(N, 3, 112, 112)`` BGR in [0, 1] -> ``(N, 512)``."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = _Backbone()
        self.bn = nn.BatchNorm2d(512, eps=_EPS)
        self.dense = nn.Linear(512 * 7 * 7, 512)
        self.embedding = nn.BatchNorm1d(512, eps=_EPS)

    def forward(self, x: Tensor) -> Tensor:
        return self.embedding(self.dense(self.bn(self.backbone(x)).flatten(1)))
