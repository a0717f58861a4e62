"""Whatever an option is given: it is taken for what it means, or refused by name by our errors."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from deepface import DeepFace
from deepface.arguments import number, one_of, pair, truth, whole
from deepface.errors import DeepFaceError, InvalidArgument, UnimplementedError
from deepface.live import StreamAnalysis
from deepface.modeling import TASKS, cached_models, get_model_class
from deepface.pipeline import FacePipeline
from deepface.recognition.model import FacialRecognition
from deepface.runtime.execution.device import device_names
from deepface.search.query import Query

PICTURE = np.full((20, 30, 3), 90, np.uint8)


class Untrue:
    """What has no truth value and no name."""

    def __bool__(self) -> bool:
        raise RuntimeError("neither true nor false")

    def __repr__(self) -> str:
        raise RuntimeError("no text")


def odd_values() -> list[Any]:
    return [
        *(None, True, False, 0, 1, -1, 2, 1.5, 10**400, 1e300, float("nan"), float("inf"), 1j),
        *("", "x", "10", "False", "\ud800", "a\nb\x1b[31m", b"x", b"\xff", bytearray(b"x")),
        *(np.float32(1), np.float16("nan"), np.longdouble(2), np.int64(2), np.bool_(True)),
        *(np.array(1), np.array([1, 2]), np.array([]), np.str_("cosine"), np.datetime64("2020")),
        *([], [None], ["x"], [[1]], (), {}, {"a": 1}, set(), {"x"}, iter([]), range(3)),
        *(object(), Untrue(), lambda *a: 1, int, Path("x"), slice(1), ..., NotImplemented),
        *(Fraction(1, 3), torch.device("cpu"), torch.float32, torch.ones(2), (x for x in "ab")),
    ]


class Brightness(FacialRecognition):
    """Stands in for a network."""

    def __init__(self) -> None:
        self.model_name, self.input_shape, self.output_shape = "Brightness", (8, 8), 2
        self.model = None

    def embed(self, batch: Any) -> Any:
        return np.stack([batch.mean((1, 2, 3)), np.ones(len(batch), np.float32)], 1)


@pytest.fixture(autouse=True)
def stub(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(
        cached_models.setdefault("facial_recognition", {}), "Brightness", Brightness()
    )


def assert_named(error: DeepFaceError) -> None:
    assert str(error) and "\n" not in str(error)


@pytest.mark.parametrize(
    ("options", "field"),
    [
        (options, field.name)
        for options in (FacePipeline, Query, StreamAnalysis)
        for field in dataclasses.fields(options)
        if field.name not in ("db_path", "distance_metric") or options is Query
    ],
)
def test_options_take_a_value_or_refuse_it_when_they_are_made(options: Any, field: str) -> None:
    for value in odd_values():
        try:
            made = options(**{field: value})
        except DeepFaceError as error:
            assert_named(error)
        else:
            assert repr(getattr(made, field))


@pytest.mark.parametrize(
    "field",
    [
        field.name
        for field in dataclasses.fields(FacePipeline)
        if field.name not in ("detector_backend", "model_name", "device", "precision")
    ],
)
def test_what_options_take_does_not_fail_later(field: str) -> None:
    for value in odd_values():
        given: Any = {"detector_backend": "skip", "model_name": "Brightness", field: value}
        if field in ("anti_spoofing", "actions", "decode"):  # need weights
            continue
        try:
            pipeline = FacePipeline(**given)
        except DeepFaceError:
            continue
        (face,) = pipeline(PICTURE)
        assert len(face["embedding"]) == 2


def calls() -> Iterator[tuple[str, Any]]:
    path = PICTURE
    skip: Any = {"detector_backend": "skip"}
    own: Any = {**skip, "model_name": "Brightness", "threshold": 1.0}
    yield "build_model", lambda value: DeepFace.build_model(value)
    yield "build_model task", lambda value: DeepFace.build_model("Dlib", value)
    yield "get_model_class", lambda value: get_model_class("face_detector", value)
    for task in TASKS:
        yield task, lambda value, task=task: TASKS[task].build(value)
    yield "grayscale", lambda value: DeepFace.extract_faces(path, grayscale=value, **skip)
    yield "represent", lambda value: DeepFace.represent(path, model_name=value, **skip)
    yield "actions", lambda value: DeepFace.analyze(path, actions=value, **skip)
    yield "analyze silent", lambda value: DeepFace.analyze(path, silent=value, actions=[], **skip)
    for option in ("threshold", "silent", "model_name"):
        yield (
            f"verify {option}",
            lambda value, option=option: DeepFace.verify(path, path, **{**own, option: value}),
        )
    yield "target_size", lambda value: DeepFace.detectFace(path, value, "skip")
    stream = FacePipeline(**skip).stream
    yield "on_error", lambda value: list(stream([path], on_error=value))
    yield "every", lambda value: list(stream([path], every=value))
    yield "return_image", lambda value: list(stream([path], return_image=value))
    yield (
        "source",
        lambda value: DeepFace.stream(
            source=[value],  # type: ignore[arg-type]
            enable_face_analysis=False,
            output_path="not/written.mp4",
        ),
    )


@pytest.mark.parametrize(("name", "call"), list(calls()), ids=lambda value: str(value)[:30])
def test_functions_give_a_result_or_an_error_of_ours(name: str, call: Any) -> None:
    for value in odd_values():
        try:
            call(value)
        except DeepFaceError as error:
            assert_named(error)


@pytest.mark.parametrize("text", ["False", "no", "", "0"])
def test_a_text_is_no_truth_value(text: str) -> None:
    for option in ("anti_spoofing", "normalize_face", "l2_normalize", "enforce_detection", "align"):
        with pytest.raises(DeepFaceError, match=option):
            FacePipeline("skip", **{option: text})  # type: ignore[arg-type]


def test_numbers_of_numpy_and_devices_of_torch_are_taken() -> None:
    given: Any = {
        "batch_size": np.int64(2), "expand_percentage": np.float32(1.5), "max_faces": np.array(3),
        "align": np.bool_(False), "device": torch.device("cpu"), "border": Fraction(1, 2),
    }  # fmt: skip
    plain: Any = {
        "batch_size": 2, "expand_percentage": 1.5, "max_faces": 3,
        "align": False, "device": "cpu", "border": 0.5,
    }  # fmt: skip
    made = FacePipeline("skip", **given)
    assert made == FacePipeline("skip", **plain)
    for name, value in plain.items():
        assert type(getattr(made, name)) is type(value)
    devices: Any = [torch.device("cpu")]
    assert FacePipeline("skip", device=devices).device == ("cpu",)


def test_pairs_may_come_from_iterators_that_refill_one_array() -> None:
    def frames() -> Iterator[Any]:
        frame = np.zeros_like(PICTURE)
        for value in (10, 200, 10):
            frame[:] = value
            yield frame

    options: Any = {"model_name": "Brightness", "detector_backend": "skip", "threshold": 0.1,
                    "distance_metric": "euclidean", "silent": True}  # fmt: skip
    pictures = [np.full_like(PICTURE, value) for value in (10, 200, 200)]
    expected = DeepFace.verify([*frames()][:0], [], **options)
    assert expected == []
    found = DeepFace.verify(frames(), iter(pictures), **options)
    assert [result["verified"] for result in found] == [True, True, False]
    with pytest.raises(DeepFaceError, match="an iterator of pictures"):
        DeepFace.verify(frames(), PICTURE, **options)


def test_devices_may_be_in_any_row() -> None:
    for devices in (["cpu", "cpu"], ("cpu", "cpu"), np.array(["cpu", "cpu"])):
        assert device_names(devices) == ("cpu", "cpu")
    for refused in ({"cpu"}, b"cpu", np.array([["cpu"]]), 3, [["cpu"]]):
        with pytest.raises(UnimplementedError, match="unknown device"):
            device_names(refused)


def test_each_kind_of_option() -> None:
    assert truth("on", 1) is truth("on", np.array(True)) is True
    assert truth("on", None) is truth("on", 0) is False
    assert whole("n", np.uint8(3)) == 3 and whole("n", 0, least=0) == 0
    assert number("x", Fraction(1, 4)) == 0.25 and number("x", 3) == 3
    assert pair("size", [np.int64(3), 4]) == pair("size", np.array([3, 4])) == (3, 4)
    assert one_of("name", "b", ("a", "b")) == "b"
    for refused in (
        lambda: truth("on", "True"), lambda: truth("on", 2), lambda: whole("n", 2.0),
        lambda: whole("n", 0), lambda: number("x", "1"), lambda: number("x", 0, above=0),
        lambda: pair("size", "44"), lambda: pair("size", (1, 2, 3)), lambda: pair("size", (0, 1)),
    ):  # fmt: skip
        with pytest.raises(InvalidArgument):
            refused()
    with pytest.raises(UnimplementedError, match="unknown name 'c'; use one of a, b"):
        one_of("name", "c", ("a", "b"))
