"""The laws of batching, as checks that any function over pictures can be put to.

``f`` takes one picture, a list of pictures or a 4-D array. ``same(a, b)`` raises AssertionError
when two results for one picture differ.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from deepface.types import LANDMARKS, FacialAreaRegion, Image

Function = Callable[..., Any]
Same = Callable[[Any, Any], None]


class Once:
    """A function that is asked once for the same of some pictures.

    Whether it gives the same when it is asked again is told by ``test_no_state.py``.
    """

    def __init__(self, function: Function, pictures: Sequence[Image]) -> None:
        self.function, self.pictures = function, pictures
        self.known: dict[tuple[int | None, ...], Any] = {}

    def __call__(self, img: Any) -> Any:
        key = tuple(map(id, img)) if isinstance(img, list) else (id(img), None)
        if not {*map(id, self.pictures), None}.issuperset(key):
            return self.function(img)
        if key not in self.known:
            self.known[key] = self.function(img)
        return self.known[key]


def same_lists(results: Sequence[Any], expected: Sequence[Any], same: Same) -> None:
    """One result per picture, each the same as expected."""
    assert len(results) == len(expected)
    for result, wanted in zip(results, expected, strict=True):
        same(result, wanted)


def single_equals_any_batch(f: Function, pictures: Sequence[Image], same: Same) -> None:
    """``f(x)`` equals ``f([x])[0]`` and its place in a longer list or a 4-D array."""
    singles = [f(picture) for picture in pictures]
    for picture, single in zip(pictures, singles, strict=True):
        same_lists(f([picture]), [single], same)
    same_lists(f(list(pictures)), singles, same)
    for shape in {picture.shape for picture in pictures}:
        positions = [i for i, picture in enumerate(pictures) if picture.shape == shape]
        stacked = np.stack([pictures[i] for i in positions])
        same_lists(f(stacked), [singles[i] for i in positions], same)


def permutation_permutes(f: Function, pictures: Sequence[Image], same: Same) -> None:
    """Shuffling the list shuffles the results."""
    results = f(list(pictures))
    order = np.random.default_rng(3).permutation(len(pictures))
    shuffled = f([pictures[i] for i in order])
    same_lists(shuffled, [results[i] for i in order], same)


def duplicates_are_equal(f: Function, pictures: Sequence[Image], same: Same) -> None:
    """The same picture gives the same result wherever it stands."""
    first, second = pictures[0], pictures[1]
    results = f([first, second, first, first, second])
    same_lists(results, [results[0], results[1], results[0], results[0], results[1]], same)


def empty_gives_nothing(f: Function) -> None:
    """No pictures, no results."""
    assert f([]) == []
    assert f(np.zeros((0, 32, 32, 3), np.uint8)) == []


def threads_agree(f: Function, pictures: Sequence[Image], same: Same) -> None:
    """Two threads at once get what one gets."""
    assert not isinstance(f, Once)
    expected = f(list(pictures))
    with ThreadPoolExecutor(2) as pool:
        calls = [pool.submit(f, list(pictures)) for _ in range(4)]
        for call in calls:
            same_lists(call.result(), expected, same)


def same_regions(found: list[FacialAreaRegion], expected: list[FacialAreaRegion]) -> None:
    """Equal boxes and landmarks, confidence within 1e-6: what law 1 asks for on a CPU."""
    assert len(found) == len(expected), f"{len(found)} faces, not {len(expected)}"
    for face, wanted in zip(found, expected, strict=True):
        assert (face.x, face.y, face.w, face.h) == (wanted.x, wanted.y, wanted.w, wanted.h)
        for name in LANDMARKS:
            assert getattr(face, name) == getattr(wanted, name), name
        assert abs((face.confidence or 0) - (wanted.confidence or 0)) <= 1e-6


def same_faces(found: list[dict[str, Any]], expected: list[dict[str, Any]]) -> None:
    """Equal areas, confidences and pixels of what ``extract_faces`` gives."""
    assert [face["facial_area"] for face in found] == [face["facial_area"] for face in expected]
    assert [face["confidence"] for face in found] == [face["confidence"] for face in expected]
    for face, wanted in zip(found, expected, strict=True):
        np.testing.assert_array_equal(face["face"], wanted["face"])
