"""A convolution and what follows it as one step.

Batch norm is folded into the weights, in float64. On a CPU, oneDNN adds and activates while it
writes the result: without that, a residual network spends a fifth of its time re-reading memory.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class FusedConv2d(nn.Module):
    """A convolution with bias, then an optional sum and an optional (leaky) ReLU.

    Args:
        weight: as in ``nn.Conv2d``; float32.
        bias: likewise.
        conv: gives stride, padding, dilation and groups.
        slope: of the activation below zero; 0 is ReLU, ``None`` no activation.
    """

    weight: Tensor
    bias: Tensor

    def __init__(
        self, weight: Tensor, bias: Tensor, conv: nn.Conv2d, slope: float | None = None
    ) -> None:
        super().__init__()
        self.register_buffer("weight", weight)
        self.register_buffer("bias", bias)
        self.stride, self.dilation, self.groups = [*conv.stride], [*conv.dilation], conv.groups
        self.padding = [int(size) for size in conv.padding]
        self.slope = slope

    def forward(self, x: Tensor, add: Tensor | None = None) -> Tensor:
        """The result for ``x``; ``add``, of the result's shape, is added and overwritten."""
        if not _has_onednn(x):
            y = F.conv2d(
                x, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups
            )
            return self._activated(y if add is None else add.add_(y))
        geometry = (self.padding, self.stride, self.dilation, self.groups)
        relu = "relu" if self.slope == 0 else None
        if add is not None:
            y = torch.ops.mkldnn._convolution_pointwise_(
                add, x, self.weight, self.bias, *geometry, "add", None, relu, [], ""
            )
            return y if relu else self._activated(y)  # it has no leaky sum
        unary = "leaky_relu" if self.slope else relu or "none"
        slopes = [self.slope] if self.slope else []
        return torch.ops.mkldnn._convolution_pointwise(  # type: ignore[no-any-return]
            x, self.weight, self.bias, *geometry, unary, slopes, ""
        )

    def _activated(self, y: Tensor) -> Tensor:
        return y if self.slope is None else F.leaky_relu(y, self.slope, inplace=True)


def fused(
    conv: nn.Conv2d, bn: nn.BatchNorm2d | None = None, slope: float | None = None
) -> FusedConv2d:
    """``conv``, the evaluation form of ``bn`` and a (leaky) ReLU as one step."""
    weight = conv.weight.detach().double()
    bias = weight.new_zeros(len(weight)) if conv.bias is None else conv.bias.detach().double()
    if bn is not None:
        scale, shift = _scale_and_shift(bn)
        weight, bias = weight * scale[:, None, None, None], bias * scale + shift
    return FusedConv2d(weight.float(), bias.float(), conv, slope)


def joined(conv: nn.Conv2d, parts: Sequence[FusedConv2d], slope: float | None) -> FusedConv2d:
    """Convolutions of one input and one geometry, that of ``conv``, as one: outputs in order."""
    weight = torch.cat([part.weight for part in parts])
    return FusedConv2d(weight, torch.cat([part.bias for part in parts]), conv, slope)


class FusedNorm(nn.Module):
    """A batch norm in its evaluation form, where no convolution comes before, and maybe ReLU."""

    scale: Tensor
    shift: Tensor

    def __init__(self, bn: nn.BatchNorm2d, relu: bool) -> None:
        super().__init__()
        scale, shift = _scale_and_shift(bn)
        self.register_buffer("scale", scale.float().view(1, -1, 1, 1))
        self.register_buffer("shift", shift.float().view(1, -1, 1, 1))
        self.relu = relu

    def forward(self, x: Tensor) -> Tensor:
        """The result for ``x``."""
        x = torch.addcmul(self.shift, x, self.scale)
        return x.relu_() if self.relu else x


def _scale_and_shift(bn: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """The evaluation form of a batch norm: ``x * scale + shift`` per channel, float64."""
    assert bn.running_mean is not None and bn.running_var is not None
    scale = bn.weight.detach().double() / (bn.running_var.double() + bn.eps).sqrt()
    return scale, bn.bias.detach().double() - bn.running_mean.double() * scale


def _has_onednn(x: Tensor) -> bool:
    # The operators that torch.compile uses; they have no public name.
    return (
        x.device.type == "cpu"
        and x.dtype == torch.float32
        and torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
        and hasattr(torch.ops.mkldnn, "_convolution_pointwise_")
    )
