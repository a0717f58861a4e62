"""A plan is a value that can be read; a run of it keeps nothing and raises nothing of one item."""

from __future__ import annotations

import ast
import gc
import weakref
from collections.abc import Iterator
from dataclasses import FrozenInstanceError, replace
from pathlib import Path
from typing import Any

import pytest

import deepface
from deepface.detection.detector import Detector
from deepface.detection.registry import DETECTORS
from deepface.errors import DeepFaceError, UnimplementedError
from deepface.images.batch import open_batch
from deepface.images.decode import Encoded
from deepface.pipeline import FacePipeline
from deepface.pipeline.plan import Plan
from deepface.pipeline.walk import checked, one_by_one, walk
from deepface.types import Image
from tests.images.pictures import encoded, picture
from tests.stand_ins import ColorModel, cached


@pytest.fixture(autouse=True)
def models() -> Iterator[None]:
    with (
        cached("facial_recognition", "colors", ColorModel()),
        cached("face_detector", "stumbling", Stumbling()),
    ):
        yield


class Stumbling(Detector):
    """Finds nothing, and fails for black pictures."""

    name = "stumbling"

    def _detect_one(self, canvas: Any) -> Any:
        if not canvas.image.any():
            raise RuntimeError("black")
        return []


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"detector_backend": "skip", "batch_size": 5}, "whole pictures; 5 pictures per batch"),
        ({"batch_size": 5, "workers": 3}, "find (opencv); 5 pictures per batch, 3 threads"),
        ({"model_name": "colors"}, "find (opencv) -> embed (colors) on cpu; "),
    ],
)
def test_a_plan_can_be_read(settings: dict[str, Any], words: str) -> None:
    plan = FacePipeline(**settings, device="cpu").plan()
    assert str(plan).startswith(words)
    assert "one batch ahead" not in str(plan)
    ahead = replace(plan, loads_ahead=True, finds_ahead=True)
    assert str(ahead).endswith(", loading and finding one batch ahead")
    with pytest.raises(FrozenInstanceError):
        plan.batch_size = 7  # type: ignore[misc]


def test_models_are_built_with_the_plan() -> None:
    """What no picture can do without is missed before the first one is touched."""
    touched: list[int] = []

    def source() -> Iterator[Image]:
        touched.append(1)
        yield picture()

    pipeline = FacePipeline("opencv", device="cpu", min_face_size=20)
    with pytest.raises(UnimplementedError, match="opencv has no option 'min_face_size'"):
        next(pipeline.stream(source(), on_error="yield"))
    assert touched == []
    assert pipeline([]) == []  # nothing needs no model


def test_a_run_raises_no_item_s_error() -> None:
    images: list[Any] = [picture(), b"garbage", picture() * 0, picture()]
    lists = walk(open_batch(images), Plan.of(FacePipeline("stumbling", batch_size=2)))
    seen = list(one_by_one(lists))
    assert [item.index for item in seen] == [0, 1, 2, 3]
    names = ["numpy array", "encoded bytes", "numpy array", "numpy array"]
    for item, name in zip(seen, names, strict=True):
        assert str(item.error).startswith(f"item {item.index} ({name}): ")
    with pytest.raises(DeepFaceError, match=r"^item 2 .*: black$"):
        checked(seen[2])


def test_what_came_before_an_error_is_given_before_it_is_raised() -> None:
    images = [picture(), picture(), b"garbage", picture()]
    stream = FacePipeline("skip", batch_size=4).stream(images)
    assert [next(stream).index, next(stream).index] == [0, 1]
    with pytest.raises(DeepFaceError, match=r"^item 2 \(encoded bytes\)"):
        next(stream)


@pytest.mark.parametrize("detector", ["skip", "stumbling"])
@pytest.mark.parametrize("black", [False, True])
def test_nobody_keeps_pictures(detector: str, black: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not the steps, not the stream, and not the errors either, whoever keeps those."""
    alive: list[weakref.ref[Any]] = []
    decode = Encoded.decode

    def noted(self: Any) -> Image:
        image: Image = decode(self)
        alive.append(weakref.ref(image))
        return image

    monkeypatch.setattr(Encoded, "decode", noted)
    data = encoded(picture(40, 40) * (not black))
    kept = []
    pipeline = FacePipeline(detector, batch_size=3, enforce_detection="empty")
    for item in pipeline.stream([data] * 12, on_error="yield"):
        kept.append((item.error, item.index))
        if detector == "stumbling":
            assert (item.error is not None) is black
        del item
        gc.collect()
        assert sum(ref() is not None for ref in alive) <= 2 * 3
    gc.collect()
    assert len(kept) == len(alive) == 12
    assert not any(ref() is not None for ref in alive)


@pytest.mark.parametrize("batch_size", [1, 4])
def test_errors_of_loading_keep_no_bytes(batch_size: int) -> None:
    broken = [encoded(picture(30, 30 + n))[:200] for n in range(6)]
    found = list(FacePipeline("skip", batch_size=batch_size).stream(iter(broken), "yield"))
    errors = [item.error for item in found]
    assert all(errors)
    del found, broken
    gc.collect()
    assert not [held for held in gc.get_objects() if type(held) is Encoded]


def test_no_room_knows_a_detector_by_its_name() -> None:
    """What is known of a detector is asked of it."""
    package = Path(deepface.__file__).parent
    names = {*DETECTORS.entries, *DETECTORS.aliases}
    for room in ("images", "cropping", "pipeline", "search", "matching", "spoofing", "runtime"):
        for file in (package / room).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Compare):
                    texts = {n.value for n in ast.walk(node) if isinstance(n, ast.Constant)}
                    assert not texts & names, f"{file}:{node.lineno}"
