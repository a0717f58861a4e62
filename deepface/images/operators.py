"""The resampling of :mod:`deepface.images.resample` by PyTorch's operators: on any device."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

#: OpenCV's places between pixels, when it turns a picture, are in 32nds; weights in 32768ths.
PLACES, CUBIC_ONE = 32, 1 << 15
#: Pixels that are turned at a time: bounds memory, some 400 bytes for each.
STEP = 1 << 23
#: Added to the places of two axes, it leads to the black pixel: below any place, above -2**31.
OUTSIDE = -(1 << 29)


def mixed(flat: Tensor, tables: Sequence[Tensor], fill: int) -> Tensor:
    """See :func:`deepface.images.resample.mixed`; ``flat`` is the table's pixels ``(P, 3)``."""
    below, right, from_y, from_x, in_y, in_x = tables
    both = sum(
        _at(flat, from_y[:, :, :, None] + from_x[:, None, None, side])
        * right[:, None, None, side, :, None]
        for side in (0, 1)
    )
    assert isinstance(both, Tensor)  # (n, 2, h, w, 3)
    both = ((both >> 4) * below[:, :, :, None, None]) >> 16
    result = ((both[:, 0] + both[:, 1]).add_(2) >> 2).to(torch.uint8)
    if fill:
        result.masked_fill_(~(in_y[:, :, None] & in_x[:, None])[..., None], fill)
    return result


def mixed_real(
    flat: Tensor, below: Tensor, right: Tensor, from_y: Tensor, from_x: Tensor
) -> Tensor:
    """See :func:`deepface.images.resample.resized_real`."""
    left_colours, right_colours = (
        _at(flat, from_y[:, :, :, None] + from_x[:, None, None, side]) for side in (0, 1)
    )
    right, below = right[:, None, None, :, None], below[:, :, None, None]
    mixed = left_colours * (1 - right) + right_colours * right  # (n, 2, h, w, 3)
    return mixed[:, 0] * (1 - below) + mixed[:, 1] * below


def turned(
    flat: Tensor,
    facts: Tensor,
    matrices: Tensor,
    weights: Tensor,
    counts: Tensor,
    areas: Sequence[int],
) -> Tensor:
    """See :func:`deepface.images.resample.turned`: the pixels ``(n, 3)`` of all results.

    Args:
        flat: the table's pixels.
        facts: of each turn, ``(n, 12)``.
        matrices: of each from the result to the picture, ``(n, 6)`` float64.
        weights: bicubic, ``(32, 32, 4, 4)``.
        counts: pixels of each result.
        areas: the same on the host.
    """
    owner = torch.arange(len(areas), device=flat.device).repeat_interleave(
        counts, output_size=sum(areas)
    )
    steps = [
        _turned(flat, facts, matrices, weights, part, number * STEP)
        for number, part in enumerate(torch.split(owner, STEP))
    ]
    return torch.cat(steps) if len(steps) > 1 else steps[0]


def _at(flat: Tensor, places: Tensor) -> Tensor:
    """Pixels ``(..., 3)`` by sums ``(...)`` of two axes' places, overwritten here."""
    index = places.clamp_(min=0)
    return flat.index_select(0, index.flatten()).view(*index.shape, 3)


def _turned(
    flat: Tensor, facts: Tensor, matrices: Tensor, weights: Tensor, owner: Tensor, first: int
) -> Tensor:
    """The pixels ``(n, 3)`` from ``first`` on; ``owner`` is the turn that each belongs to."""
    known = facts.index_select(0, owner)
    start, width, top, left = known[:, :4].unbind(1)
    seen_from, seen_to = known[:, 4:8:2, None], known[:, 5:8:2, None]
    number = torch.arange(first, first + len(owner), device=owner.device) - start
    row = torch.div(number, width, rounding_mode="floor")
    y, x = row + top, number - row * width + left
    xx, xy, x0, yx, yy, y0 = matrices.index_select(0, owner).unbind(1)
    # Rows first, then columns, as everywhere: (n, 2).
    at = torch.stack([_place(yx, x, yy, y, y0), _place(xx, x, xy, y, x0)], 1)
    shares = weights[tuple((at % PLACES).unbind(1))]  # (n, 4, 4)
    taps = (at // PLACES)[..., None] + torch.arange(-1, 3, device=owner.device)  # (n, 2, 4)
    outside = (taps < seen_from) | (taps >= seen_to)
    places = torch.addcmul(known[:, 8:10, None], taps, known[:, 10:, None])
    places = places.masked_fill_(outside, OUTSIDE).int()
    colours = _at(flat, places[:, 0, :, None] + places[:, 1, None])  # (n, 4, 4, 3)
    total = (colours * shares[..., None]).sum((1, 2), dtype=torch.int32).add_(CUBIC_ONE // 2)
    return torch.div(total, CUBIC_ONE, rounding_mode="floor").clamp_(0, 255).to(torch.uint8)


def _place(of_x: Tensor, x: Tensor, of_y: Tensor, y: Tensor, shift: Tensor) -> Tensor:
    """Where a pixel comes from, in 32nds of a pixel: rounded as OpenCV does, in 1024ths first."""
    fine = 32 * PLACES
    place = ((of_y * y + shift) * fine).round() + (of_x * x * fine).round()
    return (place.long() + fine // PLACES // 2) >> 5
