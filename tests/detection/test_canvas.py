"""A canvas is its picture in the middle of black, on the host and on a device."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from deepface.detection.canvas import Canvas, brought, cut


def picture(height: int, width: int) -> np.ndarray:  # type: ignore[type-arg]
    return np.random.default_rng(height).integers(1, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("border", [0.0, 0.5, 0.7])
@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 9), (9, 1), (4, 7), (12, 5)])
def test_pixels(height: int, width: int, border: float) -> None:
    """Also where a border is of no width: half of one pixel is none."""
    image = picture(height, width)
    top, left = int(border * height), int(border * width)
    expected = np.pad(image, ((top, top), (left, left), (0, 0)))
    for pixels in (image, torch.from_numpy(image)):
        canvas = Canvas.with_border(pixels, border)
        assert canvas.on_device == (pixels is not image)
        assert canvas.shape == (canvas.height, canvas.width) == expected.shape[:2]
        assert not canvas.on_host().on_device
        for one in (canvas, canvas.on_host()):
            np.testing.assert_array_equal(one.pixels(), expected)
            np.testing.assert_array_equal(cut(image, *_box(one)), expected)
            np.testing.assert_array_equal(one.pixels()[one.inside], image)
            assert one.pixels().flags.c_contiguous


def _box(canvas: Canvas) -> tuple[int, int, int, int]:
    top, left, height, width = canvas.rectangle
    return left, top, width, height


def test_pixels_of_a_view_are_contiguous() -> None:
    image = picture(6, 8)
    view = image[:, ::-1]
    assert Canvas(view).pixels().flags.c_contiguous
    np.testing.assert_array_equal(Canvas(view).pixels(), view)


@pytest.mark.gpu
@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_pictures_go_up_with_arrays_once(count: int, device: str) -> None:
    pictures = [picture(3, 4)[:, ::-1], picture(5, 2)][:count]
    groups: list[list[NDArray[Any]]] = [[np.arange(3.0), np.arange(4, dtype=np.int32)], []]
    groups.append([np.arange(2)])
    canvases = [Canvas(image, 1, 2) for image in pictures]
    images, arrays = brought(canvases, groups, torch.device(device))
    again, more = brought([Canvas(image) for image in images], groups, torch.device(device))
    assert all(image is before for image, before in zip(again, images, strict=True))
    for image, before in zip(images, pictures, strict=True):
        assert image.device.type == device
        np.testing.assert_array_equal(image.cpu(), before)
    for found in (arrays, more):
        for some, group in zip(found, groups, strict=True):
            for tensor, array in zip(some, group, strict=True):
                assert tensor.device.type == device
                np.testing.assert_array_equal(tensor.cpu(), array)


@pytest.mark.parametrize(
    "box",
    [
        (1, 2, 3, 4), (0, 0, 8, 6), (7, 5, 1, 1), (3, 0, 0, 6),
        (-2, 1, 5, 3), (4, 3, 9, 9), (20, 0, 3, 3), (1, 1, -4, 2),
    ],
)  # fmt: skip
def test_a_cut_is_black_outside_the_picture(box: tuple[int, int, int, int]) -> None:
    image, (x, y, w, h) = picture(6, 8), box
    around = np.pad(image, ((30, 30), (30, 30), (0, 0)))
    expected = around[y + 30 : y + 30 + max(0, h), x + 30 : x + 30 + max(0, w)]
    for source in (image, torch.from_numpy(image)):
        np.testing.assert_array_equal(cut(source, *box), expected)


def test_a_cut_inside_is_no_copy() -> None:
    image = picture(6, 8)
    assert np.shares_memory(cut(image, 1, 2, 3, 4), image)
