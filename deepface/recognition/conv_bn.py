"""The unit that most of these networks are made of."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn


def conv_bn(
    conv: nn.Conv2d, eps: float, *, relu: bool = False, prelu: bool = False
) -> nn.Sequential:
    """``conv``, ``bn`` and ``relu`` or ``prelu``, one after the other, under these names."""
    parts: OrderedDict[str, nn.Module] = OrderedDict(
        conv=conv, bn=nn.BatchNorm2d(conv.out_channels, eps=eps)
    )
    if relu:
        parts["relu"] = nn.ReLU()
    if prelu:
        parts["prelu"] = nn.PReLU(conv.out_channels)
    return nn.Sequential(parts)
