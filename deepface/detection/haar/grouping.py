"""Windows that show the same face become one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Rectangles are one face when their sides differ by less than this fraction of their size.
GROUP_EPS = 0.2
#: A face is where more windows than this agree (the published library's ``minNeighbors``).
MIN_NEIGHBORS = 10


@dataclass(frozen=True)
class Hits:
    """Windows that passed a cascade: boxes ``(n, 4)`` as x, y, w, h in pixels, weights ``(n,)``.

    The weight is the sum of the last stage: the higher, the surer.
    """

    boxes: NDArray[np.int64]
    weights: NDArray[np.float64]


def group(found: Hits, shape: tuple[int, int]) -> Hits:
    """Merge the windows that show the same face, as OpenCV does when it gives weights.

    More than ten similar windows become one box, their mean, with the highest of their weights. A
    box inside one of more windows is dropped. Boxes are clipped to ``shape`` (height, width).

    The surest face comes first; of equally sure ones the larger, then the upper, then the left.
    """
    groups = [members for members in components(found.boxes) if len(members) > MIN_NEIGHBORS]
    if not groups:
        return Hits(np.empty((0, 4), np.int64), np.empty(0))
    sums = np.array([found.boxes[members].sum(axis=0) for members in groups])
    counts = np.array([len(members) for members in groups])
    weights = np.array([found.weights[members].max() for members in groups])
    shares = 1 / counts.astype(np.float32)
    boxes = np.rint(sums.astype(np.float32) * shares[:, None]).astype(np.int64)

    kept = ~_inside_stronger(boxes, counts)
    boxes, weights = boxes[kept], weights[kept]
    start, end = boxes[:, :2].clip(0), np.minimum(boxes[:, :2] + boxes[:, 2:], shape[::-1])
    boxes = np.concatenate([start, end - start], axis=1)
    x, y, w, h = boxes.T
    order = np.lexsort((x, y, -w * h, -weights))
    return Hits(boxes[order], weights[order])


def group_each(
    owners: NDArray[np.int64], found: Hits, shapes: Sequence[tuple[int, int]]
) -> list[Hits]:
    """:func:`group` for each of several pictures.

    Args:
        owners: the picture of each window, ``(n,)``.
        found: the windows of all of them.
        shapes: height and width of every picture.
    """
    order = np.argsort(owners, kind="stable")
    ends = np.searchsorted(owners[order], np.arange(len(shapes) + 1))
    return [
        group(Hits(found.boxes[mine], found.weights[mine]), shape)
        for shape, start, end in zip(shapes, ends, ends[1:], strict=False)
        for mine in [order[start:end]]
    ]


def scan_order(boxes: Any) -> Any:
    """Weights by which windows come in the order in which OpenCV meets them on one thread.

    From small to large, from the top to the bottom, from left to right. Of the boxes that similar
    windows become, the one comes first whose first window does.

    Args:
        boxes: x, y, w, h, array or tensor ``(n, 4)`` int64.

    Returns:
        ``(n,)`` int64; float64 holds them exactly.
    """
    return -((boxes[:, 2] << 36) + (boxes[:, 1] << 18) + boxes[:, 0])


def components(
    boxes: NDArray[np.int64], table: int = 1 << 11, cached: int = 1 << 16
) -> Iterator[NDArray[np.int64]]:
    """Indices of the boxes that are similar, directly or through others.

    So many as a ``table`` holds are compared with one another at once; of more, some with all
    others. The numbers of ``cached`` pairs stay in a processor's cache.
    """
    x, y, w, h = boxes.T
    reach = np.floor(GROUP_EPS * np.minimum(w, h))
    # Sides below 2**14 are 16 bits wide, of which a processor compares twice as many at once.
    kind: type[Any] = np.int16 if boxes.max(initial=0) < 1 << 13 else np.int32
    sides = np.stack([x, y, x + w, y + h, reach]).astype(kind)
    similar = _similar(sides, sides, cached) if len(boxes) <= table else None
    unseen = np.ones(len(boxes), np.bool_)
    for first in range(len(boxes)):
        if not unseen[first]:
            continue
        unseen[first] = False
        frontier = np.array([first])
        members = [frontier]
        while len(frontier):
            some, frontier = frontier[:table], frontier[table:]
            near = _similar(sides[:, some], sides, cached) if similar is None else similar[some]
            found = (near.any(axis=0) & unseen).nonzero()[0]
            unseen[found] = False
            members.append(found)
            frontier = np.concatenate([frontier, found])
        yield np.concatenate(members)


def _similar(a: NDArray[Any], b: NDArray[Any], cached: int) -> NDArray[np.bool_]:
    """Whether all four sides of two squares are close, for every two of them.

    Args:
        a: left, upper, right, lower side, and how far a similar one's may be, ``(5, n)``.
        b: likewise ``(5, m)``.
    """
    similar = np.ones((a.shape[1], b.shape[1]), np.bool_)
    step = max(1, cached // max(1, b.shape[1]))
    for start in range(0, a.shape[1], step):
        some, here = a[:, start : start + step, None], similar[start : start + step]
        reach = np.minimum(some[4], b[4])
        for side in range(4):
            here &= np.abs(some[side] - b[side]) <= reach
    return similar


def _inside_stronger(boxes: NDArray[np.int64], counts: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which boxes lie in one of more windows, with a margin of a fifth of that one's size."""
    start, end = boxes[:, :2], boxes[:, :2] + boxes[:, 2:]
    margin = np.rint(boxes[:, 2:] * GROUP_EPS).astype(np.int64)
    inside = (start[:, None] >= (start - margin)) & (end[:, None] <= (end + margin))
    stronger = counts > counts[:, None]
    return (inside.all(axis=-1) & stronger).any(axis=1)  # type: ignore[no-any-return]
