"""Facenet and Facenet512: InceptionResNetV1 (Schroff, Kalenichenko, Philbin: FaceNet, CVPR 2015,
https://arxiv.org/abs/1503.03832; network of Szegedy et al., https://arxiv.org/abs/1602.07261, as
in https://github.com/davidsandberg/facenet).

Batch norms have no gamma in the Keras files (eps 1e-3). The embedding is the batch-normalised
bottleneck of 128 or 512 numbers, not divided by its length.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import torch
from torch import Tensor, nn

from deepface.recognition.cards.facenet import FACENET_128, FACENET_512
from deepface.recognition.conv_bn import conv_bn
from deepface.recognition.network_model import NetworkModel

_EPS = 1e-3
_unit = partial(conv_bn, eps=_EPS, relu=True)


class _Branches(nn.Module):
    """What several branches give for the same maps, their channels behind one another."""

    def __init__(self, *branches: nn.Module) -> None:
        super().__init__()
        self.names = [f"branch_{number}" for number in range(len(branches))]
        for name, branch in zip(self.names, branches, strict=True):
            self.add_module(name, branch)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.get_submodule(name)(x) for name in self.names], dim=1)


class _Residual(_Branches):
    """``relu(x + scale * up(branches(x)))``."""

    def __init__(
        self, channels: int, width: int, scale: float, *branches: nn.Module, last: bool = False
    ) -> None:
        super().__init__(*branches)
        self.up = nn.Conv2d(width, channels, kernel_size=1)
        self.scale = scale
        self.last = last

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.up(super().forward(x)) * self.scale
        return x if self.last else x.relu()


def _block_35() -> _Residual:
    return _Residual(
        *(256, 96, 0.17),
        _unit(256, 32, 1),
        nn.Sequential(_unit(256, 32, 1), _unit(32, 32, 3, padding=1)),
        nn.Sequential(_unit(256, 32, 1), *(_unit(32, 32, 3, padding=1) for _ in range(2))),
    )


def _block_cross(
    channels: int, width: int, kernel: int, scale: float, last: bool = False
) -> _Residual:
    """Block17 and Block8: one branch 1x1, the other 1x1 -> 1xk -> kx1."""
    half = kernel // 2
    cross = nn.Sequential(
        _unit(channels, width, 1),
        _unit(width, width, (1, kernel), padding=(0, half)),
        _unit(width, width, (kernel, 1), padding=(half, 0)),
    )
    return _Residual(channels, 2 * width, scale, _unit(channels, width, 1), cross, last=last)


def _mixed_6a() -> _Branches:
    return _Branches(
        _unit(256, 384, 3, stride=2),
        nn.Sequential(
            _unit(256, 192, 1), _unit(192, 192, 3, padding=1), _unit(192, 256, 3, stride=2)
        ),
        nn.MaxPool2d(3, stride=2),
    )


def _mixed_7a() -> _Branches:
    return _Branches(
        nn.Sequential(_unit(896, 256, 1), _unit(256, 384, 3, stride=2)),
        nn.Sequential(_unit(896, 256, 1), _unit(256, 256, 3, stride=2)),
        nn.Sequential(
            _unit(896, 256, 1), _unit(256, 256, 3, padding=1), _unit(256, 256, 3, stride=2)
        ),
        nn.MaxPool2d(3, stride=2),
    )


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
        self.block35 = nn.Sequential(*(_block_35() for _ in range(5)))
        self.mixed_6a = _mixed_6a()
        self.block17 = nn.Sequential(*(_block_cross(896, 128, 7, scale=0.1) for _ in range(10)))
        self.mixed_7a = _mixed_7a()
        self.block8 = nn.Sequential(
            *(_block_cross(1792, 192, 3, scale=0.2) for _ in range(5)),
            _block_cross(1792, 192, 3, scale=1.0, last=True),
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


def _order_of_branches(block: str, *depths: int) -> Iterator[str]:
    """Layers of parallel branches, of so many units each, which end at the same depth."""
    for left in range(max(depths), 0, -1):
        for part in ("conv", "bn"):
            for branch, depth in enumerate(depths):
                unit = f".{depth - left}" if depth > 1 else ""
                if depth >= left:
                    yield f"{block}.branch_{branch}{unit}.{part}"


def _keras_order() -> Iterator[str]:
    """Keras sorts layers by depth: those of parallel branches are interleaved, longest first."""
    for name in ("1a_3x3", "2a_3x3", "2b_3x3", "3b_1x1", "4a_3x3", "4b_3x3"):
        yield from (f"conv2d_{name}.{part}" for part in ("conv", "bn"))
    for i in range(5):
        yield from (*_order_of_branches(f"block35.{i}", 1, 2, 3), f"block35.{i}.up")
    yield from _order_of_branches("mixed_6a", 1, 3)
    for i in range(10):
        yield from (*_order_of_branches(f"block17.{i}", 1, 3), f"block17.{i}.up")
    yield from _order_of_branches("mixed_7a", 2, 2, 3)
    for i in range(6):
        yield from (*_order_of_branches(f"block8.{i}", 1, 3), f"block8.{i}.up")
    yield from ("bottleneck", "bottleneck_bn")


class Facenet128(NetworkModel):
    """Vectors of 128 numbers."""

    card = FACENET_128
    keras_order = tuple(_keras_order())

    def network(self) -> nn.Module:
        return InceptionResNetV1(self.output_shape)


class Facenet512(Facenet128):
    """Vectors of 512 numbers."""

    card = FACENET_512
