"""Pyramids of many pictures at once, packed into few large ones: atlases.

A cascade looks at pictures of all sizes in some forty sizes each. On a GPU thousands of small jobs
are slow and a few large ones are fast; so all sizes of all pictures are laid out side by side, and
each step of a search runs over the whole atlas. OpenCV lays out the sizes of one picture likewise.

Nothing depends on a picture's place in an atlas: sums are of whole numbers, and rectangles lie
within one block.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from typing import Any, TypeAlias

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from deepface.detection.haar.cascade import pyramid
from deepface.runtime.execution.batching import regrouped
from deepface.runtime.execution.transfer import as_tensor, uploaded
from deepface.types import Image

Array: TypeAlias = NDArray[Any]
Resampling: TypeAlias = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor], Tensor]

#: Of an atlas. Column sums run down every column at once, so wide and low is fast.
GREATEST_HEIGHT = 1024
#: Weights of the interpolation are in 256ths.
_ONE = 256
#: What blue, green and red weigh in grey, in 32768ths.
_BLUE, _GREEN, _RED, _GRAY_ONE = 3735, 19235, 9798, 1 << 15


@dataclass(frozen=True)
class View:
    """A rectangle of a picture, in its pixels; what lies outside of the picture is black."""

    picture: int
    x: int
    y: int
    width: int
    height: int


class Pictures:
    """Grey pictures on a device, behind one another in one tensor.

    Pictures of the host become grey before they travel, a third of the bytes, by OpenCV itself.
    Each picture has a frame of one black pixel: what is outside is read there.

    Args:
        images: BGR ``uint8`` arrays ``(H, W, 3)`` of any sizes, or such tensors on the device.
        device: where they go.
    """

    def __init__(self, images: Sequence[Image | Tensor], device: torch.device) -> None:
        self.shapes = np.array([image.shape[:2] for image in images], np.int64).reshape(-1, 2)
        self.starts = np.concatenate([[0], (self.shapes + 2).prod(axis=1).cumsum()])
        if any(isinstance(image, Tensor) for image in images):
            self.pixels = self._of_tensors(images, device)
            return
        pixels = torch.empty(
            int(self.starts[-1]), dtype=torch.uint8, pin_memory=device.type == "cuda"
        )
        starts = self.starts.tolist()
        for image, (height, width), start, end in zip(
            images, self.shapes.tolist(), starts, starts[1:], strict=False
        ):
            framed = pixels[start:end].view(height + 2, width + 2)
            framed[0] = framed[-1] = framed[:, 0] = framed[:, -1] = 0
            if height and width:
                gray = framed[1:-1, 1:-1].numpy()
                cv2.cvtColor(np.asarray(image), cv2.COLOR_BGR2GRAY, dst=gray)
        self.pixels = pixels.to(device, non_blocking=True)

    def _of_tensors(self, images: Sequence[Image | Tensor], device: torch.device) -> Tensor:
        """All at once: every pixel behind the one before, and a table of where rows go."""
        there = [as_tensor(image).to(device) for image in images]
        gray = _gray(torch.cat([image.reshape(-1, 3) for image in there]))
        heights, widths = self.shapes.T
        lengths = widths.repeat(heights)
        row = np.arange(len(lengths)) - (heights.cumsum() - heights).repeat(heights)
        target = self.starts[:-1].repeat(heights) + (row + 1) * (lengths + 2) + 1
        shifts, counts = uploaded([target - (lengths.cumsum() - lengths), lengths], device)
        places = torch.arange(len(gray), device=device)
        places += shifts.repeat_interleave(counts, output_size=len(gray))
        pixels = gray.new_zeros(int(self.starts[-1]))
        return pixels.index_copy_(0, places, gray)


def _gray(image: Tensor) -> Tensor:
    """The same numbers as ``cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)``, of pixels ``(n, 3)``."""
    blue, green, red = image.unbind(1)
    gray = blue.int().mul_(_BLUE).add_(green, alpha=_GREEN).add_(red, alpha=_RED)
    return gray.add_(_GRAY_ONE // 2).div_(_GRAY_ONE, rounding_mode="floor").to(torch.uint8)


@dataclass(frozen=True)
class Atlas:
    """Some blocks of pyramids side by side, black between them.

    Attributes:
        pixels: ``(height, width)`` ``uint8``.
        step: between windows, in pixels; blocks lie at multiples of it.
        strips: for each column, the strip it belongs to.
        blocks: for each row and strip the block that lies there, one past the last where none does.
        places: for each block, rows and columns of windows and where it begins in the atlas and in
            its level: ``(n + 1, 6)`` as rows, columns, y, x, level y, level x. The last has none.
        views: for each block, the view it shows.
        scales: for each block, pixels of the view per pixel, float32.
    """

    pixels: Tensor
    step: int
    strips: Tensor
    blocks: Tensor
    places: Tensor
    views: Tensor
    scales: Tensor


def atlases(
    pictures: Pictures,
    views: Sequence[View],
    window: int,
    pixels: int,
    resample: Resampling,
    height: int = GREATEST_HEIGHT,
    least_rows: int = 32,
) -> Iterator[Atlas]:
    """All sizes of all views that a cascade searches, as far as they show their picture.

    Args:
        pictures: what is looked at.
        views: of it.
        window: side of the cascade's window.
        pixels: of an atlas, about; a single strip of it may have more.
        resample: :func:`resampled` or what is equal to it.
        height: of an atlas, at most.
        least_rows: of windows in a piece cut off a block; both pieces hold the pixels of a cut.
    """
    blocks = _blocks(pictures, views, window)
    plans = [
        plan
        for step in (2, 1)
        for plan in _packed(
            blocks[blocks["step"] == step], step, window, pixels, height, least_rows
        )
    ]
    groups = [
        [np.stack([pieces[name] for name in _FACTS]), pieces["scale"], widths]
        for pieces, widths in plans
    ]
    # What all of them are made from goes up in one copy.
    known = uploaded(list(chain(*groups)), pictures.pixels.device) if groups else []
    for plan, facts in zip(plans, regrouped(known, groups), strict=True):
        yield _atlas(pictures.pixels, *plan, facts, resample)


#: Of a block: its view and the step between its windows; the height and width of its level, and
#: where in that it begins; how many rows and columns of windows it has; its height and width in
#: pixels; where it lies in the atlas, and in which strip; where in its picture the view lies, which
#: may be partly outside; the picture's height and width, and where it begins.
_FACTS = (
    *("view", "step", "level_height", "level_width", "y", "x", "rows", "columns"),
    *("height", "width", "at_y", "at_x", "strip"),
    *("view_y", "view_x", "view_height", "view_width"),
    *("picture_height", "picture_width", "picture_start"),
)
#: A size of a view, or a piece of one; ``scale`` are pixels of the view per pixel.
_BLOCK = np.dtype([("scale", np.float32), *((name, np.int64) for name in _FACTS)])


def _blocks(pictures: Pictures, views: Sequence[View], window: int) -> Array:
    """The sizes of all views, not yet placed."""
    parts = [np.empty(0, _BLOCK)]
    for number, view in enumerate(views):
        height, width = pictures.shapes[view.picture].tolist()
        top, rows = _overlap(view.y, view.height, height)
        left, columns = _overlap(view.x, view.width, width)
        inside = (top, left, rows, columns)
        part = _blocks_of((view.height, view.width), inside, window).copy()
        part["view"], part["picture_start"] = number, pictures.starts[view.picture]
        part["view_y"], part["view_x"] = view.y, view.x
        part["view_height"], part["view_width"] = view.height, view.width
        part["picture_height"], part["picture_width"] = height, width
        parts.append(part)
    return np.concatenate(parts)


def _overlap(start: int, size: int, end: int) -> tuple[int, int]:
    """Where ``0 ... end`` lies in ``start ... start + size``: first pixel from there, and size."""
    first = min(max(0, -start), size)
    return first, max(first, min(size, end - start)) - first


@lru_cache(maxsize=256)
def _blocks_of(shape: tuple[int, int], inside: tuple[int, int, int, int], window: int) -> Array:
    """The sizes of a view; see :func:`pyramid`."""
    blocks = []
    for level in pyramid(shape, inside, window):
        rows = -(-(level.bottom - level.top) // level.step)
        columns = (level.right - level.left - window) // level.step + 1
        if rows > 0 and columns > 0:
            block = np.zeros(1, _BLOCK)
            block["scale"], block["step"] = level.scale, level.step
            block["level_height"], block["level_width"] = level.height, level.width
            block["y"], block["x"] = level.top, level.left
            block["rows"], block["columns"] = rows, columns
            block["height"] = (rows - 1) * level.step + window
            block["width"] = (columns - 1) * level.step + window
            blocks.append(block)
    return np.concatenate([np.empty(0, _BLOCK), *blocks])


def _packed(
    blocks: Array, step: int, window: int, pixels: int, height: int, least_rows: int
) -> Iterator[tuple[Array, Array]]:
    """Fill strips as wide as their widest block, from the widest block to the narrowest.

    A block that is higher than what is left of its strip goes on in the next one: pieces of blocks
    come out, as blocks of their own, and for each atlas the widths of its strips.
    """
    order = np.lexsort((-blocks["height"], -blocks["width"]))
    pieces: list[tuple[int, int, int, int, int]] = []
    strips: list[int] = []
    y = right = 0
    for block, rows, width in zip(
        order.tolist(),
        blocks["rows"][order].tolist(),
        (-(-blocks["width"][order] // step) * step).tolist(),
        strict=True,
    ):
        done = 0
        while done < rows:
            room = (height - y - window) // step + 1
            if not strips or (y and room < min(rows - done, least_rows)):
                if strips and (right + width) * height > pixels:
                    yield _laid_out(blocks, pieces, strips, right, step, window)
                    pieces, strips, right = [], [], 0
                strips.append(right)
                y, right = 0, right + width
                continue
            taken = min(room, rows - done)
            pieces.append((block, done, taken, y, len(strips) - 1))
            done += taken
            y += -(-((taken - 1) * step + window) // step) * step
    if pieces:
        yield _laid_out(blocks, pieces, strips, right, step, window)


def _laid_out(
    blocks: Array,
    pieces: list[tuple[int, int, int, int, int]],
    strips: list[int],
    width: int,
    step: int,
    window: int,
) -> tuple[Array, Array]:
    """Pieces: block, first row of windows, number of rows, y in the atlas, strip."""
    block, first, rows, at_y, strip = np.array(pieces, np.int64).T
    cut = blocks[block]
    cut["y"] += first * step
    cut["rows"], cut["height"] = rows, (rows - 1) * step + window
    cut["at_y"], cut["at_x"], cut["strip"] = at_y, np.array(strips)[strip], strip
    return cut, np.diff(strips, append=width)


def _atlas(
    gray: Tensor, blocks: Array, widths: Array, known: Sequence[Tensor], resample: Resampling
) -> Atlas:
    """Tell each pixel of an atlas where it comes from, and take it from there.

    Args:
        gray: the pictures, flat.
        blocks: what lies in the atlas.
        widths: of its strips.
        known: facts of the blocks, as in :data:`_FACTS`, their scales, and the strips' widths, on
            the device.
        resample: see :func:`atlases`.
    """
    table, scales, sizes = known
    facts = dict(zip(_FACTS, table, strict=True))
    height = int((blocks["at_y"] + blocks["height"]).max())
    rows, columns = int(blocks["height"].sum()), int(blocks["width"].sum())
    first = (facts["width"] + 1).cumsum(0) - facts["width"] - 1
    lines = _lines(facts, first, rows, (height, len(widths)), columns + len(blocks))
    taps = _columns(facts, first, columns)
    strips, offsets = _each(sizes, int(widths.sum()))
    names = ("rows", "columns", "at_y", "at_x", "y", "x")
    places = torch.stack([facts[name] for name in names], 1)
    return Atlas(
        pixels=resample(gray, lines, taps, strips.int(), offsets.int()),
        step=int(blocks["step"][0]),
        strips=strips,
        blocks=lines[0],
        places=torch.cat([places, places.new_zeros((1, 6))]),
        views=facts["view"],
        scales=scales,
    )


def _lines(
    facts: dict[str, Tensor], first: Tensor, total: int, shape: tuple[int, int], black: int
) -> Tensor:
    """The rows of an atlas, as :func:`resampled` takes them.

    Args:
        facts: of its blocks.
        first: where each block's columns begin in :func:`_columns`.
        total: rows of all blocks.
        shape: height of the atlas and number of strips.
        black: a column that is black, where no block lies.
    """
    block, row = _each(facts["height"], total)
    names = ("view_height", "level_height", "view_y", "picture_height")
    upper, lower, weight = _taps(facts["y"][block] + row, *(facts[name][block] for name in names))
    stride, start = facts["picture_width"][block] + 2, facts["picture_start"][block]
    lines = torch.zeros((6, *shape), dtype=torch.int32, device=first.device)
    lines[0], lines[4] = len(first), black
    lines[:, facts["at_y"][block] + row, facts["strip"][block]] = torch.stack(
        [
            *(block, start + upper * stride, start + lower * stride),
            *(weight, first[block], facts["width"][block]),
        ]
    ).int()
    return lines


def _columns(facts: dict[str, Tensor], first: Tensor, total: int) -> Tensor:
    """The columns of blocks, as :func:`resampled` takes them; a black one behind each block's."""
    block, column = _each(facts["width"], total)
    names = ("view_width", "level_width", "view_x", "picture_width")
    taps = torch.zeros((3, total + len(first) + 1), dtype=torch.int32, device=first.device)
    taps[:, first[block] + column] = torch.stack(
        _taps(facts["x"][block] + column, *(facts[name][block] for name in names))
    ).int()
    return taps


def _each(counts: Tensor, total: int) -> tuple[Tensor, Tensor]:
    """``0 0 0 1 1 ...`` and ``0 1 2 0 1 ...`` for the counts ``3 2 ...``."""
    numbers = torch.arange(len(counts), device=counts.device)
    owner = numbers.repeat_interleave(counts, output_size=total)
    return owner, torch.arange(total, device=counts.device) - (counts.cumsum(0) - counts)[owner]


def _taps(
    at: Tensor, size: Tensor, level_size: Tensor, start: Tensor, picture_size: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """The two pixels that a pixel of a level is mixed of, and the weight of the second in 256ths.

    This is OpenCV's ``INTER_LINEAR_EXACT``: positions in 64 bits, weights rounded to whole numbers.

    Args:
        at: pixel of the level.
        size: of the view.
        level_size: of the level.
        start: of the view in its picture.
        picture_size: of the picture; pixels outside of it become ones of its frame.
    """
    scale = 1 / (level_size.double() / size.double())
    position = scale * (at.double() + 0.5) - 0.5
    whole = position.floor()
    weight = ((position - whole) * _ONE).round().long()
    whole = whole.long()
    weight.masked_fill_((whole < 0) | (whole >= size - 1), 0)
    whole = torch.minimum(whole.clamp(min=0), size - 1)
    first, second = (
        torch.minimum((torch.minimum(near, size - 1) + start).clamp(min=-1), picture_size) + 1
        for near in (whole, whole + 1)
    )
    return first, second, weight


def resampled(
    gray: Tensor, rows: Tensor, columns: Tensor, strips: Tensor, offsets: Tensor
) -> Tensor:
    """The pixels of an atlas, bit for bit as ``cv2.resize(..., cv2.INTER_LINEAR_EXACT)``.

    Args:
        gray: all pictures, flat.
        rows: block, start of upper and of lower row in ``gray``, weight of the lower one, first
            column and number of columns, ``(6, height, strips)``.
        columns: left and right column, weight of the right one, ``(3, n)``.
        strips: of the atlas's columns.
        offsets: of the atlas's columns within their strips.
    """
    _, upper, lower, below, first, width = (table.index_select(1, strips) for table in rows)
    at = first.add_(torch.minimum(width, offsets)).view(-1)
    left, right, beside = (table.index_select(0, at).view_as(upper) for table in columns)

    def mixed(row: Tensor) -> Tensor:
        """Two pixels of a row of the picture; 256 times as large."""
        a, b = (
            gray.index_select(0, (row + column).view(-1)).view_as(row).int()
            for column in (left, right)
        )
        return (b - a).mul_(beside).add_(a, alpha=_ONE)

    above = mixed(upper)
    whole = (mixed(lower) - above).mul_(below).add_(above, alpha=_ONE)
    return whole.add_(_ONE * _ONE // 2).div_(_ONE * _ONE, rounding_mode="floor").to(torch.uint8)
