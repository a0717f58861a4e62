"""YuNet in PyTorch, with the decoding and suppression of OpenCV's ``FaceDetectorYN``."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from deepface.detection.anchor_free import AnchorFree, Candidates, Fit
from deepface.detection.canvas import Canvas
from deepface.detection.convolutions import Convolutions, joined
from deepface.detection.ragged import Edges
from deepface.detection.yunet_input import shown, shrunk

#: Channels of the backbone's units at strides 2, 4, 8, 16 and 32, from the first one's inputs on.
_STAGES = ((16, 16), (16, 16, 32, 32, 64), *((64, 64, 64),) * 3)
#: Of the heads: class, box, whether there is anything, points.
_HEADS = (1, 4, 1, 10)


class YuNet(AnchorFree):
    """Sixteen numbers per cell.

    Logit of the class; the box's middle from the cell, in cells, and logarithms of its sides in
    cells; logit of there being anything; five points from the cell, in cells.
    """

    strides = (8, 16, 32)
    inner_strides = (2, 4, 8, 16, 32)

    def __init__(self, path: Path, device: str | None, precision: str | None = None) -> None:
        super().__init__(YuNetNet(path), device, precision)

    def fit(self, canvas: Canvas) -> Fit:
        """Shrunk, and black up to whole multiples of 32."""
        height, width = (-(-side // 32) * 32 for side in shown(canvas))
        return Fit((height, width), shrunk(canvas)[1])

    def scores(self, rows: Tensor) -> Tensor:
        """The geometric mean of both probabilities."""
        return (rows[:, 0].sigmoid() * rows[:, 5].sigmoid()).sqrt()

    def candidates(self, rows: Tensor, cells: Tensor, shapes: Tensor) -> Candidates:
        """Boxes as x, y, width and height."""
        corner, stride = cells[:, :2].flip(1), cells[:, 2:]
        size = rows[:, 3:5].exp() * stride
        boxes = torch.cat([(corner + rows[:, 1:3]) * stride - size / 2, size], 1)
        points = (corner[:, None] + rows[:, 6:].view(-1, 5, 2)) * stride[:, None]
        whole = boxes.trunc()  # suppressed in whole pixels
        rivals = torch.cat([whole[:, :2], whole[:, :2] + whole[:, 2:]], 1)
        return Candidates(boxes, points.flatten(1), rivals)


class YuNetNet(nn.Module):
    """The network with the weights of the ONNX file.

    Raises:
        WeightsError: the file holds another network.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        file = Convolutions(path, "YuNet")
        self.first = file.take(3, 16, 3, stride=2, relu=True)
        self.stages = nn.ModuleList(
            nn.ModuleList(_Unit(file, *pair) for pair in pairwise(stage)) for stage in _STAGES
        )
        self.laterals = nn.ModuleList(_Unit(file, 64, 64) for _ in range(3))
        heads = [[_Unit(file, 64, count, relu=False) for _ in range(3)] for count in _HEADS]
        file.finish()
        self.heads = nn.ModuleList(map(_JoinedUnit, *heads))

    def forward(self, x: Tensor, edges: Edges) -> list[Tensor]:
        """``(N, 3, h, w)`` to maps ``(N, 16, h / s, w / s)`` for strides 8, 16 and 32."""
        x, stride, maps = self.first(x), 2, []
        for stage in self.stages:
            if stride > 2:
                x = F.max_pool2d(x, 2)
            for unit in stage:  # type: ignore[attr-defined]
                x = unit(x, edges, stride)
            maps.append(x)
            stride *= 2
        out: list[Tensor] = []
        merged: Tensor | None = None
        for level, (lateral, stride) in enumerate(zip(self.laterals, (32, 16, 8), strict=True)):
            x = maps[-1 - level]
            if merged is not None:
                x = x + F.interpolate(merged, scale_factor=2.0)
            merged = lateral(x, edges, stride)
            out.insert(0, self.heads[2 - level](merged, edges, stride))
        return out


class _Unit(nn.Module):
    """A pointwise convolution and, straight after it, a depthwise one."""

    def __init__(self, file: Convolutions, inputs: int, outputs: int, relu: bool = True) -> None:
        super().__init__()
        self.point = file.take(inputs, outputs)
        self.deep = file.take(outputs, outputs, 3, groups=outputs, relu=relu)

    def forward(self, x: Tensor, edges: Edges, stride: int) -> Tensor:
        return self.deep(edges.clear(self.point(x), stride))  # type: ignore[no-any-return]


class _JoinedUnit(_Unit):
    """The heads of a map as one unit."""

    def __init__(self, *units: _Unit) -> None:
        nn.Module.__init__(self)
        self.point = joined([unit.point for unit in units])
        self.deep = joined([unit.deep for unit in units])
