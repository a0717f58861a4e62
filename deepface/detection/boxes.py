"""Boxes on the device: regression, clipping and non-maximum suppression for whole batches.

A box is a row ``x1, y1, x2, y2``, in pixels. ``groups`` says which boxes compete with each other
(those of one picture, of one pyramid level ...); a group's result never depends on the others.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
import torch
import torchvision
from numpy.typing import NDArray
from torch import Tensor

#: Rows per step of a pairwise comparison, on a CPU and elsewhere: bounds its memory.
_ROWS = (64, 4096)
#: Suppression sees coordinates in such fractions of a pixel,
_GRID = 2**20
#: and up to so many of them; of 2 ** 14 groups all coordinates have less than 53 bits.
_FARTHEST = 2**37
#: Anchors of a batch that may pass on CUDA, until more of them have.
_ROOM = 1024
#: Boxes from which on a CPU is quicker group by group.
_MANY = 1000


def area(boxes: Tensor, extra: float = 0.0) -> Tensor:
    """Width times height, each with ``extra`` added: 1 where coordinates count whole pixels."""
    return (boxes[..., 2] - boxes[..., 0] + extra) * (boxes[..., 3] - boxes[..., 1] + extra)


def regress(boxes: Tensor, offsets: Tensor, extra: float = 0.0) -> Tensor:
    """Move each corner by ``offsets`` (same shape) times the box's width or height + ``extra``."""
    size = boxes[:, 2:] - boxes[:, :2] + extra
    return boxes + offsets * torch.cat([size, size], 1)


def squared(boxes: Tensor) -> Tensor:
    """The smallest squares around the same centres."""
    size = boxes[:, 2:] - boxes[:, :2]
    side = size.amax(1, keepdim=True)
    corner = boxes[:, :2] + size * 0.5 - side * 0.5
    return torch.cat([corner, corner + side], 1)


def clipped(boxes: Tensor, heights: Tensor, widths: Tensor) -> Tensor:
    """Each box inside its own picture: x in ``0 .. width``, y in ``0 .. height``."""
    limit = torch.stack([widths, heights, widths, heights], 1).to(boxes)
    return torch.minimum(boxes.clamp(min=0), limit)


def nms(boxes: Tensor, scores: Tensor, groups: Tensor, threshold: float) -> Tensor:
    """Greedy non-maximum suppression within each group.

    The best box stays, those that overlap it by more than ``threshold`` (intersection over union)
    go, and so on with the rest; of equally good ones the earlier is the better.

    Each group has a place of its own, far from the others, so that one call serves all. Places
    and coordinates are whole multiples of a fraction of a pixel, few enough that every
    difference of coordinates is exact: what stays of a group does not depend on its place.

    Returns:
        Positions of the boxes that stay: by group, in a group by falling score.
    """
    if boxes.device.type == "mps":  # which has no float64
        return nms(boxes.cpu(), scores.cpu(), groups.cpu(), threshold).to(boxes.device)
    grid = (boxes.double() * _GRID).round().nan_to_num(0.0).clamp(-_FARTHEST, _FARTHEST)
    if boxes.device.type == "cpu" and len(boxes) > _MANY:
        return _nms_by_group(grid, scores, groups, threshold)
    apart = grid + (groups * (2 * _FARTHEST)).unsqueeze(1)
    keep: Tensor = torchvision.ops.nms(apart, scores.double(), threshold)
    return keep[torch.argsort(groups[keep], stable=True)]


class Suppression:
    """What is left of all anchors of a batch: those that pass, and of these the best of a place.

    To know how many pass, the host would have to wait for the device. So on CUDA there is room for
    some; how many they were comes back with what is left of them, and where they were more, all is
    done again with more room, which later calls have from the beginning.
    """

    def __init__(self) -> None:
        self._room = _ROOM

    def __call__(
        self,
        passes: Tensor,
        known: Callable[[Tensor], tuple[Tensor, Tensor, Tensor, Tensor]],
        threshold: float,
    ) -> NDArray[np.float64]:
        """On the host the rows of what is left, in the order of :func:`nms`.

        Args:
            passes: which of ``n`` anchors do.
            known: for the positions of some anchors the boxes, scores and groups that :func:`nms`
                takes, and rows ``(n, k)`` of numbers that float64 holds.
            threshold: as there.
        """
        if passes.device.type != "cuda":
            boxes, scores, groups, rows = known(passes.nonzero()[:, 0])
            return rows[nms(boxes, scores, groups, threshold)].cpu().double().numpy()
        ranks = passes.cumsum(0)
        while True:
            number = torch.arange(1, self._room + 1, device=passes.device)
            # Where the first, the second ... one is; beyond the last one always the same anchor.
            at = torch.searchsorted(ranks, number).clamp_(max=len(passes) - 1)
            boxes, scores, groups, rows = known(at)
            scores = scores.double().masked_fill_(number > ranks[-1], -math.inf)
            counted = [rows.double(), number[:, None], ranks[-1].expand(len(at), 1)]
            keep = nms(boxes, scores, groups, threshold)
            found = torch.cat(counted, 1)[keep].cpu().numpy()
            count = int(found[0, -1])
            if count <= self._room:
                return found[found[:, -2] <= count, :-2]
            self._room = 1 << (count - 1).bit_length()


def _nms_by_group(grid: Tensor, scores: Tensor, groups: Tensor, threshold: float) -> Tensor:
    """The same, a group at a time: a CPU compares each box that stays with all that are left."""
    rows = torch.argsort(groups, stable=True)
    counts = torch.unique_consecutive(groups[rows], return_counts=True)[1].tolist()
    kept = [
        part[torchvision.ops.nms(grid[part], scores[part].double(), threshold)]
        for part in torch.split(rows, counts)
    ]
    return torch.cat(kept)


def survivors(
    boxes: Tensor,
    groups: Tensor,
    threshold: float,
    *,
    greedy: bool = True,
    of_smaller: bool = False,
    extra: float = 0.0,
) -> Tensor:
    """Non-maximum suppression in the variants that torchvision does not have.

    Args:
        boxes: ``(n, 4)``, sorted by group and in a group from the best to the worst.
        groups: ``(n,)``, integers.
        threshold: greatest overlap with a better box that a box survives.
        greedy: whether a box that has been suppressed itself no longer suppresses others.
        of_smaller: overlap is the intersection over the smaller area, not over the union.
        extra: see :func:`area`.

    Returns:
        Which boxes stay, ``(n,)`` bool.
    """
    if not len(boxes):
        return groups.bool()
    blocks = _overlapping(boxes, groups, threshold, of_smaller, extra)
    if not greedy:
        return torch.cat([~hit.any(1) for _, hit in blocks])
    kept = list(blocks)
    stays = torch.ones_like(groups, dtype=torch.bool)
    while True:
        # Who is suppressed by those that stay? Each round settles at least one rank more.
        before = stays
        stays = torch.cat([~(hit & before[columns]).any(1) for columns, hit in kept])
        if torch.equal(before, stays):
            return stays


def _overlapping(
    boxes: Tensor, groups: Tensor, threshold: float, of_smaller: bool, extra: float
) -> Iterator[tuple[slice, Tensor]]:
    """Which earlier boxes of their groups the boxes overlap by more than ``threshold``.

    The boxes are sorted by group, so a block of rows need only be compared with the columns from
    the beginning of its first group on.

    Yields:
        For each block of rows the columns, and a ``bool`` for each pair.
    """
    rows = _ROWS[boxes.device.type != "cpu"]
    starts = [0]
    if len(boxes) > rows:
        starts = torch.searchsorted(groups, groups[::rows].contiguous()).tolist()
    areas = area(boxes, extra)
    boxes = boxes.t().contiguous()  # a CPU's inner loops go along the pairs, not along x and y
    for row, column in zip(range(0, len(areas), rows), starts, strict=True):
        mine, theirs = slice(row, row + rows), slice(column, row + rows)
        corner = torch.maximum(boxes[:2, mine, None], boxes[:2, None, theirs])
        other = torch.minimum(boxes[2:, mine, None], boxes[2:, None, theirs])
        sides = (other - corner + extra).clamp(min=0)
        shared = sides[0] * sides[1]
        a, b = areas[mine, None], areas[None, theirs]
        overlap = shared / (torch.minimum(a, b) if of_smaller else a + b - shared)
        hit = (overlap > threshold) & (groups[mine, None] == groups[None, theirs])
        yield theirs, hit.tril(row - column - 1)
