"""Atlases: grey pictures and their pyramids, bit for bit as OpenCV makes them, side by side."""

from __future__ import annotations

from collections import Counter
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from deepface.detection.canvas import Canvas
from deepface.detection.haar.atlas import Atlas, Pictures, View, atlases, resampled
from deepface.detection.haar.cascade import pyramid
from deepface.types import Image
from tests.detection.haar.test_search import CPU, pictures, whole


def seen(image: Image, view: View) -> Image:
    """The pixels of a view, by OpenCV."""
    far = max(view.width, view.height, *image.shape) + abs(view.x) + abs(view.y)
    padded = cv2.copyMakeBorder(image, far, far, far, far, cv2.BORDER_CONSTANT, value=0)
    x, y = view.x + far, view.y + far
    return np.ascontiguousarray(padded[y : y + view.height, x : x + view.width])


def test_grey_of_every_colour() -> None:
    channels = np.meshgrid(*[np.arange(256, dtype=np.uint8)] * 3, indexing="ij")
    colours = np.stack(channels, axis=-1).reshape(4096, 4096, 3)
    framed = Pictures([torch.from_numpy(colours)], CPU).pixels.view(4098, 4098).numpy()
    expected = cv2.cvtColor(colours, cv2.COLOR_BGR2GRAY)
    np.testing.assert_array_equal(framed[1:-1, 1:-1], expected)


@pytest.mark.parametrize("tensors", [{0, 1, 2, 3}, {1, 3}])
def test_pictures_that_are_on_the_device(tensors: set[int]) -> None:
    images = [*pictures(), np.zeros((0, 9, 3), np.uint8)]
    mixed = [torch.from_numpy(x) if i in tensors else x for i, x in enumerate(images)]
    given, expected = Pictures(mixed, CPU), Pictures(images, CPU)
    assert torch.equal(given.pixels, expected.pixels)
    np.testing.assert_array_equal(given.starts, expected.starts)
    framed = given.pixels[: given.starts[1]].view(*(given.shapes[0] + 2).tolist())
    assert not framed[[0, -1]].any() and not framed[:, [0, -1]].any()


@pytest.mark.parametrize("low", [False, True])
def test_atlas_holds_the_sizes_that_opencv_makes(low: bool) -> None:
    # many atlases, and sizes cut into pieces
    limits = {"height": 60, "least_rows": 3} if low else {}
    images = [pictures()[0], pictures()[1][:90]]
    views = [*whole(images), View(0, -75, -70, 301, 282), View(1, 20, 30, 77, 80)]
    views.append(View(0, 60, 70, 131, 132))  # partly outside
    grays = [cv2.cvtColor(seen(images[v.picture], v), cv2.COLOR_BGR2GRAY) for v in views]
    windows: Counter[tuple[int, float]] = Counter()
    pixels = 30_000 if low else 1 << 24
    for atlas in atlases(Pictures(images, CPU), views, 24, pixels, resampled, **limits):
        for place, view, scale in zip(
            atlas.places.tolist(), atlas.views.tolist(), atlas.scales.numpy(), strict=False
        ):
            nrows, ncolumns, y, x, top, left = place
            height, width = (round(float(np.float32(n) / scale)) for n in grays[view].shape)
            level = cv2.resize(grays[view], (width, height), interpolation=cv2.INTER_LINEAR_EXACT)
            h, w = ((n - 1) * atlas.step + 24 for n in (nrows, ncolumns))
            np.testing.assert_array_equal(
                atlas.pixels[y : y + h, x : x + w], level[top : top + h, left : left + w]
            )
            windows[view, float(scale)] += nrows * ncolumns
    for i, image in enumerate(images):
        shape = (image.shape[0], image.shape[1])
        for level_ in pyramid(shape, (0, 0, *shape), 24):
            columns = (level_.right - level_.left - 24) // level_.step + 1
            expected = -(-(level_.bottom - level_.top) // level_.step) * columns
            assert windows[i, float(level_.scale)] == expected


def layouts(image: Image, views: list[View]) -> list[Atlas]:
    """Atlases of one picture, without pixels."""

    def blank(gray: Any, rows: Any, columns: Any, strips: Any, offsets: Any) -> torch.Tensor:
        return torch.zeros(1).expand(rows.shape[1], len(strips))

    return list(atlases(Pictures([image], CPU), views, 24, 1 << 24, blank))


def test_atlases_are_full() -> None:
    image = np.zeros((720, 1280, 3), np.uint8)
    canvas = Canvas.with_border(image, 0.5)
    bordered = View(0, -canvas.left, -canvas.top, canvas.width, canvas.height)
    found = layouts(image, [bordered] * 16)
    used = [((a.places[:, :2] - 1) * a.step + 24).prod(1)[:-1].sum() for a in found]
    assert len(found) == 7
    assert sum(a.pixels.numel() for a in found) < 1.04 * sum(used)


@pytest.mark.parametrize("width", [24, 25, 40, 41])
def test_a_size_alone_takes_the_pixels_that_its_windows_see(width: int) -> None:
    image = np.zeros((24, width, 3), np.uint8)
    [atlas] = layouts(image, whole([image]))
    assert atlas.pixels.shape == (24, 24 + (width - 24) // atlas.step * atlas.step)


def test_black_is_not_searched() -> None:
    image = np.zeros((720, 1280, 3), np.uint8)
    canvas = Canvas.with_border(image, 0.5)
    bordered = View(0, -canvas.left, -canvas.top, canvas.width, canvas.height)
    windows = []
    for view in (whole([image])[0], bordered):
        windows.append(sum(a.places[:, :2].prod(1).sum() for a in layouts(image, [view])))
    # Of a canvas with four times the pixels: those windows only that touch the picture.
    assert windows[1] < 1.35 * windows[0]
