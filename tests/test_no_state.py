"""Nothing survives from one call to the next: shapes, batch sizes and threads take turns.

A network that remembers the shape it saw last, a buffer that keeps what was in it, an object that
two threads share: each makes an answer depend on what was asked before. So two fresh models are
asked for the pictures one by one, in opposite orders: the first picture of one is the last of the
other. Then one of them is asked for lists, and by threads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from deepface.detection.registry import DETECTORS
from deepface.errors import MissingPackageError, WeightsError
from deepface.recognition.registry import RECOGNIZERS
from deepface.types import Image
from tests import laws
from tests.data import package_pictures, read
from tests.test_represent_laws import _write

#: Of detectors of one code with different weights, one.
ALIKE = {name for name in DETECTORS.entries if name.startswith("yolo")} - {"yolov8n", "yolov11n"}
#: Models that are quick; with Dlib's, real weights.
QUICK = ("Dlib", "GhostFaceNet", "OpenFace", "SFace")
#: ``(height, width)``, in turns square, wide, high, tiny, and the first again.
SIZES = [(240, 240), (150, 260), (260, 150), (9, 30), (240, 240), (1, 1), (200, 244)]


def pictures() -> list[Image]:
    """A face in all but the tiny ones; the two of one size differ."""
    portrait = read(package_pictures()[0])[:300, 80:380]
    found = []
    for number, (height, width) in enumerate(SIZES):
        image = portrait[:, ::-1] if number % 2 else portrait
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
        found.append(np.ascontiguousarray(image))
    return found


def orders(count: int) -> Iterator[list[int]]:
    """One by one, then lists of 1, 2, 3 and all, each in another order."""
    yield from ([i] for i in range(count))
    random = np.random.default_rng(0)
    for size in (2, 1, 3, count, 2):
        yield random.permutation(count)[:size].tolist()


def assert_stateless(
    fresh: Callable[[], Callable[[list[Image]], Sequence[Any]]],
    same: Callable[[Any, Any], None],
    images: Sequence[Image],
) -> None:
    f, other = fresh(), fresh()
    expected = [other([image])[0] for image in reversed(images)][::-1]

    def ask(order: list[int]) -> None:
        results = f([images[i] for i in order])
        for result, i in zip(results, order, strict=True):
            same(result, expected[i])

    for order in orders(len(images)):
        ask(order)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(ask, [*orders(len(images))][-4:]))


@pytest.mark.parametrize("name", sorted(set(DETECTORS.entries) - ALIKE))
def test_detectors(name: str) -> None:
    build = DETECTORS.entry(name).load
    arguments = DETECTORS.entry(name).arguments
    try:
        build()("cpu", **arguments)
    except (WeightsError, MissingPackageError) as error:
        pytest.skip(f"{name}: {error}")
    images = pictures()
    assert_stateless(lambda: build()("cpu", **arguments).detect_faces, laws.same_regions, images)


def close(found: Any, expected: Any) -> None:
    assert np.abs(np.subtract(found, expected)).max() <= 1e-5 * np.linalg.norm(expected)


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=[pytest.mark.heavy] * (n not in QUICK)) for n in RECOGNIZERS.entries],
)
def test_recognition_models(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Faces have one size; batches, threads and contents take turns.

    Real weights where a package has them (Dlib), else of the published layout.
    """
    folder = tmp_path / ".deepface" / "weights"
    folder.mkdir(parents=True)
    monkeypatch.setenv("DEEPFACE_HOME", str(tmp_path))
    monkeypatch.setenv("DEEPFACE_ALLOW_UNKNOWN_WEIGHTS", "1")
    _write(name, folder)
    entry = RECOGNIZERS.entry(name)

    def fresh() -> Callable[[list[Image]], Sequence[Any]]:
        model: Any = entry.load()(device="cpu", **entry.arguments)
        size = model.input_shape  # width and height
        return lambda images: model.embed(  # type: ignore[no-any-return]
            np.stack([cv2.resize(image, size) for image in images]).astype(np.float32) / 255
        )

    try:
        fresh()
    except (WeightsError, MissingPackageError) as error:
        pytest.skip(f"{name}: {error}")
    assert_stateless(fresh, close, pictures()[:4])
