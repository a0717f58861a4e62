"""A failure of the machine is told apart from what is wrong with a picture, in every step."""

from __future__ import annotations

import errno
import io
import os
import resource
import stat
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import PIL.Image
import pytest

from deepface import DeepFace
from deepface.detection.canvas import Canvas
from deepface.detection.detector import Detector
from deepface.errors import (
    DeepFaceError,
    FaceNotDetected,
    ImgNotFound,
    InvalidImage,
    MachineError,
    WeightsError,
    fault_of,
    with_item,
)
from deepface.images.load import load_image
from deepface.pipeline import FacePipeline
from deepface.types import FacialAreaRegion, Liveness
from tests.images.pictures import encoded, picture
from tests.stand_ins import cached

PNG = encoded(picture())
#: What the machine's failures look like, by who finds them.
FAILURES: list[Callable[[], Exception]] = [
    MemoryError,
    lambda: MemoryError("Unable to allocate 4.00 GiB"),
    lambda: OSError(errno.EIO, os.strerror(errno.EIO)),
    lambda: OSError(errno.EMFILE, os.strerror(errno.EMFILE)),
    lambda: OSError(errno.ENFILE, os.strerror(errno.ENFILE)),
    lambda: OSError(errno.ENOMEM, os.strerror(errno.ENOMEM)),
    lambda: OSError(errno.ESTALE, os.strerror(errno.ESTALE)),
    lambda: OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)),
    lambda: cv2.error("OpenCV(4.14) alloc.cpp:73: error: (-4:Insufficient memory) Failed to alloc"),
    lambda: RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: 8 bytes"),
    lambda: RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    lambda: RuntimeError("can't start new thread"),
]


@pytest.mark.parametrize("failure", FAILURES)
def test_failures_of_the_machine_are_known(failure: Callable[[], Exception]) -> None:
    error = failure()
    named = with_item(error, 3, "face.jpg")
    assert fault_of(error) == fault_of(named) == "machine"
    assert isinstance(named, MachineError)
    assert named.__cause__ is error
    _, _, reason = str(named).partition("item 3 (face.jpg): ")
    assert reason.strip(" :")


@pytest.mark.parametrize(
    "error",
    [
        OSError("image file is truncated"),
        FileNotFoundError(errno.ENOENT, "No such file or directory"),
        PermissionError(errno.EACCES, "Permission denied"),
        ValueError("what"),
        KeyError("x"),
        AssertionError(),
    ],
)
def test_others_are_not(error: Exception) -> None:
    named = with_item(error, 3, "face.jpg")
    assert fault_of(error) == fault_of(named) == "other"
    assert type(named) is DeepFaceError
    assert not str(named).rstrip().endswith(":")


def test_classes_and_faults_survive_naming() -> None:
    for error in (FaceNotDetected("a"), InvalidImage("b"), WeightsError("c"), ImgNotFound("d")):
        named = with_item(error, 0, "x")
        assert type(named) is type(error)
        assert fault_of(named) == error.fault


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("source", ["path", "bytes", "stream", "pil"])
def test_a_picture_is_not_blamed_for_the_machine(
    failure: Callable[[], Exception],
    source: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whichever step of loading it strikes."""

    def fail(*args: Any, **options: Any) -> Any:
        raise failure()

    path = tmp_path / "x.png"
    path.write_bytes(PNG)
    opened = PIL.Image.open(io.BytesIO(PNG))
    img: Any = {"path": str(path), "bytes": PNG, "stream": None, "pil": opened}[source]
    if source == "path":
        really = os.open
        monkeypatch.setattr(
            os, "open", lambda name, *args: (fail if name == str(path) else really)(name, *args)
        )
    elif source == "bytes":
        monkeypatch.setattr(cv2, "imdecode", fail)
    elif source == "stream":
        img = _Failing(failure)
    else:
        monkeypatch.setattr(opened, "crop", fail)
    for argument in (img, [img]):
        with pytest.raises(MachineError) as caught:
            DeepFace.extract_faces(argument, detector_backend="skip")
        assert fault_of(caught.value) == "machine"


def test_no_more_files_may_be_open(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    path.write_bytes(PNG)
    load_image(str(path))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        with pytest.raises(MachineError, match="Too many open files"):
            load_image(str(path))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


class _Failing:
    """A file object whose disk fails."""

    def __init__(self, failure: Callable[[], Exception]) -> None:
        self._failure = failure

    def read(self, size: int = -1) -> bytes:
        raise self._failure()


@pytest.mark.parametrize("data", [PNG, b"GIF"], ids=["header by OpenCV's side", "by Pillow"])
def test_no_memory_for_pillow(data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: Any, **options: Any) -> Any:
        raise MemoryError

    monkeypatch.setattr(PIL.Image, "open", fail)
    monkeypatch.setattr(cv2, "imdecode", lambda *args: None)
    with pytest.raises(MachineError, match="out of memory"):
        DeepFace.extract_faces(data, detector_backend="skip")


@pytest.mark.parametrize(
    ("make", "fragment"),
    [
        (lambda path: path.mkdir(), "it is a folder"),
        (os.mkfifo, "it is a pipe"),
        (lambda path: path.symlink_to("/dev/null"), "it is a device"),
        (lambda path: None, "Confirm that"),
        (lambda path: path.symlink_to(path), "Too many levels of symbolic links"),
        (lambda path: path.symlink_to("nowhere"), "it is a link to nothing"),
    ],
)
def test_what_a_path_leads_to(make: Callable[[Path], Any], fragment: str, tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    make(path)
    with pytest.raises(ImgNotFound, match=fragment):
        load_image(str(path))


@pytest.mark.parametrize("url", ["rtsp://camera/1", "file:///x.jpg", "ftp://x/y.jpg", "s3://b/x"])
def test_addresses_that_are_none(url: str) -> None:
    with pytest.raises(ImgNotFound, match=url.partition(":")[0] + ":// is no address of a file"):
        load_image(url)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_no_permission(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    path.write_bytes(PNG)
    path.chmod(0)
    with pytest.raises(DeepFaceError, match="Permission denied"):
        load_image(str(path))
    path.chmod(stat.S_IRWXU)


class _Picky:
    """Stands for the model of any step: it fails where a black picture is in the batch."""

    input_shape = (8, 8)
    output_shape = 3
    takes_tensors = False

    def __init__(self, failure: Callable[[], Exception]) -> None:
        self.failure = failure

    def _check(self, pictures: Any) -> None:
        if any(not np.any(picture) for picture in pictures):
            raise self.failure()

    def embed(self, faces: Any) -> Any:
        self._check(faces)
        return np.ones((len(faces), 3), np.float32)

    def describe(self, faces: Any) -> list[dict[str, Any]]:
        self._check(faces)
        return [{"shade": 1} for _ in faces]

    def judge(self, faces: Any) -> list[Liveness]:
        self._check([pixels for pixels, _ in faces])
        return [Liveness(True, 1.0) for _ in faces]


class _Shades(_Picky):
    """Vectors of length 1 that tell black from white."""

    def __init__(self) -> None:
        super().__init__(AssertionError)

    def embed(self, faces: Any) -> Any:
        return np.array([[0, 1, 0] if np.any(face) else [1, 0, 0] for face in faces], np.float32)


class _PickyDetector(Detector):
    """Finds the whole picture; fails for a black one, or lets the cropping fail for it."""

    name = "picky"

    def __init__(self, failure: Callable[[], Exception], in_cropping: bool) -> None:
        super().__init__()
        self._failure = failure
        self._in_cropping = in_cropping

    def _detect_batch(self, canvases: Any) -> Any:
        return [[self._face(canvas)] for canvas in canvases]

    def _face(self, canvas: Canvas) -> Any:
        if canvas.image.any():
            return FacialAreaRegion(0, 0, 9, 9, (6, 3), (2, 3))
        if self._in_cropping:
            return FacialAreaRegion(0, 0, _Width(self._failure), 9, (6, 3), (2, 3))  # type: ignore[arg-type]
        raise self._failure()


class _Width(int):
    """A width that nobody can make a whole number of."""

    def __new__(cls, failure: Callable[[], Exception]) -> _Width:
        width = super().__new__(cls, 9)
        width.failure = failure  # type: ignore[attr-defined]
        return width

    def __int__(self) -> int:
        raise self.failure()  # type: ignore[attr-defined]


class _PickyCryptosystem:
    """A caller's, for the vectors of a represented face."""

    def __init__(self, failure: Callable[[], Exception]) -> None:
        self.failure = failure

    def encrypt(self, vector: list[float]) -> None:
        if vector[0] == 1:  # that of a black picture
            raise self.failure()


STEPS: dict[str, dict[str, Any]] = {
    "detection": {},
    "cropping": {},
    "liveness": {"anti_spoofing": True},
    "embedding": {"model_name": "picky"},
    "attributes": {"actions": "age"},
    "description": {"model_name": "shades"},
}


@pytest.fixture(params=STEPS)
def pipeline(request: pytest.FixtureRequest, failure: Any) -> Iterator[FacePipeline]:
    step: str = request.param
    picky = _Picky(failure)
    calm = _Picky(lambda: AssertionError("another step"))
    calm._check = lambda pictures: None  # type: ignore[method-assign]
    finds = ["detection", "cropping"]
    detector = "picky" if step in finds else "skip"
    with ExitStack() as stack:
        for task, name, model in [
            ("face_detector", "picky", _PickyDetector(failure, step == "cropping")),
            ("facial_recognition", "picky", picky if step == "embedding" else calm),
            ("facial_attribute", "Age", picky if step == "attributes" else calm),
            ("spoofing", "Fasnet", picky if step == "liveness" else calm),
        ]:
            stack.enter_context(cached(task, name, model))
        settings = dict(STEPS[step])
        if step == "description":
            stack.enter_context(cached("facial_recognition", "shades", _Shades()))
            settings["cryptosystem"] = _PickyCryptosystem(failure)
        yield FacePipeline(detector, border=0, **settings)


BLACK = np.zeros((10, 10, 3), np.uint8)
WHITE = np.full((10, 10, 3), 255, np.uint8)


@pytest.mark.parametrize(
    ("failure", "kind"),
    [
        (MemoryError, MachineError),
        (lambda: OSError(errno.EIO, "Input/output error"), MachineError),
        (lambda: cv2.error("OpenCV(4.14) (-215:Assertion failed) !ssize.empty()"), DeepFaceError),
        (lambda: KeyError("x"), DeepFaceError),
        (lambda: InvalidImage("really"), InvalidImage),
    ],
)
def test_every_step_names_its_item(
    pipeline: FacePipeline, failure: Callable[[], Exception], kind: type[DeepFaceError]
) -> None:
    """Law 7: one bad item costs one item, and the original is the cause of what it gets."""
    cause = type(failure())
    good = pipeline([WHITE])
    for batch_size in (1, 2, 5):
        batched = replace(pipeline, batch_size=batch_size)
        images = [WHITE, WHITE, BLACK, WHITE, BLACK]
        with pytest.raises(kind, match=r"item 2 \(numpy array\): .") as caught:
            batched(images)
        assert type(caught.value) is kind
        assert type(caught.value.__cause__) is cause
        items = list(batched.stream(images, on_error="yield"))
        assert [item.index for item in items if item.error is not None] == [2, 4]
        assert [len(item.faces) for item in items] == [len(good[0])] * 2 + [0, len(good[0]), 0]
        assert all(type(items[i].error) is kind for i in (2, 4))
    with pytest.raises(kind, match=r"numpy array|really") as caught:
        pipeline(BLACK)
    assert type(caught.value) is kind
    assert caught.value.__cause__ is None or type(caught.value.__cause__) is cause


def test_what_no_picture_is_to_blame_for_is_raised_as_it_is() -> None:
    """Every other picture would meet it, too."""
    with cached("facial_recognition", "picky", _Picky(lambda: WeightsError("damaged"))):
        pipeline = FacePipeline("skip", "picky")
        for on_error in ("raise", "yield"):
            with pytest.raises(WeightsError, match=r"^damaged$"):
                list(pipeline.stream([WHITE, BLACK], on_error=on_error))  # type: ignore[arg-type]


def test_the_cause_of_an_item_s_error_says_where_it_came_from() -> None:
    """Its traceback as text: as frames it would keep the pictures of the functions in it."""

    def stumble(*args: Any) -> Any:
        raise ZeroDivisionError("here")

    model: Any = _Picky(MemoryError)
    model.embed = stumble
    with cached("facial_recognition", "picky", model):
        (item, _) = FacePipeline("skip", "picky").stream([WHITE, WHITE], on_error="yield")
        cause = item.error and item.error.__cause__
        assert type(cause) is ZeroDivisionError
        assert cause.__traceback__ is None
        assert "in stumble" in "".join(cause.__notes__)
        with pytest.raises(DeepFaceError) as caught:  # of one picture nothing is kept
            FacePipeline("skip", "picky")(WHITE)
        assert caught.value.__cause__ and caught.value.__cause__.__traceback__
