"""3x3 convolutions with a quarter of the multiplications, on a CPU.

Winograd's minimal filtering F(4x4, 3x3) (Lavin and Gray, "Fast Algorithms for Convolutional Neural
Networks", CVPR 2016): every tile of 6x6 pixels becomes 36 numbers per channel, which are multiplied
with the transformed weights point by point, and 4x4 results come back. Both transforms are sums of
shifted views; the product is one grouped 1x1 convolution by oneDNN. Weights are transformed in
float64.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property

import torch
from torch import Tensor, nn

from deepface.runtime.execution.fusion import FusedConv2d, onednn_operators_exist, packed

_OUT, _IN = 4, 6  # pixels of a tile along one axis, after and before
_POINTS = _IN * _IN
#: Weights to the 6 points of one axis.
_G = (
    (1 / 4, 0, 0),
    (-1 / 6, -1 / 6, -1 / 6),
    (-1 / 6, 1 / 6, -1 / 6),
    (1 / 24, 1 / 12, 1 / 6),
    (1 / 24, -1 / 12, 1 / 6),
    (0, 0, 1),
)
_MIN_CHANNELS, _MIN_TILES = 128, 16
#: Tiles that are multiplied at a time where maps have any size.
BLOCK = 64
#: Part of such blocks that may be empty.
_EMPTY = 0.2


def pays(conv: nn.Conv2d, height: int, width: int) -> bool:
    """Whether a convolution of maps ``(height, width)`` is faster this way on a CPU, as measured.

    It depends on the layer alone, so what a picture gives does not depend on the batch.
    """
    return suits(conv) and tiles(height) * tiles(width) >= _MIN_TILES


def suits(conv: nn.Conv2d | FusedConv2d) -> bool:
    """Whether a convolution is of the kind that is faster this way on maps of many tiles."""
    outputs, inputs, *kernel = conv.weight.shape
    around = (conv.stride, conv.padding, conv.dilation)
    return (
        onednn_operators_exist()
        and kernel == [3, 3]
        and all(tuple(sizes) == (1, 1) for sizes in around)
        and conv.groups == 1
        and min(inputs, outputs) >= _MIN_CHANNELS
    )


def tiles(size: int) -> int:
    """How many tiles cover ``size`` rows or columns."""
    return -(-size // _OUT)


class WinogradConv2d(nn.Module):
    """A 3x3 convolution (stride 1, zeros around the map) and an activation, float32 on a CPU.

    Args:
        weight: ``(O, C, 3, 3)``.
        bias: ``(O,)``.
        block: tiles that are multiplied at a time. The weights are laid out for exactly so many,
            and for the number of threads: for others oneDNN may want them otherwise, and would
            bring them into that layout at every call, which takes twenty times as long.
        activate: in place.
    """

    #: Bytes of transformed tiles that are worked on at a time: they should stay in the cache.
    budget = 8 << 20

    def __init__(
        self,
        weight: Tensor,
        bias: Tensor,
        block: int,
        activate: Callable[[Tensor], object] = torch.relu_,
    ) -> None:
        super().__init__()
        self.outputs, self.channels = weight.shape[:2]
        self._block, self._activate = block, activate
        self._geometry = ([0, 0], [1, 1], [1, 1], _POINTS)
        g = torch.tensor(_G, dtype=torch.float64)
        points = torch.einsum("xi,ocij,yj->xyoc", g, weight.double(), g).float()
        self._packed = self._laid_out(points.reshape(-1, self.channels, 1, 1))
        # What is added at the point (1, 1) is added to all 16 results.
        spread = torch.zeros(_IN, _IN, self.outputs)
        spread[1, 1] = bias
        self._bias = spread.flatten()

    def _laid_out(self, weight: Tensor) -> tuple[int, Tensor]:
        """The number of threads, and the weights for it."""
        threads = torch.get_num_threads()
        size = [1, _POINTS * self.channels, 1, self._block]
        return threads, packed(weight, self._geometry, size)

    def rows_at_a_time(self, down: int, across: int) -> int:
        """Of ``down`` rows of ``across`` tiles: what stays in the cache, in the fewest blocks."""
        cached = max(1, self.budget // (across * _POINTS * self.channels * 4))

        def blocks(rows: int) -> int:
            return -(-down // rows) * -(-rows * across // self._block)

        return min(range(min(down, cached), 0, -1), key=blocks)

    def forward(self, x: Tensor) -> Tensor:
        """``(N, C, height, width)`` -> ``(N, O, height, width)``, both channels-last."""
        if self._packed[0] != torch.get_num_threads():
            self._packed = self._laid_out(self._packed[1].to_dense())
        weight = self._packed[1]
        count, channels, height, width = x.shape
        down, across = tiles(height), tiles(width)
        rows = self.rows_at_a_time(down, across)
        out = x.new_empty(count, down * _OUT, across * _OUT, self.outputs)
        padded = x.new_zeros(down * _OUT + 2, across * _OUT + 2, channels)
        for image, result in zip(x.permute(0, 2, 3, 1), out, strict=True):
            padded[1 : height + 1, 1 : width + 1] = image
            for first in range(0, down, rows):
                # The last ones overlap those before: all are as many.
                top = min(first, down - rows) * _OUT
                bottom = top + rows * _OUT
                self._rows(padded[top : bottom + 2], weight, result[top:bottom])
        return out[:, :height, :width].contiguous().permute(0, 3, 1, 2)

    def _rows(self, x: Tensor, weight: Tensor, y: Tensor) -> None:
        """Some rows of tiles: ``(4 r + 2, 4 w + 2, C)`` -> ``(4 r, 4 w, O)``."""
        rows, across, channels = tiles(len(y)), tiles(y.shape[1]), x.shape[2]
        half = x.new_empty(_IN, rows, x.shape[1], channels)
        _to_points([x[i : i + _OUT * (rows - 1) + 1 : _OUT] for i in range(_IN)], half.unbind())
        count = rows * across
        whole = -(-count // self._block) * self._block
        seen = x.new_empty(whole, _POINTS * channels)
        seen[count:] = 0
        points = seen[:count].view(rows, across, _IN, _IN, channels)
        columns = [half[:, :, j : j + _OUT * (across - 1) + 1 : _OUT] for j in range(_IN)]
        _to_points(columns, points.permute(3, 2, 0, 1, 4).unbind())

        half = x.new_empty(_OUT, whole, _IN, self.outputs)
        for block, result in zip(
            torch.split(seen, self._block), torch.split(half, self._block, 1), strict=True
        ):
            product = torch.ops.mkldnn._convolution_pointwise(
                block[None, None].permute(0, 3, 1, 2),
                weight, self._bias, *self._geometry, "none", [], "",
            )  # fmt: skip
            product = product.permute(0, 2, 3, 1).view(-1, _IN, _IN, self.outputs)
            _from_points(product.unbind(1), result.unbind())
        half = half[:, :count].view(_OUT, rows, across, _IN, self.outputs)
        pixels = y.view(rows, _OUT, across, _OUT, self.outputs).permute(3, 1, 0, 2, 4)
        _from_points(half.unbind(3), pixels.unbind())
        self._activate(y)


def _to_points(d: Sequence[Tensor], out: Sequence[Tensor]) -> None:
    """Six pixels along an axis to six points."""
    add, sub = torch.add, torch.sub
    t = torch.empty_like(d[0], memory_format=torch.contiguous_format)
    add(d[4], d[2], alpha=-5, out=out[0]).add_(d[0], alpha=4)
    add(d[4], d[2], alpha=-4, out=t)
    add(d[3], d[1], alpha=-4, out=out[2])
    add(t, out[2], out=out[1])
    sub(t, out[2], out=out[2])
    sub(d[4], d[2], out=t)
    sub(d[3], d[1], out=out[4])
    add(t, out[4], alpha=2, out=out[3])
    add(t, out[4], alpha=-2, out=out[4])
    add(d[5], d[3], alpha=-5, out=out[5]).add_(d[1], alpha=4)


def _from_points(m: Sequence[Tensor], out: Sequence[Tensor]) -> None:
    """Six points along an axis to four pixels."""
    add, sub = torch.add, torch.sub
    inner = torch.empty_like(m[0], memory_format=torch.contiguous_format)
    outer = torch.empty_like(inner)
    add(m[1], m[2], out=inner)
    add(m[3], m[4], out=outer)
    add(m[0], inner, out=out[0]).add_(outer)
    add(inner, outer, alpha=4, out=out[2])
    sub(m[1], m[2], out=inner)
    sub(m[3], m[4], out=outer)
    add(inner, outer, alpha=2, out=out[1])
    add(inner, outer, alpha=8, out=out[3]).add_(m[5])


class WinogradWhereItPays(nn.Module):
    """A fused convolution for maps of any size, float32 on a CPU: those of many tiles go this way.

    The transformed weights are made when such a map comes first: they take four times the memory.
    """

    def __init__(self, direct: FusedConv2d) -> None:
        super().__init__()
        self.direct = direct

    @cached_property  # a module that is set as an attribute is not there for a moment
    def _winograd(self) -> WinogradConv2d:
        conv = self.direct
        return WinogradConv2d(conv.unpacked(), conv.bias, BLOCK, conv.activate_)

    def forward(self, x: Tensor) -> Tensor:
        """What the convolution gives for ``x``."""
        count = tiles(x.shape[2]) * tiles(x.shape[3])
        if -count % BLOCK > _EMPTY * (count + -count % BLOCK):
            return self.direct(x)  # type: ignore[no-any-return]
        return self._winograd(x)  # type: ignore[no-any-return]


def with_winograd(network: nn.Module) -> None:
    """Have the convolutions of a network for a CPU, in float32, run this way where it pays."""
    for name, step in list(network.named_modules()):
        if isinstance(step, FusedConv2d) and suits(step):
            network.set_submodule(name, WinogradWhereItPays(step))
