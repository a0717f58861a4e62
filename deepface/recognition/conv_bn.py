"""The unit that most of these networks are made of."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn


def conv_bn(
    inputs: int,
    outputs: int,
    kernel: int | tuple[int, int],
    stride: int = 1,
    padding: int | tuple[int, int] = 0,
    *,
    groups: int = 1,
    bias: bool = False,
    eps: float = 1e-5,
    relu: bool = False,
    prelu: bool = False,
) -> nn.Sequential:
    """``conv``, ``bn`` and ``relu`` or ``prelu``, one after the other, under these names."""
    parts: OrderedDict[str, nn.Module] = OrderedDict(
        conv=nn.Conv2d(inputs, outputs, kernel, stride, padding, groups=groups, bias=bias),
        bn=nn.BatchNorm2d(outputs, eps=eps),
    )
    if relu:
        parts["relu"] = nn.ReLU()
    if prelu:
        parts["prelu"] = nn.PReLU(outputs)
    return nn.Sequential(parts)
