"""Every window of an atlas: its sums over rectangles, and which windows OpenCV looks at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

from deepface.detection.haar.atlas import Atlas
from deepface.detection.haar.cascade_file import CascadeStage

#: Corners as y, x and how often they count; below which value the feature votes left; how much more
#: the left vote is worth than the right one.
_Feature: TypeAlias = tuple[tuple[tuple[int, int, int], ...], float, float]


@dataclass(frozen=True)
class Windows:
    """Windows of an atlas that are left: their corners and norms, ``(n,)`` each."""

    y: Tensor
    x: Tensor
    norms: Tensor

    def __getitem__(self, chosen: Tensor | slice) -> Windows:
        return Windows(self.y[chosen], self.x[chosen], self.norms[chosen])


@dataclass(frozen=True)
class GridStage:
    """A stage over sums of rectangles.

    Attributes:
        features: their corners, splits and votes.
        right: sum of the right votes.
        threshold: sum of votes that a window needs.
    """

    features: tuple[_Feature, ...]
    right: float
    threshold: float

    @classmethod
    def of(cls, stage: CascadeStage) -> GridStage:
        """A feature that weighs pixels, as one that weighs the sums of all pixels before them."""
        corners = np.diff(np.diff(np.pad(stage.kernels, ((0, 0), (1, 1), (1, 1))), axis=1), axis=2)
        return cls(
            tuple(
                (
                    tuple((y, x, int(weights[y, x])) for y, x in np.argwhere(weights).tolist()),
                    float(split),
                    float(difference),
                )
                for weights, split, difference in zip(
                    corners, stage.splits, stage.left - stage.right, strict=True
                )
            ),
            float(stage.right.sum()),
            stage.threshold,
        )


def integrals(pixels: Tensor) -> tuple[Tensor, Tensor]:
    """Sums of all pixels ``(H, W)`` above and to the left, and of their squares.

    ``(H + 1, W + 1)`` int32. They may overflow: their differences are right nevertheless.
    """
    whole = pixels.int()
    sums, squares = (
        torch.nn.functional.pad(
            table.cumsum(0, dtype=torch.int32).cumsum(1, dtype=torch.int32), (1, 0, 1, 0)
        )
        for table in (whole, whole * whole)
    )
    return sums, squares


def looked_at(atlas: Atlas, norms: Tensor, passes_first: Tensor, passed: Tensor) -> Windows:
    """The windows that pass the first stages, without those that OpenCV skips.

    Where a window fails in the first stage, OpenCV skips the next one of its row. So a window is
    looked at when an even number of failing ones in a row come before it.

    Args:
        atlas: what is searched.
        norms: of every window, ``(rows, columns)``, as are the others.
        passes_first: whether a window is constant or passes the first stage.
        passed: whether it passes all stages that were looked at.
    """
    columns = norms.shape[1]
    # By rows: along all windows at once, CUDA would use one multiprocessor.
    numbers = torch.arange(1, columns + 1, dtype=torch.int32, device=passes_first.device)
    passing = torch.zeros_like(norms, dtype=torch.int32)
    passing[:, 1:] = torch.where(passes_first, numbers, 0)[:, :-1]
    before = passing.cummax(1).values.view(-1)
    at = passed.view(-1).nonzero()[:, 0]
    line, number = at // columns, at % columns
    y, x = line * atlas.step, number * atlas.step
    place = atlas.places[atlas.blocks[y, atlas.strips[x]].long()]
    row, column = ((y - place[:, 2]) // atlas.step, (x - place[:, 3]) // atlas.step)
    inside = (row < place[:, 0]) & (column < place[:, 1])
    failing = torch.minimum(number - before[at], column)
    kept = (inside & (failing % 2 == 0)).nonzero()[:, 0]
    return Windows(y[kept], x[kept], norms.view(-1)[at[kept]])
