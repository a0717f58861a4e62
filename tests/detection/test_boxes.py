"""Boxes: regression, clipping, and every kind of suppression against a loop that spells it out."""

from __future__ import annotations

import pytest
import torch
import torchvision
from torch import Tensor

from deepface.detection.boxes import area, clipped, nms, regress, squared, survivors


def overlap(a: Tensor, b: Tensor, of_smaller: bool, extra: float) -> float:
    width = float(min(a[2], b[2]) - max(a[0], b[0])) + extra
    height = float(min(a[3], b[3]) - max(a[1], b[1])) + extra
    shared = max(0.0, width) * max(0.0, height)
    mine, theirs = float(area(a, extra)), float(area(b, extra))
    return shared / (min(mine, theirs) if of_smaller else mine + theirs - shared)


def spelled_out(
    boxes: Tensor, groups: Tensor, threshold: float, greedy: bool, of_smaller: bool, extra: float
) -> list[bool]:
    stays: list[bool] = []
    for i in range(len(boxes)):
        rivals = [j for j in range(i) if groups[j] == groups[i] and (stays[j] or not greedy)]
        stays.append(
            all(overlap(boxes[i], boxes[j], of_smaller, extra) <= threshold for j in rivals)
        )
    return stays


def crowded(n: int, groups: int) -> tuple[Tensor, Tensor, Tensor]:
    """Many overlapping boxes, some with negative coordinates, in sorted groups."""
    generator = torch.Generator().manual_seed(5)
    corner = torch.rand((n, 2), generator=generator, dtype=torch.float64) * 90 - 20
    size = torch.rand((n, 2), generator=generator, dtype=torch.float64) * 40 + 10
    group = torch.randint(groups, (n,), generator=generator).sort().values
    scores = torch.rand(n, generator=generator, dtype=torch.float64)
    return torch.cat([corner, corner + size], 1), scores, group


@pytest.mark.parametrize("count", [60, 140])  # all at once, and groups cut by blocks of 64 rows
@pytest.mark.parametrize("greedy", [True, False])
@pytest.mark.parametrize(("of_smaller", "extra"), [(False, 0.0), (True, 0.0), (True, 1.0)])
def test_survivors(count: int, greedy: bool, of_smaller: bool, extra: float) -> None:
    boxes, _, groups = crowded(count, 4)
    expected = spelled_out(boxes, groups, 0.4, greedy, of_smaller, extra)
    assert 4 < sum(expected) < count - 2
    stays = survivors(boxes, groups, 0.4, greedy=greedy, of_smaller=of_smaller, extra=extra)
    assert stays.tolist() == expected


def test_a_suppressed_box_suppresses_others_only_when_not_greedy() -> None:
    chain = torch.tensor([[0.0, 0, 10, 10], [4, 0, 14, 10], [8, 0, 18, 10]])
    one = torch.zeros(3, dtype=torch.int64)
    assert survivors(chain, one, 0.3).tolist() == [True, False, True]
    assert survivors(chain, one, 0.3, greedy=False).tolist() == [True, False, False]


def test_nms_is_the_greedy_one_group_by_group() -> None:
    boxes, scores, groups = crowded(80, 5)
    order = torch.argsort(scores, descending=True)
    order = order[torch.argsort(groups[order], stable=True)]
    stays = survivors(boxes[order], groups[order], 0.4)
    assert nms(boxes, scores, groups, 0.4).tolist() == order[stays].tolist()


@pytest.mark.parametrize("count", [400, 1100])  # all at once, and group by group
@pytest.mark.parametrize("shift", [0.0, 1 / 3, -7000.1])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_nms_of_a_group_does_not_depend_on_its_neighbours(
    count: int, shift: float, dtype: torch.dtype
) -> None:
    """To the bit, ties of scores and boxes from a broken picture included."""
    boxes, scores, groups = crowded(count, 9)
    boxes, scores = (boxes + shift).to(dtype), (scores * 20).round().to(dtype)
    groups = groups * 1000  # far apart
    boxes[groups == 3000] *= torch.tensor([1e30, -torch.inf, torch.nan, 1.0], dtype=dtype)
    kept = nms(boxes, scores, groups, 0.4)
    assert groups[kept].tolist() == sorted(groups[kept].tolist())
    for group in sorted(set(groups.tolist())):
        mine = (groups == group).nonzero()[:, 0]
        alone = mine[nms(boxes[mine], scores[mine], torch.zeros_like(mine), 0.4)]
        assert kept[groups[kept] == group].tolist() == alone.tolist()
        if group != 3000:
            expected = torchvision.ops.nms(boxes[mine].double(), scores[mine].double(), 0.4)
            assert alone.tolist() == mine[expected].tolist()


def test_no_boxes() -> None:
    none, groups = torch.zeros((0, 4)), torch.zeros(0, dtype=torch.int64)
    assert nms(none, torch.zeros(0), groups, 0.5).shape == (0,)
    assert survivors(none, groups, 0.5).shape == (0,)


def test_regress_square_clip() -> None:
    boxes = torch.tensor([[10.0, 20, 30, 60]])
    offsets = torch.tensor([[0.5, -0.25, 0.0, 0.5]])
    assert regress(boxes, offsets).tolist() == [[20, 10, 30, 80]]
    assert regress(boxes, offsets, 1).tolist() == [[20.5, 9.75, 30, 80.5]]
    assert squared(boxes).tolist() == [[0, 20, 40, 60]]
    assert area(boxes).tolist() == [800]
    assert area(boxes, 1).tolist() == [21 * 41]
    outside = torch.tensor([[-5.0, -6, 300, 40]])
    limits = torch.tensor([50]), torch.tensor([200])
    assert clipped(outside, *limits).tolist() == [[0, 0, 200, 40]]
