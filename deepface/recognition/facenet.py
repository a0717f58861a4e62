"""Facenet and Facenet512: InceptionResNetV1 (Schroff, Kalenichenko, Philbin: FaceNet, CVPR 2015,
https://arxiv.org/abs/1503.03832; network of Szegedy et al., https://arxiv.org/abs/1602.07261, as
in https://github.com/davidsandberg/facenet).

Batch norms have no gamma in the Keras files (eps 1e-3). The embedding is the batch-normalised
bottleneck of 128 or 512 numbers, not divided by its length.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from functools import partial

import torch
from torch import Tensor, nn

from deepface.recognition.cards.facenet import FACENET_128, FACENET_512
from deepface.recognition.conv_bn import conv_bn
from deepface.recognition.network_model import NetworkModel

_EPS = 1e-3
_unit = partial(conv_bn, eps=_EPS, relu=True)


class _Residual(nn.Module, ABC):
    """``relu(x + scale * up(concat(branches(x))))``."""

    def __init__(self, channels: int, width: int, scale: float, last: bool = False) -> None:
        super().__init__()
        self.up = nn.Conv2d(width, channels, kernel_size=1)
        self.scale = scale
        self.last = last

    @abstractmethod
    def branches(self, x: Tensor) -> list[Tensor]: ...

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.up(torch.cat(self.branches(x), dim=1)) * self.scale
        return x if self.last else x.relu()


class _Block35(_Residual):
    def __init__(self) -> None:
        super().__init__(channels=256, width=96, scale=0.17)
        self.branch_0 = _unit(256, 32, 1)
        self.branch_1 = nn.Sequential(_unit(256, 32, 1), _unit(32, 32, 3, padding=1))
        self.branch_2 = nn.Sequential(
            _unit(256, 32, 1), _unit(32, 32, 3, padding=1), _unit(32, 32, 3, padding=1)
        )

    def branches(self, x: Tensor) -> list[Tensor]:
        return [self.branch_0(x), self.branch_1(x), self.branch_2(x)]


class _BlockCross(_Residual):
    """Block17 and Block8: one branch 1x1, the other 1x1 -> 1xk -> kx1."""

    def __init__(
        self, channels: int, width: int, kernel: int, scale: float, last: bool = False
    ) -> None:
        super().__init__(channels, 2 * width, scale, last)
        half = kernel // 2
        self.branch_0 = _unit(channels, width, 1)
        self.branch_1 = nn.Sequential(
            _unit(channels, width, 1),
            _unit(width, width, (1, kernel), padding=(0, half)),
            _unit(width, width, (kernel, 1), padding=(half, 0)),
        )

    def branches(self, x: Tensor) -> list[Tensor]:
        return [self.branch_0(x), self.branch_1(x)]


class _Mixed6a(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.branch_0 = _unit(256, 384, 3, stride=2)
        self.branch_1 = nn.Sequential(
            _unit(256, 192, 1), _unit(192, 192, 3, padding=1), _unit(192, 256, 3, stride=2)
        )
        self.pool = nn.MaxPool2d(3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.branch_0(x), self.branch_1(x), self.pool(x)], dim=1)


class _Mixed7a(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.branch_0 = nn.Sequential(_unit(896, 256, 1), _unit(256, 384, 3, stride=2))
        self.branch_1 = nn.Sequential(_unit(896, 256, 1), _unit(256, 256, 3, stride=2))
        self.branch_2 = nn.Sequential(
            _unit(896, 256, 1), _unit(256, 256, 3, padding=1), _unit(256, 256, 3, stride=2)
        )
        self.pool = nn.MaxPool2d(3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        parts = [self.branch_0(x), self.branch_1(x), self.branch_2(x), self.pool(x)]
        return torch.cat(parts, dim=1)


class InceptionResNetV1(nn.Module):
    """``(N, 3, 160, 160)`` BGR in [0, 1] -> ``(N, dimension)``."""

    def __init__(self, dimension: int) -> None:
        super().__init__()
        self.conv2d_1a_3x3 = _unit(3, 32, 3, stride=2)
        self.conv2d_2a_3x3 = _unit(32, 32, 3)
        self.conv2d_2b_3x3 = _unit(32, 64, 3, padding=1)
        self.maxpool_3a_3x3 = nn.MaxPool2d(3, stride=2)
        self.conv2d_3b_1x1 = _unit(64, 80, 1)
        self.conv2d_4a_3x3 = _unit(80, 192, 3)
        self.conv2d_4b_3x3 = _unit(192, 256, 3, stride=2)
        self.block35 = nn.Sequential(*(_Block35() for _ in range(5)))
        self.mixed_6a = _Mixed6a()
        self.block17 = nn.Sequential(*(_BlockCross(896, 128, 7, scale=0.1) for _ in range(10)))
        self.mixed_7a = _Mixed7a()
        self.block8 = nn.Sequential(
            *(_BlockCross(1792, 192, 3, scale=0.2) for _ in range(5)),
            _BlockCross(1792, 192, 3, scale=1.0, last=True),
        )
        self.bottleneck = nn.Linear(1792, dimension, bias=False)
        self.bottleneck_bn = nn.BatchNorm1d(dimension, eps=_EPS)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        x = self.conv2d_2b_3x3(self.conv2d_2a_3x3(self.conv2d_1a_3x3(x)))
        x = self.conv2d_3b_1x1(self.maxpool_3a_3x3(x))
        x = self.conv2d_4b_3x3(self.conv2d_4a_3x3(x))
        x = self.mixed_6a(self.block35(x))
        x = self.mixed_7a(self.block17(x))
        x = self.block8(x).mean((2, 3))
        vectors: Tensor = self.bottleneck_bn(self.bottleneck(x))
        return vectors


def _conv_and_bn(*units: str) -> list[str]:
    return [f"{unit}.{part}" for unit in units for part in ("conv", "bn")]


def _cross_order(block: str) -> list[str]:
    one, other = f"{block}.branch_1", f"{block}.branch_0"
    return [
        *_conv_and_bn(f"{one}.0", f"{one}.1"),
        *(f"{other}.conv", f"{one}.2.conv", f"{other}.bn", f"{one}.2.bn", f"{block}.up"),
    ]


def _keras_order() -> Iterator[str]:
    """Keras sorts layers by depth: those of parallel branches are interleaved, longest first."""
    names = ("1a_3x3", "2a_3x3", "2b_3x3", "3b_1x1", "4a_3x3", "4b_3x3")
    yield from _conv_and_bn(*(f"conv2d_{name}" for name in names))
    for i in range(5):
        b = f"block35.{i}.branch_"
        yield from (f"{b}2.0.conv", f"{b}2.0.bn", f"{b}1.0.conv", f"{b}2.1.conv")
        yield from (f"{b}1.0.bn", f"{b}2.1.bn", f"{b}0.conv", f"{b}1.1.conv", f"{b}2.2.conv")
        yield from (f"{b}0.bn", f"{b}1.1.bn", f"{b}2.2.bn", f"block35.{i}.up")
    b = "mixed_6a.branch_"
    yield from _conv_and_bn(f"{b}1.0", f"{b}1.1")
    yield from (f"{b}0.conv", f"{b}1.2.conv", f"{b}0.bn", f"{b}1.2.bn")
    for i in range(10):
        yield from _cross_order(f"block17.{i}")
    b = "mixed_7a.branch_"
    yield from (f"{b}2.0.conv", f"{b}2.0.bn", f"{b}0.0.conv", f"{b}1.0.conv", f"{b}2.1.conv")
    yield from (f"{b}0.0.bn", f"{b}1.0.bn", f"{b}2.1.bn")
    for part in ("conv", "bn"):
        yield from (f"{b}{unit}.{part}" for unit in ("0.1", "1.1", "2.2"))
    for i in range(6):
        yield from _cross_order(f"block8.{i}")
    yield from ("bottleneck", "bottleneck_bn")


class Facenet128(NetworkModel):
    """Vectors of 128 numbers."""

    card = FACENET_128

    def network(self) -> nn.Module:
        return InceptionResNetV1(self.output_shape)

    def keras_order(self) -> list[str]:
        return list(_keras_order())


class Facenet512(Facenet128):
    """Vectors of 512 numbers."""

    card = FACENET_512
