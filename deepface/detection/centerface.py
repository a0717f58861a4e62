"""CenterFace (Xu et al., "Joint face detection and alignment using face as point", 2019).

https://arxiv.org/abs/1911.03599; network and weights by https://github.com/Star-Clouds/CenterFace,
MIT. A MobileNetV2 with a pyramid; a face is a point of a heat map at a quarter of the picture's
size; three more maps give its size, the point's offset and five landmarks.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from deepface.detection.anchor_free import AnchorFree, Candidates, Fit, Row
from deepface.detection.canvas import Canvas
from deepface.detection.cards.centerface import CARD, FILE
from deepface.detection.convolutions import Convolutions, joined
from deepface.detection.detector import Detector, face, threshold_from_env
from deepface.detection.ragged import Edges
from deepface.runtime.weights.store import ensure_weight
from deepface.types import FacialAreaRegion

#: Of the backbone from stride 4 on: channels, stride and number of its inverted bottlenecks; after
#: each tuple the pyramid taps it.
_STAGES = (
    ((24, 2, 2),),
    ((32, 2, 3),),
    ((64, 2, 4), (96, 1, 3)),
    ((160, 2, 3), (320, 1, 1)),
)
_NECK = 24


class CenterFaceDetector(Detector):
    """CenterFace: a MobileNetV2 of 7 MB; it is shown RGB, 0 ... 255.

    Environment: ``CENTERFACE_THRESHOLD`` (0.35), read at each call.
    """

    card = CARD
    takes_tensors = True
    by_core = True
    options = ("precision",)
    prefers_arrays = True  # the canvas is resized first

    def __init__(self, device: str | None = None, precision: str | None = None) -> None:
        super().__init__(device)
        net = CenterFaceNet(ensure_weight(FILE))
        self.network = CenterFaceNetwork(net, device, precision)

    def _detect_batch(self, canvases: Sequence[Canvas]) -> list[list[FacialAreaRegion]]:
        found = self.network.detect(canvases, threshold_from_env("CENTERFACE_THRESHOLD", 0.35))
        faces = []
        for canvas, rows in zip(canvases, found, strict=True):
            height, width = self.network.fit(canvas).shape
            zoom = torch.tensor([width / canvas.width, height / canvas.height])
            faces.append([_region(row, zoom) for row in rows])
        return faces


def _region(row: Row, zoom: Tensor) -> FacialAreaRegion:
    score, *numbers = row
    # In float32, as published: whole pixels tell the difference.
    places = (torch.tensor(numbers).view(-1, 2) / zoom).tolist()
    (x1, y1), (x2, y2), *points = ((x, y) for x, y in places)
    return face((int(x1), int(y1), int(x2 - x1), int(y2 - y1)), min(max(0.0, score), 1.0), points)


class CenterFaceNetwork(AnchorFree):
    """Fifteen numbers per cell.

    Logit; logarithms of height and width in units of four pixels; y and x from the middle of the
    cell, in cells; five times y and x in fractions of the box.
    """

    strides = (4,)
    inner_strides = (2, 4, 8, 16, 32)

    def fit(self, canvas: Canvas) -> Fit:
        """Stretched to whole multiples of 32."""
        height, width = (-(-side // 32) * 32 for side in canvas.shape)
        return Fit((height, width), (height, width))

    def scores(self, rows: Tensor) -> Tensor:
        """The heat map."""
        return rows[:, 0].sigmoid()

    def candidates(self, rows: Tensor, cells: Tensor, shapes: Tensor) -> Candidates:
        """As in the authors' program, whose numbers are float64 where they meet whole ones."""
        (stride,) = self.strides
        size = rows[:, 1:3].exp() * stride  # y and x, as everything until the end
        middle = (cells[:, :2] + rows[:, 3:5].double() + 0.5) * stride
        start = torch.minimum((middle - size / 2).clamp(min=0), shapes.double())
        end = torch.minimum(start + size, shapes.double())
        points = rows[:, 5:].view(-1, 5, 2) * size[:, None] + start[:, None]
        boxes = torch.cat([start.flip(1), end.flip(1)], 1).float()
        # Their suppression counts a box's last pixel in.
        rivals = torch.cat([boxes[:, :2], boxes[:, 2:] + 1], 1)
        return Candidates(boxes, points.flip(2).flatten(1).float(), rivals)


class CenterFaceNet(nn.Module):
    """The network with the weights of the ONNX file.

    Raises:
        WeightsError: the file holds another network.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        file = Convolutions(path, "CenterFace")
        self.first = file.take(3, 32, 3, stride=2, relu=True)
        self.first.weight = self.first.weight.flip(1)  # the file's network takes RGB
        self.deep = file.take(32, 32, 3, groups=32, relu=True)
        self.narrow = file.take(32, 16)
        channels, stages, taps = 16, [], []
        for groups in _STAGES:
            blocks = []
            for wide, stride, count in groups:
                for number in range(count):
                    blocks.append(_Bottleneck(file, channels, wide, 1 if number else stride))
                    channels = wide
            stages.append(nn.ModuleList(blocks))
            taps.append(channels)
        self.stages = nn.ModuleList(stages)
        *finer, last = taps
        laterals, ups = [file.take(last, _NECK, relu=True)], []
        for channels in reversed(finer):
            ups.append(file.take_upsampling(_NECK))
            laterals.append(file.take(channels, _NECK, relu=True))
        self.laterals, self.ups = nn.ModuleList(laterals), nn.ModuleList(ups)
        self.merged = file.take(_NECK, _NECK, 3, relu=True)
        self.heads = joined([file.take(_NECK, channels) for channels in (1, 2, 2, 10)])
        file.finish()

    def forward(self, x: Tensor, edges: Edges) -> list[Tensor]:
        """``(N, 3, h, w)`` to one map ``(N, 15, h / 4, w / 4)``."""
        x = self.narrow(self.deep(edges.clear(self.first(x), 2)))
        stride, maps = 2, []
        for stage in self.stages:
            for block in stage:  # type: ignore[attr-defined]
                x = block(x, edges, stride)
                stride *= block.stride
            maps.append(x)
        x = self.laterals[0](maps.pop())
        for up, lateral in zip(self.ups, self.laterals[1:], strict=True):  # type: ignore[arg-type]
            x = up(x, lateral(maps.pop()))
        return [self.heads(self.merged(edges.clear(x, 4)))]


class _Bottleneck(nn.Module):
    """MobileNetV2's: six times as wide inside, added to its input where it keeps the shape."""

    def __init__(self, file: Convolutions, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        inner = 6 * inputs
        self.stride, self.adds = stride, inputs == outputs
        self.wide = file.take(inputs, inner, relu=True)
        self.deep = file.take(inner, inner, 3, stride=stride, groups=inner, relu=True)
        self.narrow = file.take(inner, outputs)

    def forward(self, x: Tensor, edges: Edges, stride: int) -> Tensor:
        inner = self.deep(edges.clear(self.wide(x), stride))
        # The sum is written over the input, unless the pyramid taps it: no block with a sum is
        # the first of its stage.
        return self.narrow(inner, x if self.adds else None)  # type: ignore[no-any-return]
