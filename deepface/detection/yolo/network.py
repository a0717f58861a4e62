"""YOLO networks: the layers of a checkpoint, and faces from what they give."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from deepface.detection.boxes import Suppression
from deepface.runtime.execution.fusion import fused
from deepface.runtime.execution.network import concatenated
from deepface.runtime.execution.streams import kept
from deepface.runtime.execution.transfer import uploaded

_IOU = 0.7
_MOST_FACES = 300
#: Height and width that weights are laid out for on a CPU: oneDNN has one layout for maps of 64
#: pixels and more, and others cost it a little time.
_TYPICAL_MAP = (40, 40)


@dataclass(frozen=True)
class Detections:
    """Faces in pixels of the network's input, ``n`` of them from all pictures of a batch."""

    image: NDArray[np.int64]  #: (n,) position of the picture
    scores: NDArray[np.float32]  #: (n,)
    corners: NDArray[np.float32]  #: (n, 2, 2), upper left and lower right
    points: NDArray[np.float32]  #: (n, k, 2)

    def by_image(self, count: int) -> list[Detections]:
        """Those of each of ``count`` pictures, by falling score, at most 300."""
        order = np.lexsort((-self.scores, self.image))
        ends = np.searchsorted(self.image[order], np.arange(count + 1)).tolist()
        parts = [order[start:end][:_MOST_FACES] for start, end in pairwise(ends)]
        return [
            Detections(self.image[rows], self.scores[rows], self.corners[rows], self.points[rows])
            for rows in parts
        ]


class YoloNetwork(nn.Module):
    """The layers of an ultralytics network up to the numbers of its head, not decoded.

    The head's own forward pass is not used: it keeps the anchors of the last input in itself,
    which two threads, or two shapes, would take from each other.
    """

    def __init__(self, graph: Any) -> None:
        super().__init__()
        self.layers: nn.Sequential = graph.model
        self._kept = frozenset(graph.save)
        head: Any = self.layers[-1]
        self._strides = tuple(int(stride) for stride in head.stride)
        #: How many key points, and how many numbers each has.
        self._points: tuple[int, int] = tuple(getattr(head, "kpt_shape", (0, 2)))
        self.points = self._points[0]
        self._suppression = Suppression()

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Run pictures.

        Args:
            x: ``(N, 3, H, W)``, RGB in [0, 1], sides multiples of 32.

        Returns:
            For each of ``A`` anchors, level by level and row by row: distributions of the
            distances to the four sides ``(N, A, 4 * bins)``, class logits ``(N, A, classes)`` and
            key points ``(N, A, points * numbers)``.
        """
        outputs: list[Any] = []
        *body, head = cast(Any, self.layers)
        for layer in body:
            x = layer(_inputs(layer.f, x, outputs))
            outputs.append(x if layer.i in self._kept else None)
        maps = _inputs(head.f, x, outputs)
        sides, logits = _rows(head.cv2, maps), _rows(head.cv3, maps)
        return sides, logits, _rows(head.cv4, maps) if self._points[0] else sides[..., :0]

    def fused(self, packed: bool) -> YoloNetwork:
        """The same with a convolution and its SiLU as one step; the layers are used up.

        Args:
            packed: lay weights out as a CPU wants them: the network stays there, in float32.
        """
        for module in list(self.modules()):
            for name, conv in list(module.named_children()):
                if not isinstance(conv, nn.Conv2d) or conv.padding_mode != "zeros":
                    continue
                # ultralytics' ``Conv``, whose batch norm is in its weights, is conv and act.
                silu = name == "conv" and isinstance(getattr(module, "act", None), nn.SiLU)
                step = fused(conv, silu=silu).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
                if packed:
                    step.pack((1, conv.in_channels, *_TYPICAL_MAP))
                setattr(module, name, step)
                if silu:
                    module.act = nn.Identity()
        return self

    def decode(
        self,
        outputs: Sequence[tuple[Tensor, Tensor, Tensor]],
        shapes: Sequence[tuple[int, int]],
        threshold: float,
    ) -> Detections:
        """Faces from what :meth:`forward` gives: those above ``threshold``, the best of a place.

        Only anchors above the threshold are decoded. The bound of ultralytics, 30,000 of them per
        picture, is left out: an input of 640x640 has 8,400 anchors. All runs are decoded together,
        so that the host waits no more often for many of them than for one.

        Args:
            outputs: of one run or several.
            shapes: of each run height and width of its inputs.
            threshold: least confidence, itself excluded.

        Returns:
            Pictures are counted through all runs.
        """
        flat = [tuple(part.flatten(0, 1) for part in run) for run in outputs]
        sides, logits, points = concatenated(flat)
        owner, centres, strides = self._anchors([len(run[0]) for run in outputs], shapes, sides)
        scores, classes = logits.sigmoid().max(1)

        def known(rows: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
            image, score, centre, stride = owner[rows], scores[rows], centres[rows], strides[rows]
            bins = sides[rows].reshape(len(rows), 4, sides.shape[1] // 4).softmax(2)
            distances = bins @ torch.arange(bins.shape[2], dtype=bins.dtype, device=bins.device)
            corners = torch.cat([centre - distances[:, :2], centre + distances[:, 2:]], 1) * stride
            offsets = points[rows].reshape(len(rows), *self._points)[..., :2] * 2
            places = (offsets + (centre[:, None] - 0.5)) * stride[:, None]
            table = [image[:, None], score[:, None], corners, places.flatten(1)]
            return corners, score, image * logits.shape[1] + classes[rows], torch.cat(table, 1)

        found = self._suppression(scores > threshold, known, _IOU)
        exact = found.astype(np.float32)
        return Detections(
            image=found[:, 0].astype(np.int64),
            scores=exact[:, 1],
            corners=exact[:, 2:6].reshape(-1, 2, 2),
            points=exact[:, 6:].reshape(len(found), self._points[0], 2),
        )

    def _anchors(
        self, counts: Sequence[int], shapes: Sequence[tuple[int, int]], like: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Of each row of all runs picture ``(n,)``, centre ``(n, 2)`` and stride ``(n, 1)``."""
        parts, first = [], 0
        for count, shape in zip(counts, shapes, strict=True):
            centre, stride = _grid(*shape, self._strides, like.device)
            numbers = torch.arange(first, first + count, device=like.device)
            owner = numbers.repeat_interleave(len(centre), output_size=count * len(centre))
            parts.append((owner, centre.repeat(count, 1), stride.repeat(count, 1)))
            first += count
        return concatenated(parts)  # type: ignore[no-any-return]


def _inputs(sources: int | Sequence[int], x: Tensor, outputs: Sequence[Any]) -> Any:
    """What a layer takes: the outputs of its sources; -1 is the layer before it."""
    if isinstance(sources, int):
        return x if sources == -1 else outputs[sources]
    return [x if source == -1 else outputs[source] for source in sources]


def _rows(branches: Sequence[nn.Module], maps: Sequence[Tensor]) -> Tensor:
    """A branch of the head on each level, as ``(N, A, channels)``."""
    levels = [branch(level) for branch, level in zip(branches, maps, strict=True)]
    return torch.cat([level.permute(0, 2, 3, 1).flatten(1, 2) for level in levels], 1)


@kept(128)
def _grid(
    height: int, width: int, strides: tuple[int, ...], device: torch.device
) -> tuple[Tensor, Tensor]:
    """Anchors of an input: centres ``(A, 2)`` in cells of their level, strides ``(A, 1)``."""
    centres, steps = [], []
    for stride in strides:
        y, x = np.indices((height // stride, width // stride), np.float32)
        centres.append(np.stack([x, y], 2).reshape(-1, 2) + np.float32(0.5))
        steps.append(np.full((x.size, 1), stride, np.float32))
    sent = uploaded([np.concatenate(centres), np.concatenate(steps)], device)
    return sent[0], sent[1]
