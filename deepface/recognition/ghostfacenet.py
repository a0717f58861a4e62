"""GhostFaceNetV1, width 1.3, stride 1 (Alansari, Hay, Javed, Shoufan, Zweiri, Werghi:
GhostFaceNets, IEEE Access 2023, https://ieeexplore.ieee.org/document/10098610;
weights of https://github.com/HamadYA/GhostFaceNets).

A ghost module computes half of its channels with a 1x1 convolution and the other half from these
with a cheap depthwise 3x3. Every activation is a PReLU per channel; padding is TensorFlow's "same"
(more at the right and at the bottom when the stride is 2); eps is 1e-3.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import ClassVar

import torch
from torch import Tensor, nn

from deepface.recognition.cards.ghostfacenet import CARD
from deepface.recognition.conv_bn import conv_bn
from deepface.recognition.network_model import NetworkModel

_EPS = 1e-3

#: Depthwise kernel, stride, expanded channels, output channels, squeezed channels (0: none).
_BOTTLENECKS = (
    (3, 1, 20, 20, 0),
    (3, 2, 64, 32, 0),
    (3, 1, 92, 32, 0),
    (5, 2, 92, 52, 24),
    (5, 1, 156, 52, 40),
    (3, 2, 312, 104, 0),
    (3, 1, 260, 104, 0),
    (3, 1, 240, 104, 0),
    (3, 1, 240, 104, 0),
    (3, 1, 624, 144, 156),
    (3, 1, 872, 144, 220),
    (5, 2, 872, 208, 220),
    (5, 1, 1248, 208, 0),
    (5, 1, 1248, 208, 312),
    (5, 1, 1248, 208, 0),
    (5, 1, 664, 208, 168),
)


def _pointwise(inputs: int, outputs: int, prelu: bool = False) -> nn.Sequential:
    return conv_bn(inputs, outputs, 1, eps=_EPS, prelu=prelu)


def _depthwise(channels: int, kernel: int, stride: int = 1, prelu: bool = False) -> nn.Sequential:
    padding = kernel // 2 if stride == 1 else 0
    sizes = (channels, channels, kernel, stride, padding)
    unit = conv_bn(*sizes, groups=channels, eps=_EPS, prelu=prelu)
    if stride > 1:  # the maps' sizes are even
        before, after = (kernel - 2) // 2, (kernel - 1) // 2
        pad = nn.ZeroPad2d((before, after, before, after))
        unit = nn.Sequential(OrderedDict([("pad", pad), *unit.named_children()]))
    return unit


class _Ghost(nn.Module):
    def __init__(self, inputs: int, outputs: int, prelu: bool) -> None:
        super().__init__()
        self.primary = _pointwise(inputs, outputs // 2, prelu)
        self.cheap = _depthwise(outputs // 2, 3, prelu=prelu)

    def forward(self, x: Tensor) -> Tensor:
        x = self.primary(x)
        return torch.cat([x, self.cheap(x)], dim=1)


class _SqueezeExcite(nn.Module):
    def __init__(self, channels: int, squeezed: int) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(channels, squeezed, 1)
        self.prelu = nn.PReLU(squeezed)
        self.expand = nn.Conv2d(squeezed, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        gate = self.expand(self.prelu(self.reduce(x.mean((2, 3), keepdim=True))))
        gated: Tensor = x * (0.2 * gate + 0.5).clamp(0, 1)  # the hard sigmoid of Keras
        return gated


class _Bottleneck(nn.Module):
    def __init__(
        self, inputs: int, kernel: int, stride: int, expanded: int, outputs: int, squeezed: int
    ) -> None:
        super().__init__()
        self.ghost_1 = _Ghost(inputs, expanded, prelu=True)
        self.downsample = _depthwise(expanded, kernel, stride) if stride > 1 else nn.Identity()
        self.se = _SqueezeExcite(expanded, squeezed) if squeezed else nn.Identity()
        self.ghost_2 = _Ghost(expanded, outputs, prelu=False)
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                _depthwise(inputs, kernel, stride), _pointwise(inputs, outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        main = self.ghost_2(self.se(self.downsample(self.ghost_1(x))))
        total: Tensor = main + self.shortcut(x)
        return total


class GhostFaceNetV1(nn.Module):
    """``(N, 3, 112, 112)`` BGR in [0, 1] -> ``(N, 512)``."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = conv_bn(3, 20, 3, padding=1, eps=_EPS, prelu=True)
        blocks, channels = [], 20
        for kernel, stride, expanded, outputs, squeezed in _BOTTLENECKS:
            blocks.append(_Bottleneck(channels, kernel, stride, expanded, outputs, squeezed))
            channels = outputs
        self.bottlenecks = nn.Sequential(*blocks)
        self.tail = _pointwise(channels, 664, prelu=True)
        self.gdc_dw = nn.Conv2d(664, 664, 7, groups=664, bias=False)
        self.gdc_bn = nn.BatchNorm2d(664, eps=_EPS)
        self.gdc_conv = nn.Conv2d(664, 512, 1)
        self.pre_embedding = nn.BatchNorm1d(512, eps=_EPS)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        x = self.tail(self.bottlenecks(self.stem(x)))
        x = self.gdc_conv(self.gdc_bn(self.gdc_dw(x)))
        vectors: Tensor = self.pre_embedding(x.flatten(1))
        return vectors


def _keras_order() -> Iterator[str]:
    """Keras sorts layers by depth: a shortcut's come between those of the second ghost module."""
    unit = ("conv", "bn", "prelu")
    yield from (f"stem.{part}" for part in unit)
    channels = 20
    for number, (_, stride, _, outputs, squeezed) in enumerate(_BOTTLENECKS):
        layers = [f"ghost_1.{half}.{part}" for half in ("primary", "cheap") for part in unit]
        if stride > 1:
            layers += ["downsample.conv", "downsample.bn"]
        if squeezed:
            layers += ["se.reduce", "se.prelu", "se.expand"]
        has_shortcut = stride > 1 or channels != outputs
        for half, step in (("primary", 0), ("cheap", 1)):
            for part in ("conv", "bn"):
                layers.append(f"ghost_2.{half}.{part}")
                layers += [f"shortcut.{step}.{part}"] * has_shortcut
        yield from (f"bottlenecks.{number}.{layer}" for layer in layers)
        channels = outputs
    yield from (f"tail.{part}" for part in unit)
    yield from ("gdc_dw", "gdc_bn", "gdc_conv", "pre_embedding")


class GhostFaceNet(NetworkModel):
    """Vectors of 512 numbers."""

    card = CARD
    keras_order = tuple(_keras_order())
    chunk_sizes: ClassVar = {"cpu": 4}  # its maps are large and many

    def network(self) -> nn.Module:
        return GhostFaceNetV1()
