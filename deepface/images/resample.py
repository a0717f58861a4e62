"""Resizing and turning pictures that are on a device, all pictures of a batch together.

Of ``uint8`` pictures it is, bit for bit, what OpenCV makes of one picture on the CPU: coordinates
in 64 bits, weights rounded to OpenCV's whole numbers, sums of whole numbers. A picture's result
depends on that picture alone, and on no device.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch._utils import _flatten_dense_tensors

from deepface.images import operators
from deepface.images.operators import CUBIC_ONE, OUTSIDE, PLACES
from deepface.images.turn import inverse
from deepface.runtime.execution.kernels import tried
from deepface.runtime.execution.streams import kept
from deepface.runtime.execution.transfer import uploaded
from deepface.types import Rectangle

#: OpenCV's weights of bilinear interpolation are in 2048ths.
_LINEAR_ONE = 1 << 11


class PixelTable:
    """Pictures of any sizes, behind one another in one tensor, so that one gather serves all.

    Args:
        pictures: at least one; ``uint8`` ``(H, W, 3)``, on one device.

    Raises:
        RuntimeError: they have 2**29 pixels or more, which counts as out of memory.
    """

    def __init__(self, pictures: Sequence[Tensor]) -> None:
        #: Heights and widths ``(n, 2)``, where each picture begins, and ``(P, 3)`` pixels.
        self.sizes, self.starts = _layout([picture.shape for picture in pictures])
        black = pictures[0].new_zeros((1, 3))
        # One call, and not one per picture: each waits for Python's lock while threads decode.
        self.flat = _flatten_dense_tensors([black, *pictures]).view(-1, 3)  # type: ignore[no-untyped-call]
        self.device = self.flat.device


def _layout(shapes: Sequence[tuple[int, ...]]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    sizes = np.array([shape[:2] for shape in shapes], np.int64)
    ends = sizes.prod(1).cumsum() + 1
    if ends[-1] >= -OUTSIDE:
        # Whoever halves a batch for want of memory halves it for this, too.
        raise RuntimeError(f"out of memory: pictures of {ends[-1]} pixels are too many together")
    return sizes, np.concatenate([[1], ends[:-1]])


def resizing(
    shapes: Sequence[tuple[int, ...]],
    sources: Sequence[Rectangle],
    targets: Sequence[Rectangle],
    size: tuple[int, int],
    scale: float | None = None,
    pictures: Sequence[int] | None = None,
) -> list[NDArray[Any]]:
    """What :func:`mixed` must know; made of shapes alone, it can travel with the pixels.

    Args:
        shapes: of the pictures.
        sources: the part of its picture that is resized, for each result.
        targets: where it goes; may reach outside of the result.
        size: height and width of the results.
        scale: what ``cv2.resize`` is given as ``fx`` and ``fy`` instead of a size.
        pictures: which one each result is of; without it there is one for each, in order.
    """
    rows, columns = _axes(shapes, sources, targets, size, np.float32, scale, pictures)
    # Of the columns, unlike the rows, the outermost pixel has all the weight beyond it.
    weights = np.where(columns.at_an_end, np.float32(0), columns.weight)
    return [
        *(_shares(rows.weight), _shares(weights), rows.places, columns.places),
        *(rows.inside, columns.inside),
    ]


def mixed(pixels: PixelTable, tables: Iterable[Tensor], fill: int = 0) -> Tensor:
    """Rectangles of pictures, resized as ``cv2.resize`` does ``uint8``, in their places.

    Args:
        pixels: the pictures.
        tables: see :func:`resizing`, on the device.
        fill: the value around the rectangles.

    Returns:
        ``uint8`` ``(n, height, width, 3)``.
    """
    result: Tensor = way(pixels.device).mixed(pixels.flat, [*tables], fill)
    return result


def resized(
    pixels: PixelTable,
    sources: Sequence[Rectangle],
    targets: Sequence[Rectangle],
    size: tuple[int, int],
    fill: int = 0,
    pictures: Sequence[int] | None = None,
) -> Tensor:
    """:func:`mixed` with what :func:`resizing` says, of pictures that are on the device already."""
    tables = resizing(pixels.sizes.tolist(), sources, targets, size, pictures=pictures)
    return mixed(pixels, uploaded(tables, pixels.device), fill)


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
    tables = _real_tables(pixels, sources, targets, size)
    result: Tensor = way(pixels.device).mixed_real(pixels.flat, *tables)
    return result


def _real_tables(
    pixels: PixelTable,
    sources: Sequence[Rectangle],
    targets: Sequence[Rectangle],
    size: tuple[int, int],
) -> list[Tensor]:
    rows, columns = _axes(pixels.sizes.tolist(), sources, targets, size, np.float64)
    weights = [np.where(axis.at_an_end, 0.0, axis.weight) for axis in (rows, columns)]
    return uploaded([*weights, rows.places, columns.places], pixels.device)


@dataclass(frozen=True)
class _Axis:
    """For each row (or column) of the results what it is mixed of.

    Attributes:
        places: of the first and the second pixel, ``(n, 2, length)`` int32: for rows where they
            begin in the table, for columns what is added.
        weight: of the second, ``(n, length)``.
        at_an_end: whether both are the rectangle's outermost.
        inside: whether anything goes there.
    """

    places: NDArray[np.int32]
    weight: NDArray[Any]
    at_an_end: NDArray[np.bool_]
    inside: NDArray[np.bool_]


def _axes(
    shapes: Sequence[tuple[int, ...]],
    sources: Sequence[Rectangle],
    targets: Sequence[Rectangle],
    size: tuple[int, int],
    real: type[np.floating[Any]],
    scale: float | None = None,
    pictures: Sequence[int] | None = None,
) -> tuple[_Axis, _Axis]:
    """Rows and columns: made on the CPU, where it is quick, and sent in one copy."""
    sizes, starts = _layout(shapes)
    owner = np.arange(len(sources)) if pictures is None else np.asarray(pictures)
    # Top and left, then height and width.
    part, place = (np.array(boxes, np.int64).reshape(-1, 2, 2) for boxes in (sources, targets))
    facts = np.concatenate([part, place, sizes[owner, None]], axis=1)
    rows, columns = (_axis(size[at], facts[:, :, at], real, scale) for at in (0, 1))
    begins = starts[owner, None, None] + rows.places * sizes[owner, 1, None, None]
    rows.places[...] = np.where(rows.places == OUTSIDE, OUTSIDE, begins)
    return rows, columns


def _axis(
    length: int, facts: NDArray[np.int64], real: type[np.floating[Any]], scale: float | None
) -> _Axis:
    """One axis of all results; ``places`` are rows, or columns, of a picture, or ``OUTSIDE``.

    ``facts`` ``(n, 5)`` are start and size of the source, those of the target, and the picture's
    size.
    """
    # Pictures of one size have the same.
    facts, kind = np.unique(facts, axis=0, return_inverse=True)
    start, size, to_start, to_size, picture_size = facts.T[:, :, None]
    at = np.arange(length) - to_start
    if scale is not None:
        step: Any = 1 / scale
    elif real is np.float32:
        step = 1 / (to_size / size)
    else:
        step = size / to_size
    position = ((at + 0.5) * step - 0.5).astype(real)
    floor = np.floor(position)
    first = floor.astype(np.int64)
    last = size - 1
    inside = (at >= 0) & (at < to_size)
    both = np.stack([first, first + 1], 1).clip(0, last[:, None]) + start[:, None]
    seen = (both >= 0) & (both < picture_size[:, None]) & inside[:, None]
    kind = kind.reshape(-1)
    return _Axis(
        np.where(seen, both, OUTSIDE).astype(np.int32)[kind],
        (position - floor)[kind],
        ((first < 0) | (first >= last))[kind],
        inside[kind],
    )


def _shares(weight: NDArray[Any]) -> NDArray[np.int32]:
    """Weights ``(n, 2, length)`` of first and second pixel, in OpenCV's whole numbers."""
    both = np.stack([1 - weight, weight], 1) * np.float32(_LINEAR_ONE)
    return np.rint(both).astype(np.int32)


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
    if not turns:
        return []
    *tables, areas = _turn_tables(pixels, turns)
    flat = way(pixels.device).turned(pixels.flat, *tables, areas)
    return [
        crop.view(turn.wanted.height, turn.wanted.width, 3)
        for crop, turn in zip(torch.split(flat, areas), turns, strict=True)
    ]


def _turn_tables(
    pixels: PixelTable, turns: Sequence[Turn]
) -> tuple[Tensor, Tensor, Tensor, Tensor, list[int]]:
    areas = np.array([turn.wanted.height * turn.wanted.width for turn in turns], np.int64)
    known = _facts(pixels, turns, areas.cumsum() - areas)
    inverted = np.array([inverse(turn.matrix) for turn in turns])
    facts, matrices, counts = uploaded([known, inverted, areas], pixels.device)
    return facts, matrices, _cubic_weights(pixels.device), counts, areas.tolist()


def _facts(
    pixels: PixelTable, turns: Sequence[Turn], starts: NDArray[np.int64]
) -> NDArray[np.int64]:
    """What must be known of each, ``(n, 12)``.

    Where its pixels begin, how many columns it has, its first row and column; the rows of the part
    that are seen, from and to, the columns likewise; where rows begin in the table and what is
    added to columns; by how much a row and a column are apart.
    """
    rows = []
    for turn, start in zip(turns, starts.tolist(), strict=True):
        top, left, height, width = turn.part
        picture_height, picture_width = pixels.sizes[turn.picture].tolist()
        origin = int(pixels.starts[turn.picture]) + top * picture_width
        rows.append(
            (
                *(start, max(1, turn.wanted.width), turn.wanted.top, turn.wanted.left),
                *(max(0, -top), min(height, picture_height - top)),
                *(max(0, -left), min(width, picture_width - left)),
                *(origin, left, picture_width, 1),
            )
        )
    return np.array(rows, np.int64)


@cache
def way(device: torch.device) -> ModuleType:
    """What resamples there: kernels of our own where they run and are right, or operators."""

    def load() -> ModuleType:
        from deepface.images import kernels

        _compare(kernels, device)
        return kernels

    return tried(load, device, "resampling") or operators


def _compare(kernels: ModuleType, device: torch.device) -> None:
    """Raise ``RuntimeError`` where kernels give other numbers than operators."""
    random = np.random.default_rng(0)
    shapes = [(9, 14, 3), (300, 23, 3)]
    pictures = [random.integers(0, 256, shape, dtype=np.uint8) for shape in shapes]
    pixels = PixelTable(uploaded(pictures, device))
    parts = [Rectangle(-2, 3, 10, 14), Rectangle(20, 1, 250, 21)]
    places = [Rectangle(1, 2, 7, 290), Rectangle(0, 0, 9, 300)]
    tables = uploaded(resizing(shapes, parts, places, (9, 300)), device)
    reals = _real_tables(pixels, parts, places, (9, 300))
    matrix = np.array([[0.9, 0.4, -1.5], [-0.4, 0.9, 2.5]])
    turns = [
        Turn(at, part, matrix, Rectangle(0, 1, part.height, part.width - 1))
        for at, part in enumerate(parts)
    ]
    given: dict[str, Sequence[Any]] = {
        "mixed": (tables, 114),
        "mixed_real": reals,
        "turned": _turn_tables(pixels, turns),
    }
    for name, arguments in given.items():
        found, expected = (
            getattr(module, name)(pixels.flat, *arguments) for module in (kernels, operators)
        )
        if not torch.equal(found, expected):
            raise RuntimeError(f"{name} gives other numbers")


@kept(64)
def _cubic_weights(device: torch.device) -> Tensor:
    """OpenCV's table of bicubic weights, ``(32, 32, 4, 4)`` by place y, place x, row, column."""
    sharpness, one = np.float32(-0.75), np.float32(1)
    two, three = np.float32(2), np.float32(3)
    x = np.arange(PLACES, dtype=np.float32) / np.float32(PLACES)
    past = x + one
    far = ((sharpness * past - 5 * sharpness) * past + 8 * sharpness) * past - 4 * sharpness
    near = ((sharpness + two) * x - (sharpness + three)) * x * x + one
    rest = one - x
    next_ = ((sharpness + two) * rest - (sharpness + three)) * rest * rest + one
    single = np.stack([far, near, next_, one - far - near - next_], 1).astype(np.float32)
    exact = single[:, None, :, None] * single[None, :, None, :] * np.float32(CUBIC_ONE)
    table = np.rint(exact).clip(-CUBIC_ONE, CUBIC_ONE - 1).astype(np.int64)
    for weights in table.reshape(-1, 4, 4):
        missing = CUBIC_ONE - int(weights.sum())
        if missing:  # one of the last four makes the sum exact: the largest, or the smallest
            corner = weights[2:, 2:]
            at = corner.argmax() if missing > 0 else corner.argmin()
            corner[np.unravel_index(at, corner.shape)] += missing
    return torch.from_numpy(table.astype(np.int32)).to(device)
