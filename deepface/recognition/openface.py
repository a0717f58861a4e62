"""OpenFace: nn4.small2 (Amos, Ludwiczuk, Satyanarayanan: OpenFace, CMU-CS-16-118, 2016,
https://cmusatyalab.github.io/openface/models-and-accuracies/; Keras layout of
https://github.com/iwantooxxoox/Keras-OpenFace).

An inception network on 96x96 faces. The embedding of 128 numbers has length 1: the network itself
normalises. A pooled branch is zero-padded back to the size of its block after its ReLU.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from deepface.recognition.layers import conv_bn


def _unit(
    inputs: int, outputs: int, kernel: int, stride: int = 1, padding: int = 0
) -> nn.Sequential:
    conv = nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=padding)
    return conv_bn(conv, eps=1e-5, relu=True)


class _LocalResponseNorm(nn.Module):
    """Over 11 channels: ``x / (1 + 1e-4 * sum(x^2))^0.75``."""

    def forward(self, x: Tensor) -> Tensor:
        return F.local_response_norm(x, size=11, alpha=11e-4, beta=0.75, k=1.0)


class _L2Pool(nn.Module):
    """Square root of the sum of squares in 3x3 windows."""

    def forward(self, x: Tensor) -> Tensor:
        return F.avg_pool2d(x * x, 3, stride=3, divisor_override=1).sqrt()


class _Inception(nn.Module):
    """Branches 3x3, 5x5, pool and 1x1, in this order; those that are not given are left out.

    Args:
        inputs: channels of the input.
        conv3: ``(reduced, outputs)`` of the 3x3 branch.
        conv5: the same of the 5x5 branch.
        pool: module, outputs of the 1x1 convolution behind it, and how its result is padded
            (left, right, top, bottom).
        conv1: outputs of the 1x1 branch.
        stride: of the 3x3 and 5x5 convolutions.
    """

    def __init__(
        self,
        inputs: int,
        conv3: tuple[int, int],
        conv5: tuple[int, int] | None,
        pool: tuple[nn.Module, int | None, tuple[int, int, int, int]],
        conv1: int | None = None,
        stride: int = 1,
    ) -> None:
        super().__init__()
        self.branch_3x3 = nn.Sequential(
            _unit(inputs, conv3[0], 1), _unit(*conv3, 3, stride, padding=1)
        )
        self.branch_5x5 = conv5 and nn.Sequential(
            _unit(inputs, conv5[0], 1), _unit(*conv5, 5, stride, padding=2)
        )
        self.pool, outputs, self.padding = pool
        self.branch_pool = outputs and _unit(inputs, outputs, 1)
        self.branch_1x1 = conv1 and _unit(inputs, conv1, 1)

    def forward(self, x: Tensor) -> Tensor:
        parts = [self.branch_3x3(x)]
        if self.branch_5x5:
            parts.append(self.branch_5x5(x))
        pooled = self.pool(x)
        if self.branch_pool:
            pooled = self.branch_pool(pooled)
        parts.append(F.pad(pooled, self.padding))
        if self.branch_1x1:
            parts.append(self.branch_1x1(x))
        return torch.cat(parts, dim=1)


class OpenFaceNet(nn.Module):
    """``(N, 3, 96, 96)`` BGR in [0, 1] -> ``(N, 128)`` of length 1."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = _unit(3, 64, 7, stride=2, padding=3)
        self.conv2 = _unit(64, 64, 1)
        self.conv3 = _unit(64, 192, 3, padding=1)
        self.pool = nn.MaxPool2d(3, stride=2, padding=1)  # inputs are not negative: 0 is no gain
        self.lrn = _LocalResponseNorm()
        maximum, l2 = nn.MaxPool2d(3, stride=2), _L2Pool()
        self.inception_3a = _Inception(192, (96, 128), (16, 32), (maximum, 32, (3, 4, 3, 4)), 64)
        self.inception_3b = _Inception(256, (96, 128), (32, 64), (l2, 64, (4, 4, 4, 4)), 64)
        self.inception_3c = _Inception(
            320, (128, 256), (32, 64), (maximum, None, (0, 1, 0, 1)), stride=2
        )
        self.inception_4a = _Inception(640, (96, 192), (32, 64), (l2, 128, (2, 2, 2, 2)), 256)
        self.inception_4e = _Inception(
            640, (160, 256), (64, 128), (maximum, None, (0, 1, 0, 1)), stride=2
        )
        self.inception_5a = _Inception(1024, (96, 384), None, (l2, 96, (1, 1, 1, 1)), 256)
        self.inception_5b = _Inception(736, (96, 384), None, (maximum, 96, (1, 1, 1, 1)), 256)
        self.dense_layer = nn.Linear(736, 128)

    def forward(self, x: Tensor) -> Tensor:
        x = self.lrn(self.pool(self.conv1(x)))
        x = self.pool(self.lrn(self.conv3(self.conv2(x))))
        x = self.inception_3c(self.inception_3b(self.inception_3a(x)))
        x = self.inception_4e(self.inception_4a(x))
        x = self.inception_5b(self.inception_5a(x))
        x = self.dense_layer(x.mean((2, 3)))
        return x * (x * x).sum(1, keepdim=True).clamp(min=1e-12).rsqrt()
