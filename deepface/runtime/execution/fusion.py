"""A convolution and what follows it as one step.

Batch norm is folded into the weights, in float64. On a CPU, oneDNN adds and activates while it
writes the result: without that, a residual network spends a fifth of its time re-reading memory. On
CUDA cuDNN does, where it can (:mod:`deepface.runtime.execution.cudnn`).
Networks are made of these steps by hand, or from their layers by
:func:`deepface.runtime.execution.graph.for_inference`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from deepface.logger import get_logger
from deepface.runtime.execution.cudnn import CudnnConvRelu
from deepface.runtime.execution.kernels import tried

#: Of a convolution, in oneDNN's order: padding, stride, dilation, groups.
Geometry: TypeAlias = tuple[list[int], list[int], list[int], int]


class FusedConv2d(nn.Module):
    """A convolution with bias, then an optional sum and an optional (leaky) ReLU or SiLU.

    Its tensors are derived from those of a weight file and are no part of a state dict.

    Args:
        weight: as in ``nn.Conv2d``.
        bias: likewise.
        conv: gives stride, padding (zeros), dilation and groups.
        slope: of the activation below zero; 0 is ReLU, ``None`` no activation.
        silu: whether the activation is SiLU, ``x * sigmoid(x)``; ``slope`` is ``None`` then.
    """

    weight: Tensor
    bias: Tensor

    def __init__(
        self,
        weight: Tensor,
        bias: Tensor,
        conv: nn.Conv2d,
        slope: float | None = None,
        silu: bool = False,
    ) -> None:
        super().__init__()
        self.register_buffer("weight", weight, persistent=False)
        self.register_buffer("bias", bias, persistent=False)
        self.stride, self.dilation, self.groups = [*conv.stride], [*conv.dilation], conv.groups
        self.padding = [int(size) for size in conv.padding]
        self._geometry: Geometry = (self.padding, self.stride, self.dilation, self.groups)
        self.slope, self.silu = slope, silu
        # An opaque tensor is no buffer: it can be neither cast nor moved.
        self._packed: tuple[Tensor, ...] = ()
        self.cudnn = CudnnConvRelu()

    def pack(self, size: Iterable[int]) -> None:
        """Lay the weights out as oneDNN wants them for inputs of a size; other sizes do, too.

        Else they are brought into that layout at every call, which takes longer than the
        arithmetic when the batch is one face. The module must stay on the CPU afterwards.
        """
        if not _has_onednn(self.weight):
            return
        self._packed = (packed(self.weight, self._geometry, size),)
        self.weight = self.weight.new_empty(0)

    def scale_(self, factor: float) -> None:
        """Multiply what comes before the sum by a constant."""
        self.weight.mul_(factor)
        self.bias.mul_(factor)

    def forward(self, x: Tensor, add: Tensor | None = None) -> Tensor:
        """The result for ``x``; ``add``, of the result's shape, is added and overwritten."""
        weight = self._packed[0] if self._packed else self.weight
        if _has_onednn(x):
            return self._by_onednn(x, weight, add)
        geometry = (self.stride, self.padding, self.dilation, self.groups)
        if self.slope == 0 and x.device.type == "cuda":
            y = self.cudnn(x, weight, self.bias, add, geometry)
            if y is not None:
                return y
        if self.silu and add is None and (biased_silu_ := silu_kernel(x.device)) is not None:
            y = F.conv2d(x, weight, None, *geometry)
            return biased_silu_(y, self.bias)  # type: ignore[no-any-return]
        y = F.conv2d(x, weight, self.bias, *geometry)
        return self.activate_(y if add is None else add.add_(y))

    def _by_onednn(self, x: Tensor, weight: Tensor, add: Tensor | None) -> Tensor:
        given = (x, weight, self.bias, *self._geometry)
        if add is None:
            return _convolved(given, *self._activation())
        if x.dtype != torch.float32:  # in bfloat16 it has no sum for every shape
            return self.activate_(add.add_(_convolved(given, "none")))
        if self.slope == 0:
            return _convolved_and_added(add, given, "relu")
        return self.activate_(_convolved_and_added(add, given, None))  # it has no leaky sum

    def _activation(self) -> tuple[str, list[float]]:
        """oneDNN's name of the activation, and its slope."""
        if self.slope is None:
            return ("swish" if self.silu else "none"), []
        return ("leaky_relu", [self.slope]) if self.slope else ("relu", [])

    def unpacked(self) -> Tensor:
        """The weight as it was given."""
        return self._packed[0].to_dense() if self._packed else self.weight

    def activate_(self, y: Tensor) -> Tensor:
        """Apply the activation in place."""
        if self.silu:
            return F.silu(y, inplace=True)
        return y if self.slope is None else F.leaky_relu(y, self.slope, inplace=True)


def fused(
    conv: nn.Conv2d,
    bn: nn.BatchNorm2d | None = None,
    slope: float | None = None,
    silu: bool = False,
) -> FusedConv2d:
    """``conv``, the evaluation form of ``bn`` and a (leaky) ReLU or SiLU as one step."""
    weight = conv.weight.detach().double()
    bias = weight.new_zeros(len(weight)) if conv.bias is None else conv.bias.detach().double()
    if bn is not None:
        scale, shift = scale_and_shift(bn)
        weight, bias = weight * scale[:, None, None, None], bias * scale + shift
    return FusedConv2d(weight.float(), bias.float(), conv, slope, silu)


class FusedNorm(nn.Module):
    """A batch norm in its evaluation form, where no convolution comes before, and maybe ReLU."""

    scale: Tensor
    shift: Tensor

    def __init__(self, bn: nn.BatchNorm2d, relu: bool) -> None:
        super().__init__()
        scale, shift = scale_and_shift(bn)
        self.register_buffer("scale", scale.float().view(1, -1, 1, 1))
        self.register_buffer("shift", shift.float().view(1, -1, 1, 1))
        self.relu = relu

    def forward(self, x: Tensor) -> Tensor:
        """The result for ``x``."""
        x = torch.addcmul(self.shift, x, self.scale)
        return x.relu_() if self.relu else x


def scale_and_shift(bn: nn.BatchNorm1d | nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """The evaluation form of a batch norm: ``x * scale + shift`` per channel, float64."""
    assert bn.running_mean is not None and bn.running_var is not None
    scale = bn.weight.detach().double() / (bn.running_var.double() + bn.eps).sqrt()
    return scale, bn.bias.detach().double() - bn.running_mean.double() * scale


def is_traced() -> bool:
    """Whether an export to ONNX, say, walks through: it knows PyTorch's common operators only."""
    tracing: bool = torch.jit.is_tracing()  # type: ignore[attr-defined, no-untyped-call]
    return tracing


def _has_onednn(x: Tensor) -> bool:
    is_taken = x.device.type == "cpu" and x.dtype in (torch.float32, torch.bfloat16)
    return is_taken and not is_traced() and onednn_operators_exist()


@cache
def silu_kernel(device: torch.device) -> Callable[[Tensor, Tensor], Tensor] | None:
    """Our kernel for a bias and SiLU, where it runs and is right."""

    def load() -> Callable[[Tensor, Tensor], Tensor]:
        from deepface.runtime.execution.silu_kernel import biased_silu_

        x = torch.linspace(-90, 90, 2 * 3 * 35, device=device).view(2, 3, 5, 7)
        bias = torch.tensor([-1.0, 0.5, 2.0], device=device)
        expected = F.silu(x + bias.view(1, 3, 1, 1))
        for layout in (torch.contiguous_format, torch.channels_last):
            found = biased_silu_(x.clone(memory_format=layout), bias)
            torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
        return biased_silu_

    return tried(load, device, "bias and SiLU")


@cache
def onednn_operators_exist() -> bool:
    """Whether the operators of oneDNN that ``torch.compile`` uses are there and right.

    They have no public name, so a release of PyTorch may change them: they are tried once. Without
    them plain convolutions take their place.
    """
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    try:
        _check_operators()
    except Exception as error:
        get_logger().info("oneDNN's fused convolutions are not used: %s", error)
        return False
    return True


def _check_operators() -> None:
    with torch.inference_mode():
        conv = nn.Conv2d(8, 8, 3, padding=1, groups=2)
        x = torch.linspace(-1, 1, 8 * 25).view(1, 8, 5, 5).to(memory_format=torch.channels_last)
        expected = F.conv2d(x, conv.weight, conv.bias, padding=1, groups=2)
        geometry = ([1, 1], [1, 1], [1, 1], 2)
        given = (x, packed(conv.weight, geometry, x.shape), conv.bias, *geometry)
        total = _convolved_and_added(torch.ones_like(expected), given, "relu")
        results = (
            (_convolved(given, "relu"), expected.relu()),
            (_convolved(given, "swish"), F.silu(expected)),
            (total, (expected + 1).relu()),
        )
        if not all(torch.allclose(*pair, atol=1e-5) for pair in results):
            raise RuntimeError("they give other results")


def packed(weight: Tensor, geometry: Geometry, size: Iterable[int]) -> Tensor:
    """A convolution's weight as oneDNN wants it for inputs of a size; other sizes do, too."""
    return torch._C._nn.mkldnn_reorder_conv2d_weight(  # type: ignore[call-arg]
        weight.to_mkldnn(), *geometry, [*size]
    )


def _convolved(given: tuple[Any, ...], unary: str, slopes: Sequence[float] = ()) -> Tensor:
    """oneDNN's convolution (of input, weight, bias, geometry), then an activation by its name."""
    y: Tensor = torch.ops.mkldnn._convolution_pointwise.default(*given, unary, [*slopes], "")
    return y


def _convolved_and_added(add: Tensor, given: tuple[Any, ...], unary: str | None) -> Tensor:
    """Likewise, added to ``add`` before the activation; in its memory."""
    operator = torch.ops.mkldnn._convolution_pointwise_.binary
    y: Tensor = operator(add, *given, "add", None, unary, [], "")
    return y
