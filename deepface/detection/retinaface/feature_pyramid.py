"""What every RetinaFace puts on its backbone: feature pyramid, SSH context modules, heads.

RetinaFace: Deng et al., CVPR 2020, https://arxiv.org/abs/1905.00641; SSH: Najibi et al., ICCV 2017,
https://arxiv.org/abs/1708.03979. The layers are made from the published ones after these have got
their weights. Convolutions that read the same map become one, and so do the heads of a stride.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from deepface.detection.ragged import Edges
from deepface.runtime.execution.fusion import FusedConv2d, fused

#: Anchors per cell of a map.
ANCHORS = 2
#: Numbers per anchor: logit, 4 of the box, 10 of the landmarks.
NUMBERS = 15

#: A convolution and the batch norm behind it.
Unit = tuple[nn.Conv2d, nn.BatchNorm2d]


@dataclass(frozen=True)
class StrideLayers:
    """Published layers of one stride.

    Attributes:
        lateral: from the backbone.
        merge: after the sum with the coarser map; ``None`` for the coarsest.
        context: SSH's 3x3; the two of its 5x5; the second and third of its 7x7, whose first is
            that of the 5x5.
        heads: for classes, boxes and landmarks.
    """

    lateral: Unit
    merge: Unit | None
    context: Sequence[Unit]
    heads: Sequence[nn.Conv2d]


class Pyramid(nn.Module):
    """Backbone maps to rows of numbers, one row per anchor.

    Args:
        levels: of strides 8, 16 and 32.
        slope: below zero, of activations inside; the sums before the heads are rectified.
        faces: the channels of the class heads that are faces, by anchor; the other two, in order,
            are background.
    """

    def __init__(
        self, levels: Sequence[StrideLayers], slope: float, faces: tuple[int, int]
    ) -> None:
        super().__init__()
        self.laterals = nn.ModuleList(fused(*level.lateral, slope) for level in levels)
        self.merges = nn.ModuleList(
            fused(*level.merge, slope) for level in levels if level.merge is not None
        )
        self.contexts = nn.ModuleList(_Context(level, slope, faces) for level in levels)

    def forward(self, maps: Sequence[Tensor], smallest: bool, edges: Edges) -> Tensor:
        """Run the pyramid.

        Args:
            maps: of the backbone, at strides 8, 16 and 32.
            smallest: whether stride 8 is computed.
            edges: of the pictures.

        Returns:
            ``(N, anchors, 15)``: finest stride first; row by row, in a cell anchor by anchor.
        """
        rows: list[Tensor] = []
        finer: Tensor | None = None
        for level in (2, 1, 0) if smallest else (2, 1):
            x = self.laterals[level](maps[level])
            if finer is not None:
                upsampled = F.interpolate(finer, scale_factor=2.0)
                x += upsampled[:, :, : x.shape[2], : x.shape[3]]
                x = self.merges[level](edges.clear(x, 8 << level))
            finer = x
            out = self.contexts[level](x, edges, 8 << level).permute(0, 2, 3, 1)
            rows.insert(0, out.reshape(len(out), -1, NUMBERS))
        return torch.cat(rows, 1)


class _Context(nn.Module):
    """SSH and heads: ``(N, C, h, w)`` to ``(N, 30, h, w)``, an anchor's numbers together."""

    def __init__(self, level: StrideLayers, slope: float, faces: tuple[int, int]) -> None:
        super().__init__()
        near, shared, middle, deep, far = level.context
        self.near, self.shared = fused(*near, 0.0), fused(*shared, slope)
        self.middle, self.deep = fused(*middle, 0.0), fused(*deep, slope)
        self.far = fused(*far, 0.0)
        weight, bias = _head(level.heads, faces)
        parts = torch.split(weight, [unit[0].out_channels for unit in (near, middle, far)], 1)
        self.heads = nn.ModuleList(
            FusedConv2d(part, bias * (not number), level.heads[0])
            for number, part in enumerate(parts)
        )

    def forward(self, x: Tensor, edges: Edges, stride: int) -> Tensor:
        x = edges.clear(x, stride)
        shared = edges.clear(self.shared(x), stride)
        out: Tensor = self.heads[0](self.near(x))
        out = self.heads[1](self.middle(shared), out)
        deep = edges.clear(self.deep(shared), stride)
        return self.heads[2](self.far(deep), out)  # type: ignore[no-any-return]


def _head(heads: Sequence[nn.Conv2d], faces: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Weight ``(30, C, 1, 1)`` and bias of the three heads as one.

    Of two class scores, softmax only sees the difference: one logit per anchor is enough.
    """
    backgrounds = [channel for channel in range(2 * ANCHORS) if channel not in faces]
    joint = []
    for values in zip(*((head.weight, head.bias) for head in heads), strict=True):
        classes, boxes, points = (value.detach() for value in values if value is not None)
        logits = classes[list(faces)] - classes[backgrounds]
        per_anchor = [
            torch.cat([logits[a : a + 1], boxes.chunk(ANCHORS)[a], points.chunk(ANCHORS)[a]])
            for a in range(ANCHORS)
        ]
        joint.append(torch.cat(per_anchor))
    weight, bias = joint
    return weight, bias
