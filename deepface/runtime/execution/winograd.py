"""3x3 convolutions with a quarter of the multiplications, on a CPU.

Winograd's minimal filtering F(4x4, 3x3) (Lavin and Gray, "Fast Algorithms for Convolutional Neural
Networks", CVPR 2016): every tile of 6x6 pixels becomes 36 numbers per channel, which are multiplied
with the transformed weights point by point, and 4x4 results come back. Both transforms are sums of
shifted views; the product is one grouped 1x1 convolution by oneDNN. Weights are transformed in
float64.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from deepface.runtime.execution.fusion import onednn_operators_exist

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
#: Bytes of transformed tiles that are worked on at a time: they should stay in the cache.
_BUDGET = 8 << 20
_MIN_CHANNELS, _MIN_TILES = 128, 16


def pays(conv: nn.Conv2d, height: int, width: int) -> bool:
    """Whether a convolution of maps ``(height, width)`` is faster this way on a CPU, as measured.

    It depends on the layer alone, so what a picture gives does not depend on the batch.
    """
    return (
        onednn_operators_exist()
        and conv.kernel_size == (3, 3)
        and conv.stride == conv.padding == conv.dilation == (1, 1)
        and conv.groups == 1
        and min(conv.in_channels, conv.out_channels) >= _MIN_CHANNELS
        and -(-height // _OUT) * -(-width // _OUT) >= _MIN_TILES
    )


class WinogradConv2d(nn.Module):
    """A 3x3 convolution (stride 1, zeros around the map) and ReLU, float32 on a CPU.

    Args:
        weight: ``(O, C, 3, 3)``.
        bias: ``(O,)``.
        height: of the maps.
        width: likewise.
    """

    def __init__(self, weight: Tensor, bias: Tensor, height: int, width: int) -> None:
        super().__init__()
        self.outputs, channels = weight.shape[:2]
        self.tiles = -(-height // _OUT), -(-width // _OUT)
        down, across = self.tiles
        most = _BUDGET // (across * _POINTS * channels * 4)
        #: Rows of tiles at a time. The weights are laid out for exactly this many tiles: oneDNN
        #: would bring them into another layout at every call with another number.
        self.rows = max(n for n in range(1, down + 1) if down % n == 0 and n <= max(1, most))
        self._geometry = ([0, 0], [1, 1], [1, 1], _POINTS)
        g = torch.tensor(_G, dtype=torch.float64)
        points = torch.einsum("xi,ocij,yj->xyoc", g, weight.double(), g).float()
        size = [1, _POINTS * channels, 1, self.rows * across]
        self._packed = torch._C._nn.mkldnn_reorder_conv2d_weight(  # type: ignore[call-arg]
            points.reshape(-1, channels, 1, 1).to_mkldnn(), *self._geometry, size
        )
        # What is added at the point (1, 1) is added to all 16 results.
        spread = torch.zeros(_IN, _IN, self.outputs)
        spread[1, 1] = bias
        self._bias = spread.flatten()

    def forward(self, x: Tensor) -> Tensor:
        """``(N, C, height, width)`` -> ``(N, O, height, width)``, both channels-last."""
        count, channels, height, width = x.shape
        down, across = self.tiles
        out = x.new_empty(count, down * _OUT, across * _OUT, self.outputs)
        padded = x.new_zeros(down * _OUT + 2, across * _OUT + 2, channels)
        for image, result in zip(x.permute(0, 2, 3, 1), out, strict=True):
            padded[1 : height + 1, 1 : width + 1] = image
            for top in range(0, down * _OUT, self.rows * _OUT):
                bottom = top + self.rows * _OUT
                self._rows(padded[top : bottom + 2], result[top:bottom])
        return out[:, :height, :width].contiguous().permute(0, 3, 1, 2)

    def _rows(self, x: Tensor, y: Tensor) -> None:
        """Some rows of tiles: ``(4 r + 2, 4 w + 2, C)`` -> ``(4 r, 4 w, O)``."""
        rows, across = self.rows, self.tiles[1]
        channels = x.shape[2]
        half = x.new_empty(_IN, rows, x.shape[1], channels)
        _to_points([x[i : i + _OUT * (rows - 1) + 1 : _OUT] for i in range(_IN)], half.unbind())
        tiles = x.new_empty(rows, across, _IN, _IN, channels)
        columns = [half[:, :, j : j + _OUT * (across - 1) + 1 : _OUT] for j in range(_IN)]
        _to_points(columns, tiles.permute(3, 2, 0, 1, 4).unbind())

        points = tiles.view(1, 1, rows * across, _POINTS * channels).permute(0, 3, 1, 2)
        product = torch.ops.mkldnn._convolution_pointwise(
            points, self._packed, self._bias, *self._geometry, "none", [], ""
        )
        product = product.permute(0, 2, 3, 1).view(rows, across, _IN, _IN, self.outputs)

        half = x.new_empty(_OUT, rows, across, _IN, self.outputs)
        _from_points(product.unbind(2), half.unbind())
        pixels = y.view(rows, _OUT, across, _OUT, self.outputs).permute(3, 1, 0, 2, 4)
        _from_points(half.unbind(3), pixels.unbind())
        y.relu_()


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
