"""PNet over the pyramids of several pictures at once.

Pictures of different sizes lie top left in one stack. Levels of equal number have equal scales, so
a step makes and scores those of all pictures; in a row of a stack of levels, too, the smaller ones
end earlier, and what PNet sees beyond their ends does not count.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, chain
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from deepface.detection.mtcnn.axes import AveragedRows, Axis, windows_of
from deepface.detection.mtcnn.networks import STRIDE, WINDOW
from deepface.detection.mtcnn.pyramid import SCALE, shrunk
from deepface.detection.ragged import ALONE, Bin, Edges, RaggedEdges, Size, cells_beyond
from deepface.runtime.execution.batching import regrouped
from deepface.runtime.execution.network import Network

#: Rows of a level that a window and the next one share.
_OVERLAP = WINDOW - STRIDE


@dataclass(frozen=True)
class Level:
    """One level of each picture.

    Attributes:
        scale: of all of them.
        across: how columns are averaged, of each picture; ``None`` where it has no such level.
        down: likewise rows.
    """

    scale: float
    across: list[Axis | None]
    down: list[Axis | None]

    @property
    def sizes(self) -> list[Size]:
        """Height and width of each picture's."""
        return [
            (0, 0) if x is None or y is None else (len(y.bags), len(x.bags))
            for x, y in zip(self.across, self.down, strict=True)
        ]

    @property
    def shape(self) -> Size:
        """Height and width of their stack."""
        height, width = map(max, zip(*self.sizes, strict=True))
        return height, width


@dataclass(frozen=True)
class Proposals:
    """``n`` windows that PNet takes for faces.

    Attributes:
        image: position of each one's picture in the batch, ``(n,)``.
        level: number of its level, ``(n,)``.
        first: column and row at which it begins in its level, ``(n, 2)``.
        scale: of that, ``(n, 1)`` float64.
        logits: ``(n,)``.
        offsets: ``(n, 4)``.
    """

    image: Tensor
    level: Tensor
    first: Tensor
    scale: Tensor
    logits: Tensor
    offsets: Tensor


@dataclass(frozen=True)
class _Strip:
    """Rows of windows of a level that PNet scores in a step, from ``first`` on."""

    level: int
    first: int
    shape: Size

    @property
    def rows(self) -> slice:
        """The level's."""
        return slice(STRIDE * self.first, STRIDE * (self.first + self.shape[0]) + _OVERLAP)


class PNetScan:
    """PNet over the pictures of a bin; what it must know, ``arrays``, can travel with their pixels.

    Args:
        bin_: which pictures of a batch.
        levels: of these, at least one.
        pixels: of a stack of levels that are scored in a step.
    """

    def __init__(self, bin_: Bin, levels: Sequence[Level], pixels: int) -> None:
        self._bin, self._levels = bin_, levels
        self._strips = [
            strip
            for number, level in enumerate(levels)
            for strip in _strips(number, level.shape, max(1, pixels // len(bin_.members)))
        ]
        height, width = bin_.shape
        rows = [
            axis
            for level in levels
            for axis in (
                AveragedRows.of(level.across, width),
                AveragedRows.of(level.down, height, SCALE),
            )
        ]
        self._uneven = any(size != level.shape for level in levels for size in level.sizes)
        self._groups: list[list[NDArray[Any]]] = [
            [
                np.array(bin_.members),
                _starts(self._strips, len(bin_.members)),
                np.array([_corners(level) for level in levels]),
                np.array([level.scale for level in levels]),
            ],
            [part for axis in rows for part in vars(axis).values()],
            [cells_beyond(*self._in_strip(s), 1) for s in self._strips if self._uneven],
        ]
        self.arrays = list(chain(*self._groups))

    def windows(
        self, pnet: Network, pictures: Sequence[Tensor], arrays: Sequence[Tensor], least: float
    ) -> Proposals:
        """The windows whose logits are above ``least``.

        Args:
            pnet: scores them.
            pictures: of the batch, ``(h, w, 3)`` uint8, on the device.
            arrays: those of this, likewise.
            least: see above.
        """
        (members, table, corners, scales), parts, cells = regrouped(arrays, self._groups)
        scored = self._scored(pnet, _stacked(self._bin, pictures), parts, cells)
        if members.device.type != "cpu":  # where to ask how many pass is to wait
            scored = [torch.cat(scored)]
        hits = [(scores[:, 0] > least).nonzero()[:, 0] for scores in scored]
        passed = torch.cat([scores[hit] for scores, hit in zip(scored, hits, strict=True)])
        starts = accumulate(map(len, scored), initial=0)
        hit = torch.cat([hit + start for hit, start in zip(hits, starts, strict=False)])
        start, height, width, number, first = table[
            torch.searchsorted(table[:, 0].contiguous(), hit, right=True) - 1
        ].unbind(1)
        rest = hit - start
        image = rest // (height * width)
        y, x = rest // width % height + first, rest % width
        corner = corners[number, image]
        if self._uneven:
            inside = ((y < corner[:, 2]) & (x < corner[:, 3])).nonzero()[:, 0]
            image, number, corner = image[inside], number[inside], corner[inside]
            y, x, passed = y[inside], x[inside], passed[inside]
        return Proposals(
            members[image],
            number,
            torch.stack([x, y], 1) * STRIDE + corner[:, :2],
            scales[number][:, None],
            passed[:, 0],
            passed[:, 1:],
        )

    def _scored(
        self, pnet: Network, stack: Tensor, parts: Sequence[Tensor], cells: Sequence[Tensor]
    ) -> list[Tensor]:
        """Of each strip what PNet gives for its windows, ``(n, 5)``, picture by picture."""
        rows = [AveragedRows(*parts[at : at + 3]) for at in range(0, len(parts), 3)]
        levels = shrunk(stack, zip(rows[::2], rows[1::2], strict=True))
        beyond, scored, at = iter(cells), [], -1
        for strip in self._strips:
            if strip.level != at:
                at, level = strip.level, next(levels)
            edges: Edges = ALONE
            if self._uneven:
                edges = RaggedEdges(*self._in_strip(strip), {1: next(beyond)})
            part = level[:, strip.rows].permute(0, 3, 1, 2)
            scored.append(pnet(part, edges=edges).flatten(0, 2))
        return scored

    def _in_strip(self, strip: _Strip) -> tuple[list[Size], Size]:
        """What of each picture is in a strip, and the strip; on the map of PNet's first layer."""
        level, begin = self._levels[strip.level], strip.rows.start
        height = min(strip.rows.stop, level.shape[0]) - begin - 2
        width = level.shape[1] - 2
        sizes = [
            (min(max(h - begin - 2, 0), height), min(max(w - 2, 0), width)) for h, w in level.sizes
        ]
        return sizes, (height, width)


def _strips(number: int, shape: Size, pixels: int) -> list[_Strip]:
    height, width = (windows_of(side) for side in shape)
    rows = max(1, pixels // (shape[1] * STRIDE))
    return [
        _Strip(number, first, (min(rows, height - first), width))
        for first in range(0, height, rows)
    ]


def _starts(strips: Sequence[_Strip], pictures: int) -> NDArray[np.int64]:
    """Of each strip the number of its first window, its shape, its level, and its first row."""
    table, start = [], 0
    for strip in strips:
        table.append((start, *strip.shape, strip.level, strip.first))
        start += pictures * strip.shape[0] * strip.shape[1]
    return np.array(table, np.int64)


def _corners(level: Level) -> list[tuple[int, int, int, int]]:
    """Of each picture where its level begins, column and row, and rows and columns of windows."""
    return [
        (0, 0, 0, 0)
        if x is None or y is None
        else (x.first, y.first, windows_of(len(y.bags)), windows_of(len(x.bags)))
        for x, y in zip(level.across, level.down, strict=True)
    ]


def _stacked(bin_: Bin, pictures: Sequence[Tensor]) -> Tensor:
    """The pictures of a bin ``(B, h, w, 3)``, the smaller ones top left in black."""
    mine = bin_.chosen(pictures)
    if not bin_.ragged:
        return torch.stack(mine)
    stack = mine[0].new_zeros((len(mine), *bin_.shape, 3))
    for place, picture in zip(stack, mine, strict=True):
        place[: picture.shape[0], : picture.shape[1]] = picture
    return stack
