"""The pipeline object: results of the public functions, and the stream."""

from __future__ import annotations

import gc
import os
import pickle
import signal
import subprocess
import sys
import textwrap
import threading
import time
import weakref
from collections.abc import Iterator
from dataclasses import fields, replace
from inspect import signature
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from deepface import DeepFace
from deepface.detection.canvas import Canvas
from deepface.detection.detector import Detector
from deepface.errors import (
    DataTypeError,
    DeepFaceError,
    FaceNotDetected,
    FaceOutsideImage,
    ImgNotFound,
    UnimplementedError,
    WeightsError,
)
from deepface.images.batch import Batch
from deepface.images.decode import Encoded
from deepface.pipeline import FacePipeline
from deepface.pipeline.plan import Plan
from deepface.runtime.execution import batching
from deepface.types import FacialAreaRegion, Image
from tests.data import package_pictures, weight
from tests.images.pictures import picture
from tests.stand_ins import ColorModel, cached
from tests.test_batch_laws import faceless, pictures


class Corners(Detector):
    """One face per 100 pixels of width, at the top; nothing in pictures below that."""

    name = "corners"
    landmarks = 2

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[int] = []

    def _detect_batch(self, canvases: Any) -> list[list[FacialAreaRegion]]:
        self.batches.append(len(canvases))
        return [_faces(canvas) for canvas in canvases]


def _faces(canvas: Canvas) -> list[FacialAreaRegion]:
    image = canvas.image
    if image.shape[:2] == (13, 13):
        raise RuntimeError("thirteen")
    left, top = canvas.left, canvas.top
    return [
        FacialAreaRegion(x + 10, top + 5, 40, 40, (x + 40, top + 20), (x + 20, top + 20), 0.9)
        for x in range(left, left + image.shape[1] // 100 * 100, 100)
    ]


@pytest.fixture
def corners() -> Iterator[Corners]:
    detector = Corners()
    with cached("face_detector", "corners", detector):
        yield detector


@pytest.fixture
def colors() -> Iterator[ColorModel]:
    model = ColorModel()
    with cached("facial_recognition", "colors", model):
        yield model


def images_of(widths: list[int]) -> list[Image]:
    return [picture(60, width, seed) for seed, width in enumerate(widths)]


def assert_same(found: Any, expected: Any) -> None:
    """Equal through and through, arrays included."""
    if isinstance(expected, np.ndarray):
        np.testing.assert_array_equal(found, expected)
    elif isinstance(expected, dict):
        assert found.keys() == expected.keys()
        for key in expected:
            assert_same(found[key], expected[key])
    elif isinstance(expected, list):
        assert len(found) == len(expected)
        for a, b in zip(found, expected, strict=True):
            assert_same(a, b)
    else:
        assert found == expected


def test_called_it_gives_what_the_public_functions_give(colors: ColorModel) -> None:
    some = pictures()
    arguments: dict[str, Any] = {"enforce_detection": False}
    assert_same(FacePipeline(**arguments)(some), DeepFace.extract_faces(some, **arguments))
    assert_same(FacePipeline(**arguments)(some[0]), DeepFace.extract_faces(some[0], **arguments))
    assert_same(
        FacePipeline(model_name="colors", **arguments)(some),
        DeepFace.represent(some, "colors", **arguments),
    )


def test_its_defaults_are_those_of_the_function() -> None:
    function = signature(DeepFace.extract_faces).parameters
    found = {field.name: field.default for field in fields(FacePipeline)}
    shared = found.keys() & function.keys()
    assert len(shared) > 10
    for name in shared:
        assert found[name] == function[name].default, name


def test_model_and_actions_at_once(corners: Corners, colors: ColorModel) -> None:
    class Shade:
        def describe(self, faces: Any) -> list[dict[str, Any]]:
            return [{"shade": round(float(face.mean()), 6)} for face in faces]

    some = images_of([230, 50, 120])
    pipeline = FacePipeline("corners", "colors", "age", enforce_detection="empty")
    with cached("facial_attribute", "Age", Shade()):
        both = pipeline(some)
        only = FacePipeline("corners", actions=["age"], enforce_detection="empty")(some)
    assert [len(faces) for faces in both] == [2, 0, 1]
    vectors = FacePipeline("corners", "colors", enforce_detection="empty")(some)
    for faces, embedded, described in zip(both, vectors, only, strict=True):
        for face, vector, attributes in zip(faces, embedded, described, strict=True):
            assert face == {**vector, "shade": attributes["shade"]}


def test_it_is_pickled_and_cheap(colors: ColorModel) -> None:
    pipeline = FacePipeline("yolov11m", "VGG-Face", ["age", "race"], batch_size=7)
    assert pickle.loads(pickle.dumps(pipeline)) == pipeline
    start = time.process_time()
    for _ in range(100):
        FacePipeline("yolov11m", "VGG-Face", ["age"])
    assert time.process_time() - start < 1


@pytest.mark.parametrize(
    ("arguments", "error", "fragment"),
    [
        ({"detector_backend": "nobody"}, UnimplementedError, "Known names: opencv"),
        ({"model_name": "nobody"}, UnimplementedError, "Known names: VGG-Face"),
        ({"actions": ["walk"]}, UnimplementedError, "Invalid action passed ('walk')"),
        ({"actions": []}, ValueError, "`actions` must be a list of strings"),
        ({"enforce_detection": "maybe"}, UnimplementedError, "use True, False or 'empty'"),
        ({"color_face": "pink"}, UnimplementedError, "use one of rgb, bgr, gray"),
        ({"normalization": "odd"}, ValueError, "unimplemented normalization type - odd"),
        ({"batch_size": 0}, ValueError, "batch_size must be at least 1"),
        ({"workers": 0}, ValueError, "workers must be at least 1"),
        ({"device": "tpu"}, UnimplementedError, "use 'cpu', 'cuda', 'cuda:N' or 'mps'"),
        ({"precision": "fp8"}, UnimplementedError, "use one of ['bf16', 'fp16', 'fp32', 'tf32']"),
        ({"border": 9}, ValueError, "border is a fraction"),
        ({"align": "sideways"}, UnimplementedError, "use True, False or 'landmarks'"),
        ({"align": "landmarks"}, UnimplementedError, "for represent, verify and find"),
    ],
)
def test_wrong_options_are_told_at_once(
    arguments: dict[str, Any], error: type[Exception], fragment: str
) -> None:
    with pytest.raises(error) as raised:
        FacePipeline(**arguments)
    assert fragment in str(raised.value)


def test_stream_gives_items_in_input_order(
    corners: Corners, colors: ColorModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    for seconds in ("patience", "reading"):  # a busy machine takes longer than a batch waits
        monkeypatch.setattr(Batch, seconds, 60.0)
    some = images_of([120, 230, 50, 310, 120, 120, 230])
    pipeline = FacePipeline("corners", "colors", enforce_detection="empty", batch_size=3)
    items = list(pipeline.stream(iter(some)))
    assert [item.index for item in items] == list(range(7))
    assert [item.faces for item in items] == pipeline(some)
    assert [len(item.faces) for item in items] == [1, 2, 0, 3, 1, 1, 2]
    assert all(item.error is None and item.image is None for item in items)
    *streamed, first, second, third = corners.batches
    assert sum(streamed) == 7 and max(streamed) <= 3  # what is there goes on
    assert [first, second, third] == [3, 3, 1]


def test_stream_returns_images_when_asked(corners: Corners) -> None:
    some = images_of([120, 230])
    for item, image in zip(
        FacePipeline("corners").stream(some, return_image=True), some, strict=True
    ):
        np.testing.assert_array_equal(item.image, image)


def test_errors_take_the_place_of_their_pictures(
    corners: Corners, colors: ColorModel, tmp_path: Path
) -> None:
    good, garbage = tmp_path / "good.png", tmp_path / "garbage.jpg"
    cv2.imwrite(str(good), picture(60, 120))
    garbage.write_bytes(b"garbage")
    sources: list[Any] = [good, garbage, "no/such.jpg", 3, good, picture(60, 50), None, good]
    pipeline = FacePipeline("corners", "colors", batch_size=3)
    items = list(pipeline.stream(sources, on_error="yield"))
    assert [item.index for item in items] == list(range(8))
    assert [len(item.faces) for item in items] == [1, 0, 0, 0, 1, 0, 0, 1]
    assert isinstance(items[1].error, DeepFaceError)
    assert isinstance(items[2].error, ImgNotFound)
    assert isinstance(items[5].error, FaceNotDetected)
    assert str(items[2].error).startswith("item 2 (no/such.jpg): ")
    assert items[2].source == "no/such.jpg"
    assert items[0].faces == items[4].faces == items[7].faces


def test_a_picture_that_breaks_its_batch_is_found_out(corners: Corners, colors: ColorModel) -> None:
    some = [*images_of([120, 230]), picture(13, 13), *images_of([310])]
    pipeline = FacePipeline("corners", "colors", enforce_detection="empty", align=False)
    items = list(pipeline.stream(some, on_error="yield"))
    assert [len(item.faces) for item in items] == [1, 2, 0, 3]
    assert str(items[2].error) == "item 2 (numpy array): thirteen"
    with pytest.raises(DeepFaceError, match=r"^item 2 \(numpy array\): thirteen$") as caught:
        list(pipeline.stream(some))
    assert type(caught.value.__cause__) is RuntimeError


def test_raise_stops_at_the_first_error_in_input_order(corners: Corners) -> None:
    some: list[Any] = [*images_of([120, 50]), "no/such.jpg"]
    with pytest.raises(FaceNotDetected, match=r"^item 1 \(numpy array\)"):
        list(FacePipeline("corners").stream(some))
    with pytest.raises(ImgNotFound, match=r"^item 2 \(no/such.jpg\)"):
        list(FacePipeline("corners", enforce_detection=False).stream(some))


def test_what_no_picture_can_do_without_is_raised_first(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DEEPFACE_HOME", str(tmp_path))
    monkeypatch.setenv("DEEPFACE_OFFLINE", "1")
    for pipeline in (FacePipeline("skip", "OpenFace"), FacePipeline("centerface")):
        with pytest.raises(WeightsError):
            next(pipeline.stream(["no/such.jpg"], on_error="yield"))


def test_wrong_arguments_of_stream_are_told_at_once() -> None:
    with pytest.raises(UnimplementedError, match="use one of raise, yield"):
        FacePipeline().stream([], on_error="ignore")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="every must be at least 1"):
        FacePipeline().stream([], every=0)


def test_an_error_of_the_callers_iterator_is_the_callers(corners: Corners) -> None:
    def sources() -> Iterator[Image]:
        yield from images_of([120, 120])
        raise KeyError("the caller's own")

    seen = []
    with pytest.raises(KeyError, match="the caller's own"):
        for item in FacePipeline("corners", batch_size=1).stream(sources(), on_error="yield"):
            seen.append(item.index)
    assert seen == [0, 1]


def test_an_endless_source_is_streamed_and_pictures_are_dropped(corners: Corners) -> None:
    alive: list[weakref.ref[Any]] = []

    def sources() -> Iterator[Image]:
        while True:
            image = picture(60, 120)
            alive.append(weakref.ref(image))
            yield image

    most = 0
    for item in FacePipeline("corners", batch_size=4).stream(sources()):
        gc.collect()
        most = max(most, sum(ref() is not None for ref in alive))
        if item.index == 60:
            break
    assert most <= 3 * 4 + 2
    assert len(alive) <= 60 + 3 * 4


@pytest.mark.parametrize("max_faces", [1, 2, 5, None])
@pytest.mark.parametrize("model", [None, "colors"])
def test_no_more_faces_than_asked_for(
    corners: Corners, max_faces: int | None, model: str | None
) -> None:
    """Of each picture of its own."""
    images = [picture(60, width) for width in (330, 120, 250)]
    with cached("facial_recognition", "colors", ColorModel()):
        every = FacePipeline("corners", model)(images)
        found = FacePipeline("corners", model, max_faces=max_faces)(images)
    assert [len(faces) for faces in every] == [3, 1, 2]
    assert [len(faces) for faces in found] == [min(max_faces or 9, n) for n in (3, 1, 2)]


class Boxes(Detector):
    """Finds one face, in the box that it was made with."""

    def __init__(self, x: int, y: int, w: int, h: int) -> None:
        super().__init__()
        self.box = FacialAreaRegion(x, y, w, h, confidence=0.9)

    def _detect_one(self, canvas: Canvas) -> list[FacialAreaRegion]:
        return [self.box]


@pytest.mark.parametrize("box", [(5, 5, 0, 9), (5, 5, 9, 0), (90, 5, 9, 9), (5, 90, 9, 9)])
def test_a_face_without_an_area_inside_the_picture(box: tuple[int, int, int, int]) -> None:
    with cached("face_detector", "boxes", Boxes(*box)):
        with pytest.raises(FaceOutsideImage, match=r"no face of .* has an area"):
            DeepFace.extract_faces(picture(40, 40), "boxes", align=False)
        faces = FacePipeline("boxes", align=False, enforce_detection="empty")(picture(40, 40))
    assert faces == []


class TwoStages(FacePipeline):
    """What runs on a GPU: detection in a thread, one batch ahead of the embedding."""

    def plan(self, single: bool = False) -> Plan:
        return replace(super().plan(single), finds_ahead=True)


def test_two_stages_give_the_same(corners: Corners, colors: ColorModel) -> None:
    some: list[Any] = [*images_of([120, 230, 50, 310, 120]), "no/such.jpg"]
    settings: dict[str, Any] = {"enforce_detection": "empty", "batch_size": 2}
    expected = list(FacePipeline("corners", "colors", **settings).stream(some, on_error="yield"))
    pipeline = TwoStages("corners", "colors", **settings)
    threads: set[str] = set()
    found = []
    for item in pipeline.stream(some, on_error="yield"):
        threads.update(thread.name for thread in threading.enumerate())
        found.append(item)
    assert [item.faces for item in found] == [item.faces for item in expected]
    assert [str(item.error) for item in found] == [str(item.error) for item in expected]
    assert "deepface-ahead" in threads
    with pytest.raises(ImgNotFound):
        list(pipeline.stream(some))
    assert not any(t.name == "deepface-ahead" for t in threading.enumerate())


@pytest.mark.gpu
def test_a_gpu_has_two_stages(corners: Corners, colors: ColorModel) -> None:
    assert FacePipeline("corners", "colors").plan().finds_ahead
    assert not FacePipeline("corners").plan().finds_ahead
    assert not FacePipeline("corners", "colors", device="cpu").plan().finds_ahead


def test_automatic_batch_size_follows_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    class Cuda:
        type = "cuda"

    assert batching.automatic_batch_size("cpu") == 32
    monkeypatch.setattr(batching, "resolve_device", lambda name: Cuda())
    for free, size in ((1e9, 32), (16e9, 62), (80e9, 256)):
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda d, free=free: (int(free), 0))
        assert batching.automatic_batch_size("cuda") == size


def test_batch_size_and_workers_change_nothing(colors: ColorModel) -> None:
    paths = package_pictures() * 2
    fixed: dict[str, Any] = {"model_name": "colors", "enforce_detection": False}
    expected = FacePipeline(batch_size=1, **fixed)(paths)
    others: list[dict[str, Any]] = [{"batch_size": 4}, {"workers": 1}, {"workers": 5}]
    for arguments in others:
        assert FacePipeline(**fixed, **arguments)(paths) == expected


def test_decoding_overlaps_with_the_caller(corners: Corners, tmp_path: Path) -> None:
    """While one batch is worked on, the next is decoded."""
    paths = []
    for n in range(8):
        paths.append(tmp_path / f"{n}.png")
        cv2.imwrite(str(paths[-1]), picture(60, 120, n))
    decoded = []
    original = Encoded.decode

    def noticed(self: Any) -> Any:
        decoded.append(1)
        return original(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Encoded, "decode", noticed)
        stream = FacePipeline("corners", batch_size=2).stream(paths)
        next(stream)
        deadline = time.monotonic() + 10
        while len(decoded) < 4 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert len(decoded) == 4
        stream.close()  # type: ignore[attr-defined]


@pytest.mark.skipif(sys.platform == "win32", reason="signals differ")
def test_ctrl_c_ends_a_stream_cleanly() -> None:
    path = package_pictures()[0]
    code = f"""
        from deepface.pipeline import FacePipeline

        pipeline = FacePipeline(batch_size=2)
        try:
            for item in pipeline.stream((p for p in iter(lambda: {str(path)!r}, None))):
                print(item.index, flush=True)
        except KeyboardInterrupt:
            print("interrupted", flush=True)
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    for _ in range(3):
        process.stdout.readline()
    os.kill(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (0, "")
    assert out.endswith("interrupted\n")


@pytest.mark.parametrize("detector", ["skip", "opencv", "yunet"])
def test_torch_is_not_imported_where_nothing_needs_it(detector: str) -> None:
    if detector == "yunet":
        weight("face_detection_yunet_2023mar.onnx")
    code = f"""
        import sys
        from deepface import DeepFace

        DeepFace.extract_faces({str(package_pictures()[0])!r}, {detector!r})
        print("torch" in sys.modules)
    """
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=60
    )
    assert result.stdout.splitlines()[-1:] == ["False"], result.stderr


def test_faceless_pictures_three_ways() -> None:
    image = faceless()
    with pytest.raises(FaceNotDetected):
        DeepFace.extract_faces(image)
    [whole] = DeepFace.extract_faces(image, enforce_detection=False)
    assert whole["facial_area"]["w"] == 255
    assert DeepFace.extract_faces(image, enforce_detection="empty") == []
    assert DeepFace.extract_faces([image], enforce_detection="empty") == [[]]


def test_a_program_without_a_console_has_no_progress_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no stderr (a frozen window, ``pythonw``), lists are processed all the same."""
    monkeypatch.setattr("sys.stderr", None)
    monkeypatch.setattr("sys.stdout", None)
    pictures = [np.zeros((9, 9, 3), np.uint8)] * 3
    assert len(FacePipeline("skip", progress=True)(pictures)) == 3
    with pytest.raises(DataTypeError, match="item 1"):
        FacePipeline("skip", progress=True)([pictures[0], None])


def test_a_bar_that_is_off_starts_no_thread() -> None:
    """Tqdm would start one that looks after its bars."""
    script = (
        "import threading, numpy as np; from deepface.pipeline import FacePipeline\n"
        "FacePipeline('skip')([np.zeros((9, 9, 3), np.uint8)] * 3)\n"
        "print([type(thread).__name__ for thread in threading.enumerate()])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert "MainThread" in done.stdout and "TMonitor" not in done.stdout


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("given", ["embed", "forward"])
def test_vectors_that_are_not_finite_are_their_pictures_error(given: str, number: float) -> None:
    def bright(batch: Any) -> Any:
        vectors = ColorModel().embed(np.atleast_1d(batch).reshape(-1, 32, 32, 3))
        vectors[vectors.min(axis=1) > 0.9, 3] = number
        return vectors if given == "embed" or len(vectors) > 1 else vectors[0].tolist()

    model = SimpleNamespace(input_shape=(32, 32), output_shape=12, **{given: bright})
    grey, white = (np.full((40, 40, 3), level, np.uint8) for level in (90, 255))
    options: Any = {"detector_backend": "skip", "l2_normalize": True}
    with cached("facial_recognition", "colors", model):
        pipeline = FacePipeline(model_name="colors", **options)
        good, bad, last = pipeline.stream([grey, white, grey], on_error="yield")
        assert good.error is None is last.error and good.faces == last.faces
        assert "item 1" in str(bad.error) and "not finite" in str(bad.error)
        with pytest.raises(DeepFaceError, match=r"^colors makes of .* numbers that are not finite"):
            DeepFace.represent(white, "colors", **options)
