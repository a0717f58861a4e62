"""The convolutions of an ONNX file, in the order in which they run.

A network says what it expects, one by one; what the file has must be that. So a network is written
down here as layers, and its numbers come from the file, whatever names they have there.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from deepface.runtime.execution.fusion import FusedConv2d, fused
from deepface.runtime.weights.damage import damaged
from deepface.runtime.weights.onnx_file import Graph, Node, read_onnx


class Convolutions:
    """Hands out a file's convolutions, the batch norm and the ReLU behind each folded in.

    Raises:
        WeightsError: the file is damaged; or it is another network (also from the methods).
    """

    def __init__(self, path: Path, network: str) -> None:
        self._path, self._network = path, network
        self._graph: Graph = read_onnx(path)
        self._followers = {node.inputs[0]: node for node in self._graph.nodes if node.inputs}
        self._left = [n for n in self._graph.nodes if n.kind in ("Conv", "ConvTranspose")]

    def take(
        self,
        inputs: int,
        outputs: int,
        kernel: int = 1,
        *,
        stride: int = 1,
        groups: int = 1,
        relu: bool = False,
    ) -> FusedConv2d:
        """The next one, which must be a convolution of this form, padded by half its kernel."""
        form = (outputs, inputs // groups, kernel, kernel)
        node, arrays = self._next("Conv", form, kernel, stride, groups, kernel // 2)
        with torch.device("meta"):
            conv = nn.Conv2d(
                *(inputs, outputs, kernel, stride, kernel // 2),
                groups=groups,
                bias=len(arrays) > 1,
            )
        for name, array in zip(("weight", "bias"), arrays, strict=False):
            setattr(conv, name, nn.Parameter(array))
        norm, rectified = self._behind(node)
        self._expect(rectified == relu, f"after {node.outputs[0]} {'a' if relu else 'no'} ReLU")
        return fused(conv, norm, 0.0 if relu else None)

    def take_upsampling(self, channels: int) -> Upsampling:
        """The next one, which must double the sides and be followed by ReLU."""
        node, arrays = self._next("ConvTranspose", (channels, channels, 2, 2), 2, 2, 1, 0)
        conv = nn.Conv2d(1, channels, 2)  # only holds the numbers for folding
        conv.weight = nn.Parameter(arrays[0].transpose(0, 1))
        conv.bias = nn.Parameter(arrays[1] if len(arrays) > 1 else torch.zeros(channels))
        norm, rectified = self._behind(node)
        self._expect(rectified, f"after {node.outputs[0]} a ReLU")
        folded = fused(conv, norm)
        return Upsampling(folded.weight.transpose(0, 1).contiguous(), folded.bias)

    def finish(self) -> None:
        """That was all."""
        self._expect(not self._left, f"{len(self._left)} convolutions less")

    def _next(
        self, kind: str, form: tuple[int, ...], kernel: int, stride: int, groups: int, padding: int
    ) -> tuple[Node, list[Tensor]]:
        self._expect(bool(self._left), "more convolutions")
        node = self._left.pop(0)
        arrays = [self._array(name) for name in node.inputs[1:]]
        expected = {
            "kernel_shape": (kernel,) * 2,
            "strides": (stride,) * 2,
            "pads": (padding,) * 4,
            "dilations": (1, 1),
            "group": groups,
        }
        given = {name: node.attributes.get(name) for name in expected}
        self._expect(
            node.kind == kind and bool(arrays) and arrays[0].shape == form and given == expected,
            f"a {kind} {form} with {expected}, and not a {node.kind} "
            f"{[tuple(array.shape) for array in arrays]} with {given}",
        )
        return node, arrays

    def _behind(self, node: Node) -> tuple[nn.BatchNorm2d | None, bool]:
        """The batch norm that comes next, and whether a ReLU does."""
        following, norm = self._followers.get(node.outputs[0]), None
        if following is not None and following.kind == "BatchNormalization":
            norm = nn.BatchNorm2d(1, eps=following.attributes.get("epsilon", 1e-5))
            weight, bias, mean, variance = map(self._array, following.inputs[1:5])
            norm.weight, norm.bias = nn.Parameter(weight), nn.Parameter(bias)
            norm.running_mean, norm.running_var = mean, variance
            following = self._followers.get(following.outputs[0])
        return norm, following is not None and following.kind == "Relu"

    def _array(self, name: str) -> Tensor:
        self._expect(name in self._graph.arrays, f"an array {name}")
        return torch.tensor(self._graph.arrays[name])

    def _expect(self, holds: bool, what: str) -> None:
        if not holds:
            raise damaged(self._path, f"it does not hold {self._network}, which has {what}")


def joined(layers: Sequence[FusedConv2d]) -> FusedConv2d:
    """Convolutions of one form and input as one, their channels behind one another.

    Depthwise ones take the channels of their inputs behind one another.
    """
    first = layers[0]
    deep = first.groups > 1 or first.weight.shape[1] == 1
    conv = nn.Conv2d(1, 1, first.weight.shape[2], padding=(first.padding[0], first.padding[1]))
    weight = torch.cat([layer.weight for layer in layers])
    if deep:
        conv.groups = len(weight)
    return FusedConv2d(weight, torch.cat([layer.bias for layer in layers]), conv, first.slope)


class Upsampling(nn.Module):
    """A transposed convolution that doubles the sides, and ReLU; then a sum."""

    weight: Tensor
    bias: Tensor

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.register_buffer("weight", weight)
        self.register_buffer("bias", bias)

    def forward(self, x: Tensor, add: Tensor) -> Tensor:
        """``(N, C, h, w)`` to ``(N, C, 2h, 2w)``, plus ``add``."""
        up: Any = F.conv_transpose2d(x, self.weight, self.bias, 2)
        return up.relu_().add_(add)  # type: ignore[no-any-return]
