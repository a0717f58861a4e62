"""YOLO networks: the layers of a checkpoint, and faces from what they give."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from deepface.detection.boxes import nms

_IOU = 0.7
_MOST_FACES = 300


@dataclass(frozen=True)
class Found:
    """Faces in pixels of the network's input, ``n`` of them from all pictures of a batch."""

    image: NDArray[np.int64]  #: (n,) position of the picture
    scores: NDArray[np.float32]  #: (n,)
    corners: NDArray[np.float32]  #: (n, 2, 2), upper left and lower right
    points: NDArray[np.float32]  #: (n, k, 2)

    def of(self, image: int) -> Found:
        """Those of one picture, by falling score, at most 300."""
        rows = np.flatnonzero(self.image == image)
        rows = rows[np.argsort(-self.scores[rows], kind="stable")][:_MOST_FACES]
        return Found(self.image[rows], self.scores[rows], self.corners[rows], self.points[rows])


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

    def decode(
        self, outputs: tuple[Tensor, Tensor, Tensor], shape: tuple[int, int], threshold: float
    ) -> Found:
        """Faces from what :meth:`forward` gives: those above ``threshold``, the best of a place.

        Only anchors above the threshold are decoded. The bound of ultralytics, 30,000 of them per
        picture, is left out: an input of 640x640 has 8,400 anchors.

        Args:
            outputs: of ``N`` pictures.
            shape: height and width of the network's input.
            threshold: least confidence, itself excluded.
        """
        sides, logits, points = outputs
        scores, classes = logits.sigmoid().max(2)
        image, anchor = (scores > threshold).nonzero(as_tuple=True)
        scores, classes = scores[image, anchor], classes[image, anchor]
        centres, strides = (part[anchor] for part in _grid(*shape, self._strides, sides.device))

        bins = sides[image, anchor].reshape(len(image), 4, sides.shape[2] // 4).softmax(2)
        distances = bins @ torch.arange(bins.shape[2], dtype=bins.dtype, device=bins.device)
        corners = torch.cat([centres - distances[:, :2], centres + distances[:, 2:]], 1) * strides
        # Doubles: the places that batched NMS gives the pictures must not cost digits.
        keep = nms(corners.double(), scores.double(), image * logits.shape[2] + classes, _IOU)

        offsets = points[image, anchor][keep].reshape(len(keep), *self._points)[..., :2] * 2
        places = (offsets + (centres[keep, None] - 0.5)) * strides[keep, None]
        table = [image[keep, None], scores[keep, None], corners[keep], places.flatten(1)]
        rows = torch.cat(table, 1).cpu().numpy()  # the only transfer back
        return Found(
            image=rows[:, 0].astype(np.int64),
            scores=rows[:, 1],
            corners=rows[:, 2:6].reshape(-1, 2, 2),
            points=rows[:, 6:].reshape(len(rows), self._points[0], 2),
        )


def _inputs(sources: int | Sequence[int], x: Tensor, outputs: Sequence[Any]) -> Any:
    """What a layer takes: the outputs of its sources; -1 is the layer before it."""
    if isinstance(sources, int):
        return x if sources == -1 else outputs[sources]
    return [x if source == -1 else outputs[source] for source in sources]


def _rows(branches: Sequence[nn.Module], maps: Sequence[Tensor]) -> Tensor:
    """A branch of the head on each level, as ``(N, A, channels)``."""
    levels = [branch(level) for branch, level in zip(branches, maps, strict=True)]
    return torch.cat([level.permute(0, 2, 3, 1).flatten(1, 2) for level in levels], 1)


@lru_cache(maxsize=128)
def _grid(
    height: int, width: int, strides: tuple[int, ...], device: torch.device
) -> tuple[Tensor, Tensor]:
    """Anchors of an input: centres ``(A, 2)`` in cells of their level, strides ``(A, 1)``."""
    centres, steps = [], []
    for stride in strides:
        y, x = torch.meshgrid(
            torch.arange(height // stride), torch.arange(width // stride), indexing="ij"
        )
        centres.append(torch.stack([x, y], 2).flatten(0, 1) + 0.5)
        steps.append(torch.full((x.numel(), 1), float(stride)))
    return torch.cat(centres).to(device), torch.cat(steps).to(device)
