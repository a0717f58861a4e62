"""Windows that show the same face become one, for all pictures at once, on the device.

The same as :func:`deepface.detection.haar.cascade.group` for each picture.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from deepface.detection.haar.cascade import GROUP_EPS, MIN_NEIGHBORS, Candidates, merge

#: Rows, and pairs, of a step of a pairwise comparison: bound its memory.
_ROWS, _PAIRS = 2048, 1 << 26


def group_all(
    owners: Tensor, boxes: Tensor, weights: Tensor, shapes: Sequence[tuple[int, int]]
) -> list[Candidates]:
    """Merge similar windows of the same view.

    Args:
        owners: the view of each window, ``(n,)`` int64.
        boxes: x, y, width, height, ``(n, 4)`` int64, all of them squares.
        weights: the higher, the surer, ``(n,)`` float64.
        shapes: height and width of every view.

    Returns:
        The merged boxes of every view, see :func:`deepface.detection.haar.cascade.group`.
    """
    owners, order = owners.sort(stable=True)
    boxes, weights = boxes[order], weights[order]
    label = _components(*_similar(owners, boxes), len(owners))
    counts = torch.zeros_like(label).index_add_(0, label, torch.ones_like(label))
    sums = torch.zeros_like(boxes).index_add_(0, label, boxes)
    best = torch.zeros_like(weights).scatter_reduce_(0, label, weights, "amax", include_self=False)
    many = (counts > MIN_NEIGHBORS).nonzero()[:, 0]
    whole = torch.cat([owners[many, None], counts[many, None], sums[many]], 1).cpu().numpy()
    highest = best[many].cpu().numpy()
    limits = np.searchsorted(whole[:, 0], np.arange(len(shapes) + 1))
    return [
        merge(whole[start:end, 2:], whole[start:end, 1], highest[start:end], shape)
        for shape, start, end in zip(shapes, limits, limits[1:], strict=False)
    ]


def _similar(owners: Tensor, boxes: Tensor) -> tuple[Tensor, Tensor]:
    """Pairs of windows of one view whose sides are close; a later one and an earlier one.

    The windows are sorted by view, so a block of rows need only be compared with the columns from
    the beginning of its first view on.
    """
    rows = min(_ROWS, max(1, _PAIRS // max(1, len(boxes))))
    starts = torch.searchsorted(owners, owners[::rows].contiguous()).tolist()
    # Distances are whole numbers: at most a fifth is at most its whole part.
    reach = (boxes[:, 2].double() * GROUP_EPS).int()
    owners, boxes = owners.int(), boxes.int()
    near = boxes[:, :2]
    far = near + boxes[:, 2:]
    pairs = [torch.zeros((0, 2), dtype=torch.int64, device=boxes.device)]
    for row, column in zip(range(0, len(boxes), rows), starts, strict=True):
        mine, theirs = slice(row, row + rows), slice(column, row + rows)
        close = owners[mine, None] == owners[None, theirs]
        limit = torch.minimum(reach[mine, None], reach[None, theirs])
        for side in (near, far):
            for axis in (0, 1):
                close &= (side[mine, None, axis] - side[None, theirs, axis]).abs_() <= limit
        later, earlier = close.tril_(row - column - 1).nonzero().unbind(1)
        pairs.append(torch.stack([later + row, earlier + column], 1))
    later, earlier = torch.cat(pairs).unbind(1)
    return later, earlier


def _components(later: Tensor, earlier: Tensor, count: int) -> Tensor:
    """The first member of the component of each of ``count`` windows."""
    label = torch.arange(count, device=later.device)
    while True:
        # Each round every window takes the lowest label around it, and that one's label.
        before = label
        label = label.scatter_reduce(0, later, before[earlier], "amin")
        label = label.scatter_reduce(0, earlier, before[later], "amin")
        label = label[label]
        if torch.equal(label, before):
            return label
