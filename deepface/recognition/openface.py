"""OpenFace: nn4.small2 (Amos, Ludwiczuk, Satyanarayanan: OpenFace, CMU-CS-16-118, 2016).

https://cmusatyalab.github.io/openface/models-and-accuracies/; Keras layout of
https://github.com/iwantooxxoox/Keras-OpenFace. An inception network on 96x96 faces. Its vectors of
128 numbers have length 1: the network itself normalises. A pooled branch is zero-padded back to
the size of its block after its ReLU.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from deepface.recognition.cards.openface import CARD
from deepface.recognition.conv_bn import conv_bn
from deepface.recognition.network_model import NetworkModel
from deepface.runtime.execution.fusion import FusedConv2d

_LRN_ALPHA, _LRN_RADIUS = 1e-4, 5
_unit = partial(conv_bn, bias=True, relu=True)


class _LocalResponseNorm(nn.Module):
    """Over 11 channels: ``x / (1 + 1e-4 * sum(x^2))^0.75``.

    The sum over neighbouring channels is a 1x1 convolution with a band of ones: PyTorch's own
    ``local_response_norm`` takes half of the time of the whole network.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        # On the CPU also where the parameters are left without storage until they are loaded.
        position = torch.arange(channels, device="cpu")
        near = ((position[:, None] - position).abs() <= _LRN_RADIUS)[:, :, None, None]
        one = torch.ones(channels, device="cpu")
        self.band = FusedConv2d(_LRN_ALPHA * near, one, nn.Conv2d(1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        root = self.band(x * x).rsqrt_()
        scaled: Tensor = (x * root).mul_(root.sqrt_())
        return scaled


class _L2Pool(nn.Module):
    """Square root of the sum of squares in 3x3 windows."""

    def forward(self, x: Tensor) -> Tensor:
        return (9 * F.avg_pool2d(x * x, 3, stride=3)).sqrt()


class _Inception(nn.Module):
    """Branches 3x3, 5x5, pool and 1x1, in this order; those that are not given are left out.

    Args:
        inputs: channels of the input.
        conv3: ``(reduced, outputs)`` of the 3x3 branch.
        conv5: the same of the 5x5 branch.
        pool: the pooling and how its branch's result is padded (left, right, top, bottom).
        projected: outputs of the 1x1 convolution behind the pooling.
        conv1: outputs of the 1x1 branch.
        stride: of the 3x3 and 5x5 convolutions.
    """

    def __init__(
        self,
        inputs: int,
        conv3: tuple[int, int],
        conv5: tuple[int, int] | None,
        pool: tuple[nn.Module, tuple[int, int, int, int]],
        projected: int | None = None,
        conv1: int | None = None,
        stride: int = 1,
    ) -> None:
        super().__init__()
        self.branch_3x3 = nn.Sequential(
            _unit(inputs, conv3[0], 1), _unit(*conv3, 3, stride, padding=1)
        )
        self.branch_5x5: nn.Module | None = None
        if conv5:
            self.branch_5x5 = nn.Sequential(
                _unit(inputs, conv5[0], 1), _unit(*conv5, 5, stride, padding=2)
            )
        self.pool, self.padding = pool
        self.branch_pool = _unit(inputs, projected, 1) if projected else nn.Identity()
        self.branch_1x1 = _unit(inputs, conv1, 1) if conv1 else None

    def forward(self, x: Tensor) -> Tensor:
        parts = [self.branch_3x3(x)]
        if self.branch_5x5 is not None:
            parts.append(self.branch_5x5(x))
        parts.append(F.pad(self.branch_pool(self.pool(x)), self.padding))
        if self.branch_1x1 is not None:
            parts.append(self.branch_1x1(x))
        return torch.cat(parts, dim=1)


class OpenFaceNet(nn.Module):
    """``(N, 3, 96, 96)`` BGR in [0, 1] -> ``(N, 128)`` of length 1."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = _unit(3, 64, 7, stride=2, padding=3)
        self.conv2 = _unit(64, 64, 1)
        self.conv3 = _unit(64, 192, 3, padding=1)
        self.pool = nn.MaxPool2d(3, stride=2, padding=1)  # of values that are not negative
        self.lrn1, self.lrn2 = _LocalResponseNorm(64), _LocalResponseNorm(192)
        maximum, l2 = nn.MaxPool2d(3, stride=2), _L2Pool()
        self.inception_3a = _Inception(192, (96, 128), (16, 32), (maximum, (3, 4, 3, 4)), 32, 64)
        self.inception_3b = _Inception(256, (96, 128), (32, 64), (l2, (4, 4, 4, 4)), 64, 64)
        self.inception_3c = _Inception(320, (128, 256), (32, 64), (maximum, (0, 1, 0, 1)), stride=2)
        self.inception_4a = _Inception(640, (96, 192), (32, 64), (l2, (2, 2, 2, 2)), 128, 256)
        self.inception_4e = _Inception(
            640, (160, 256), (64, 128), (maximum, (0, 1, 0, 1)), stride=2
        )
        self.inception_5a = _Inception(1024, (96, 384), None, (l2, (1, 1, 1, 1)), 96, 256)
        self.inception_5b = _Inception(736, (96, 384), None, (maximum, (1, 1, 1, 1)), 96, 256)
        self.dense_layer = nn.Linear(736, 128)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        x = self.lrn1(self.pool(self.conv1(x)))
        x = self.pool(self.lrn2(self.conv3(self.conv2(x))))
        x = self.inception_3c(self.inception_3b(self.inception_3a(x)))
        x = self.inception_4e(self.inception_4a(x))
        x = self.inception_5b(self.inception_5a(x))
        x = self.dense_layer(x.mean((2, 3)))
        return x * (x * x).sum(1, keepdim=True).clamp(min=1e-12).rsqrt()


def _keras_order() -> Iterator[str]:
    """Keras sorts layers by depth: those of parallel branches are interleaved."""
    yield from (f"conv{i}.{part}" for i in (1, 2, 3) for part in ("conv", "bn"))
    starts = ("3x3.0.conv", "5x5.0.conv", "3x3.0.bn", "5x5.0.bn")
    pooled = ("pool.conv", "3x3.1.conv", "5x5.1.conv", "pool.bn", "1x1.conv")
    ends = ("3x3.1.bn", "5x5.1.bn", "1x1.bn")
    for block in ("3a", "3b", "3c", "4a", "4e", "5a", "5b"):
        left_out: tuple[str, ...] = ("pool", "1x1") if block in ("3c", "4e") else ()
        left_out += ("5x5",) if block in ("5a", "5b") else ()
        for layer in (*starts, *pooled, *ends):
            if not layer.startswith(left_out):
                yield f"inception_{block}.branch_{layer}"
    yield "dense_layer"


class OpenFace(NetworkModel):
    """Vectors of 128 numbers, of length 1."""

    card = CARD
    keras_order = tuple(_keras_order())

    def network(self) -> nn.Module:
        return OpenFaceNet()
