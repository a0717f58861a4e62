"""What OpenCV does to one picture on the CPU, done to many on a device: equal to the last bit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from deepface.detection.canvas import cut
from deepface.images import operators, resample
from deepface.images.resample import (
    UNTURNED,
    PixelTable,
    Turn,
    resized,
    resized_real,
    resizing,
    turned,
)
from deepface.runtime.execution.batching import halving
from deepface.types import Image, Rectangle
from tests.interpreted import interpreted

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]
SIZE = (37, 50)


def noise(count: int, seed: int, largest: int = 120) -> list[Image]:
    """Pictures of random sizes: every wrong weight and every shift by a pixel shows."""
    random = np.random.default_rng(seed)
    sizes = random.integers(1, largest, (count, 2)).tolist()
    return [random.integers(0, 256, (h, w, 3), dtype=np.uint8) for h, w in sizes]


def parts(pictures: list[Image], seed: int) -> list[Rectangle]:
    """A rectangle per picture, which may reach outside or leave some of it out."""
    random = np.random.default_rng(seed)
    found = []
    for image in pictures:
        top, left, more_down, more_right = random.integers(-40, 40, 4).tolist()
        height, width = image.shape[0] - top + more_down, image.shape[1] - left + more_right
        found.append(Rectangle(top, left, max(1, height), max(1, width)))
    return found


def places(count: int, seed: int) -> list[Rectangle]:
    random = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        height, width = (int(random.integers(1, side + 1)) for side in SIZE)
        top, left = (
            int(random.integers(0, side - inner + 1))
            for side, inner in zip(SIZE, (height, width), strict=True)
        )
        found.append(Rectangle(top, left, height, width))
    return found


def by_opencv(image: Image, part: Rectangle, place: Rectangle, fill: int, dtype: Any) -> Any:
    whole = cut(image, part.left, part.top, part.width, part.height).astype(dtype)
    out = np.full((*SIZE, 3), fill, dtype)
    rows, columns = (
        slice(start, start + length) for start, length in zip(place[:2], place[2:], strict=True)
    )
    out[rows, columns] = cv2.resize(whole, (place.width, place.height))
    return out


def table(pictures: list[Image], device: str) -> PixelTable:
    return PixelTable([torch.from_numpy(image).to(device) for image in pictures])


@pytest.mark.parametrize("device", DEVICES)
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_resizing_is_opencvs(device: str, seed: int) -> None:
    pictures = noise(4, seed)
    sources, targets = parts(pictures, seed), places(4, seed)
    found = resized(table(pictures, device), sources, targets, SIZE, 114).cpu().numpy()
    for image, source, target, result in zip(pictures, sources, targets, found, strict=True):
        np.testing.assert_array_equal(result, by_opencv(image, source, target, 114, np.uint8))


@pytest.mark.parametrize("device", DEVICES)
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_resizing_without_rounding_is_opencvs(device: str, seed: int) -> None:
    pictures = noise(4, seed)
    sources, targets = parts(pictures, seed), places(4, seed)
    found = resized_real(table(pictures, device), sources, targets, SIZE).cpu().numpy()
    for image, source, target, result in zip(pictures, sources, targets, found, strict=True):
        expected = by_opencv(image, source, target, 0, np.float64)
        # OpenCV has two implementations, of which one keeps coordinates in 32 bits.
        np.testing.assert_allclose(result, expected, rtol=0, atol=255 * 2e-5)


@pytest.mark.parametrize(
    ("size", "inner"),
    [((720, 1280), (21, 37)), ((74, 100), (37, 50)), ((37, 50), (37, 50)), ((1, 1), (37, 50))],
)
def test_resizing_by_round_factors_is_opencvs(
    size: tuple[int, int], inner: tuple[int, int]
) -> None:
    image = np.random.default_rng(5).integers(0, 256, (*size, 3), dtype=np.uint8)
    whole, place = Rectangle(0, 0, *size), Rectangle(0, 0, *inner)
    found = resized(table([image], "cpu"), [whole], [place], SIZE)[0].numpy()
    np.testing.assert_array_equal(found, by_opencv(image, whole, place, 0, np.uint8))


def test_several_results_of_one_picture() -> None:
    pictures, owners = noise(3, 1), [2, 0, 0, 1, 2]
    chosen = [pictures[owner] for owner in owners]
    sources, targets = parts(chosen, 1), places(5, 1)
    found = resized(table(pictures, "cpu"), sources, targets, SIZE, pictures=owners)
    assert torch.equal(found, resized(table(chosen, "cpu"), sources, targets, SIZE))


def turns(pictures: list[Image], seed: int) -> list[Turn]:
    random = np.random.default_rng(seed)
    found = []
    for number, part in enumerate(parts(pictures, seed)):
        angle = float(random.choice([random.uniform(-180, 180), random.uniform(-5, 5), 0, 90]))
        matrix = cv2.getRotationMatrix2D((part.width // 2, part.height // 2), angle, 1.0)
        top, left = int(random.integers(0, part.height)), int(random.integers(0, part.width))
        wanted = Rectangle(top, left, part.height - top, part.width - left)
        found.append(Turn(number, part, matrix, wanted))  # type: ignore[arg-type]
    return found


def turned_by_opencv(image: Image, turn: Turn) -> NDArray[Any]:
    (top, left, height, width), wanted = turn.part, turn.wanted
    rotated = cv2.warpAffine(
        np.ascontiguousarray(cut(image, left, top, width, height)),
        turn.matrix,
        (width, height),
        flags=cv2.INTER_CUBIC,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=(0, 0, 0),
    )
    rows = slice(wanted.top, wanted.top + wanted.height)
    return rotated[rows, wanted.left : wanted.left + wanted.width]


@pytest.mark.parametrize("device", DEVICES)
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_turning_is_opencvs(device: str, seed: int) -> None:
    pictures = noise(4, seed)
    wanted = turns(pictures, seed)
    found = turned(table(pictures, device), wanted)
    for image, turn, result in zip(pictures, wanted, found, strict=True):
        np.testing.assert_array_equal(result.cpu().numpy(), turned_by_opencv(image, turn))


def test_turning_goes_on_across_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    pictures = noise(3, 2)
    wanted = turns(pictures, 2)
    at_once = turned(table(pictures, "cpu"), wanted)
    monkeypatch.setattr(operators, "STEP", 1000)
    in_steps = turned(table(pictures, "cpu"), wanted)
    assert sum(turn.wanted.height * turn.wanted.width for turn in wanted) > 2000
    for one, other in zip(at_once, in_steps, strict=True):
        assert torch.equal(one, other)


def test_turning_by_nothing_gives_the_part_itself() -> None:
    [image] = noise(1, 3)
    part = Rectangle(-3, 2, 20, 30)
    [found] = turned(table([image], "cpu"), [Turn(0, part, UNTURNED, Rectangle(0, 0, *part[2:]))])
    np.testing.assert_array_equal(found.numpy(), cut(image, 2, -3, 30, 20))


def test_nothing_wanted_is_an_empty_crop() -> None:
    pictures = noise(2, 4)
    none = Turn(0, Rectangle(0, 0, 5, 5), UNTURNED, Rectangle(2, 2, 0, 3))
    some = Turn(1, Rectangle(0, 0, 5, 5), UNTURNED, Rectangle(1, 1, 2, 3))
    assert [tuple(crop.shape) for crop in turned(table(pictures, "cpu"), [none])] == [(0, 3, 3)]
    both = turned(table(pictures, "cpu"), [none, some])
    assert [tuple(crop.shape) for crop in both] == [(0, 3, 3), (2, 3, 3)]
    assert turned(table(pictures, "cpu"), []) == []


@pytest.mark.parametrize("seed", range(3))
def test_kernels_of_our_own_give_the_same(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    kernels = interpreted("deepface.images.kernels", monkeypatch)
    pictures = noise(3, seed, 40)
    pixels, sources, targets = table(pictures, "cpu"), parts(pictures, seed), places(3, seed)
    wanted = turns(pictures, seed)
    found: list[Any] = []
    for module in (kernels, operators):
        monkeypatch.setattr(resample, "way", lambda device, module=module: module)
        found.append(
            [
                *(resized(pixels, sources, targets, SIZE, fill) for fill in (0, 114)),
                resized_real(pixels, sources, targets, SIZE),
                *turned(pixels, wanted),
            ]
        )
    for ours, expected in zip(*found, strict=True):
        assert ours.dtype == expected.dtype
        assert torch.equal(ours, expected)


def test_more_pictures_than_a_table_holds_go_in_halves() -> None:
    """90 of 12 megapixels: as where memory is out, and each as if it were alone."""
    shapes = [(3000, 4000, 3), (4000, 3000, 3)] * 45
    counts: list[int] = []

    def tables(some: Sequence[tuple[int, ...]]) -> list[Any]:
        whole = [Rectangle(0, 0, *shape[:2]) for shape in some]
        made = resizing(some, whole, [Rectangle(0, 0, 8, 8)] * len(some), (8, 8))
        counts.append(len(some))
        return list(made[0])

    found = halving(tables, shapes)
    assert counts == [22, 23, 22, 23]
    np.testing.assert_array_equal(found, [*tables(shapes[:2])] * 45)
