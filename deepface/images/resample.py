"""Resizing and turning pictures that are on a device, all pictures of a batch together.

Of ``uint8`` pictures it is, bit for bit, what OpenCV makes of one picture on the CPU: coordinates
in 64 bits, weights rounded to OpenCV's whole numbers, sums of whole numbers. A picture's result
depends on that picture alone, and on no device.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from deepface.types import Rectangle

#: OpenCV's weights of bilinear interpolation are in 2048ths.
_LINEAR_ONE = 1 << 11
#: OpenCV's places between pixels, when it turns a picture, are in 32nds; weights in 32768ths.
_PLACES, _CUBIC_ONE = 32, 1 << 15
#: PixelTable that are made at a time: bounds memory, some 200 bytes per pixel.
_STEP = 1 << 21


class PixelTable:
    """Pictures of any sizes, behind one another in one tensor, so that one gather serves all.

    Args:
        pictures: at least one; ``uint8`` ``(H, W, 3)``, on one device.
    """

    def __init__(self, pictures: Sequence[Tensor]) -> None:
        black = pictures[0].new_zeros((1, 3))
        self._flat = torch.cat([black, *(picture.reshape(-1, 3) for picture in pictures)])
        self.device = self._flat.device
        sizes = np.array([picture.shape[:2] for picture in pictures], np.int64)
        ends = sizes.prod(1).cumsum() + 1
        starts = np.concatenate([[1], ends[:-1]])
        self._facts = self.table(np.column_stack([sizes, starts]))

    def table(self, values: NDArray[np.generic]) -> Tensor:
        """An array on the pictures' device."""
        tensor = torch.from_numpy(np.ascontiguousarray(values))
        if self.device.type == "cuda":
            return tensor.pin_memory().to(self.device, non_blocking=True)
        return tensor.to(self.device)

    def at(self, picture: Tensor, y: Tensor, x: Tensor, known: Tensor | None = None) -> Tensor:
        """PixelTable ``(..., 3)``, black outside of the picture.

        Args:
            picture: positions among the pictures; together with the next two of shape ``(...)``.
            y: rows.
            x: columns.
            known: where it is false the pixel is black, too.
        """
        height, width, start = self._facts[picture].unbind(-1)
        inside = (y >= 0) & (y < height) & (x >= 0) & (x < width)
        if known is not None:
            inside = inside & known
        index = torch.where(inside, start + y * width + x, 0)
        return self._flat.index_select(0, index.flatten()).view(*index.shape, 3)


def resized(
    pixels: PixelTable,
    sources: Sequence[Rectangle],
    targets: Sequence[Rectangle],
    size: tuple[int, int],
    fill: int = 0,
    scale: float | None = None,
) -> Tensor:
    """A rectangle of each picture, resized as ``cv2.resize`` does ``uint8``, into its place.

    Args:
        pixels: the pictures.
        sources: of each picture the part that is resized.
        targets: where it goes; may reach outside of the result.
        size: height and width of the results.
        fill: the value around it.
        scale: what ``cv2.resize`` is given as ``fx`` and ``fy`` instead of a size.

    Returns:
        ``uint8`` ``(n, height, width, 3)``.
    """
    parts = []
    for rows, columns, corners in _corners(pixels, sources, targets, size, torch.float32, scale):
        right = _shares(columns.weight.masked_fill(columns.at_an_end, 0))[:, None, None, :, :, None]
        below = _shares(rows.weight)[:, :, :, None, None]
        mixed = (corners.int() * right).sum(4, dtype=torch.int32)  # (n, h, 2, w, 3)
        mixed = ((mixed >> 4) * below >> 16).sum(2, dtype=torch.int32) + 2 >> 2
        outside = ~(rows.inside[:, :, None] & columns.inside[:, None])
        parts.append(mixed.to(torch.uint8).masked_fill_(outside[..., None], fill))
    return torch.cat(parts)


def resized_real(
    pixels: PixelTable,
    sources: Sequence[Rectangle],
    targets: Sequence[Rectangle],
    size: tuple[int, int],
) -> Tensor:
    """As :func:`resized` on black, without rounding: as ``cv2.resize`` does float64.

    OpenCV has two implementations of this and chooses by the size; one of them keeps coordinates
    in 32 bits, which moves values by up to 2e-5 of their range.

    Returns:
        float64 ``(n, height, width, 3)``, from 0 to 255.
    """
    parts = []
    for rows, columns, corners in _corners(pixels, sources, targets, size, torch.float64):
        right = columns.weight.masked_fill(columns.at_an_end, 0)[:, None, None, :, None]
        below = rows.weight.masked_fill(rows.at_an_end, 0)[:, :, None, None]
        colours = corners.double()
        mixed = colours[..., 0, :] * (1 - right) + colours[..., 1, :] * right
        mixed = mixed[:, :, 0] * (1 - below) + mixed[:, :, 1] * below
        outside = ~(rows.inside[:, :, None] & columns.inside[:, None])
        parts.append(mixed.masked_fill_(outside[..., None], 0))
    return torch.cat(parts)


@dataclass(frozen=True)
class _Axis:
    """For each row (or column) of the results what it is mixed of; all ``(n, length)``.

    Attributes:
        pixels: first and second pixel of the rectangle, ``(n, length, 2)``.
        weight: of the second.
        at_an_end: whether both are the rectangle's outermost.
        inside: whether anything goes there.
    """

    pixels: Tensor
    weight: Tensor
    at_an_end: Tensor
    inside: Tensor


def _axis(
    length: int,
    size: Tensor,
    start: Tensor,
    to_size: Tensor,
    real: torch.dtype,
    scale: float | None,
) -> _Axis:
    at = torch.arange(length, device=size.device) - start
    step: Tensor | float
    if scale is not None:
        step = 1 / scale
    elif real is torch.float32:
        step = 1 / (to_size.double() / size.double())
    else:
        step = size.double() / to_size.double()
    position = ((at.double() + 0.5) * step - 0.5).to(real)
    first = position.floor()
    weight, first = position - first, first.long()
    last = size - 1
    both = torch.stack([first, first + 1], -1).clamp(min=0).minimum(last[..., None])
    return _Axis(both, weight, (first < 0) | (first >= last), (at >= 0) & (at < to_size))


def _corners(
    pixels: PixelTable,
    sources: Sequence[Rectangle],
    targets: Sequence[Rectangle],
    size: tuple[int, int],
    real: torch.dtype,
    scale: float | None = None,
) -> Iterator[tuple[_Axis, _Axis, Tensor]]:
    """Rows, columns and the four pixels of each result, ``(n, h, 2, w, 2, 3)``, some at a time."""
    numbers = np.arange(len(sources))
    whole = pixels.table(np.column_stack([np.array(sources), np.array(targets), numbers]))
    for table in torch.split(whole, max(1, _STEP // (size[0] * size[1]))):
        top, left, height, width, to_top, to_left, to_height, to_width, picture = table[
            ..., None
        ].unbind(1)
        rows = _axis(size[0], height, to_top, to_height, real, scale)
        columns = _axis(size[1], width, to_left, to_width, real, scale)
        y = (rows.pixels + top[..., None])[:, :, :, None, None]
        x = (columns.pixels + left[..., None])[:, None, None]
        yield rows, columns, pixels.at(picture.view(-1, 1, 1, 1, 1), y, x)


def _shares(weight: Tensor) -> Tensor:
    """Weights of the first and the second pixel, in OpenCV's whole numbers."""
    return torch.stack([1 - weight, weight], -1).mul(_LINEAR_ONE).round().int()


class Turn(NamedTuple):
    """A part of a picture that is turned about its own middle, and what of the result is wanted.

    Attributes:
        picture: its position among the pictures.
        part: of the picture.
        matrix: as of ``cv2.getRotationMatrix2D``, in pixels of the part.
        wanted: of the turned part; inside it.
    """

    picture: int
    part: Rectangle
    matrix: NDArray[np.float64]
    wanted: Rectangle


#: Turns by nothing.
UNTURNED = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])


def turned(pixels: PixelTable, turns: Sequence[Turn]) -> list[Tensor]:
    """Parts of pictures as ``cv2.warpAffine(part, matrix, its size, INTER_CUBIC)`` gives them.

    Returns:
        ``uint8`` ``(height, width, 3)`` of what is wanted, each black where it shows nothing.
    """
    sizes = np.array([turn.wanted[2:] for turn in turns], np.int64).reshape(-1, 2)
    areas = sizes.prod(1)
    if not areas.sum():
        return [pixels.table(np.zeros((h, w, 3), np.uint8)) for h, w in sizes.tolist()]
    whole = np.array([(*turn.part, turn.picture, *turn.wanted) for turn in turns], np.int64)
    real = np.array([_inverse(turn.matrix) for turn in turns])
    ends = areas.cumsum()
    table = pixels.table(np.column_stack([whole, ends - areas]))
    matrices = pixels.table(real)
    owner = torch.arange(len(turns), device=pixels.device).repeat_interleave(
        pixels.table(areas), output_size=int(ends[-1])
    )
    flat = torch.cat(
        [
            _turned(pixels, table, matrices, part, step)
            for step, part in enumerate(torch.split(owner, _STEP))
        ]
    )
    return [
        crop.view(height, width, 3)
        for crop, (height, width) in zip(
            torch.split(flat, areas.tolist()), sizes.tolist(), strict=True
        )
    ]


def _turned(
    pixels: PixelTable, table: Tensor, matrices: Tensor, owner: Tensor, step: int
) -> Tensor:
    """The pixels ``(n, 3)`` of a step; ``owner`` is the turn that each belongs to."""
    facts = table[owner].unbind(1)
    top, left, height, width, picture, wanted_y, wanted_x, _, columns, start = facts
    number = torch.arange(len(owner), device=owner.device) + step * _STEP - start
    row = torch.div(number, columns, rounding_mode="floor")
    y, x = row + wanted_y, number - row * columns + wanted_x
    xx, xy, x0, yx, yy, y0 = matrices[owner].unbind(1)
    at_x, at_y = _place(xx, x, xy, y, x0), _place(yx, x, yy, y, y0)
    weights = _cubic_weights(pixels.device)[at_y % _PLACES, at_x % _PLACES]  # (n, 4, 4)
    offsets = torch.arange(-1, 3, device=owner.device)
    columns_of = (at_x // _PLACES)[:, None] + offsets
    seen = (columns_of >= 0) & (columns_of < width[:, None])
    total = torch.full((len(owner), 3), _CUBIC_ONE // 2, dtype=torch.int32, device=owner.device)
    for tap in range(4):
        line = (at_y // _PLACES + (tap - 1))[:, None]
        known = seen & (line >= 0) & (line < height[:, None])
        colours = pixels.at(
            picture[:, None], line + top[:, None], columns_of + left[:, None], known
        )
        total += (colours * weights[:, tap, :, None]).sum(1, dtype=torch.int32)
    return torch.div(total, _CUBIC_ONE, rounding_mode="floor").clamp(0, 255).to(torch.uint8)


def _place(of_x: Tensor, x: Tensor, of_y: Tensor, y: Tensor, shift: Tensor) -> Tensor:
    """Where a pixel comes from, in 32nds of a pixel: rounded as OpenCV does, in 1024ths first."""
    fine = 32 * _PLACES
    place = ((of_y * y + shift) * fine).round() + (of_x * x * fine).round()
    return (place.long() + fine // _PLACES // 2) >> 5


def _inverse(matrix: NDArray[np.float64]) -> list[float]:
    """From the result to the picture, step by step as OpenCV inverts."""
    (a, b, x), (c, d, y) = matrix.tolist()
    scale = a * d - b * c
    scale = 1 / scale if scale else 0.0
    a, b, c, d = d * scale, b * -scale, c * -scale, a * scale
    return [a, b, -a * x - b * y, c, d, -c * x - d * y]


@cache
def _cubic_weights(device: torch.device) -> Tensor:
    """OpenCV's table of bicubic weights, ``(32, 32, 4, 4)`` by place y, place x, row, column."""
    sharpness, one = np.float32(-0.75), np.float32(1)
    two, three = np.float32(2), np.float32(3)
    x = np.arange(_PLACES, dtype=np.float32) / np.float32(_PLACES)
    far = ((sharpness * (x + one) - 5 * sharpness) * (x + one) + 8 * sharpness) * (
        x + one
    ) - 4 * sharpness
    near = ((sharpness + two) * x - (sharpness + three)) * x * x + one
    rest = one - x
    next_ = ((sharpness + two) * rest - (sharpness + three)) * rest * rest + one
    single = np.stack([far, near, next_, one - far - near - next_], 1).astype(np.float32)
    exact = single[:, None, :, None] * single[None, :, None, :] * np.float32(_CUBIC_ONE)
    table = np.rint(exact).clip(-_CUBIC_ONE, _CUBIC_ONE - 1).astype(np.int64)
    for weights in table.reshape(-1, 4, 4):
        missing = _CUBIC_ONE - int(weights.sum())
        if missing:  # one of the last four makes the sum exact: the largest, or the smallest
            corner = weights[2:, 2:]
            at = corner.argmax() if missing > 0 else corner.argmin()
            corner[np.unravel_index(at, corner.shape)] += missing
    return torch.from_numpy(table.astype(np.int32)).to(device)
