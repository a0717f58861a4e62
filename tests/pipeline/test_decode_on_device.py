"""``decode="device"``: with the CPU as the device every result is that of ``decode="cpu"``."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from deepface import DeepFace
from deepface.attributes.registry import ATTRIBUTES
from deepface.detection.canvas import Canvas
from deepface.detection.registry import DETECTORS
from deepface.errors import DeepFaceError, FaceNotDetected, UnimplementedError
from deepface.images import device_image
from deepface.images.device_image import DeviceImage
from deepface.pipeline import FacePipeline
from deepface.pipeline.plan import Plan, Step
from deepface.pipeline.representation import network_inputs
from deepface.recognition.preprocessing import NORMALIZATIONS
from deepface.recognition.registry import RECOGNIZERS
from deepface.types import DetectedFace, FacialAreaRegion, on_host
from tests.attributes.networks import small_model
from tests.data import package_pictures, read, weight
from tests.images.pictures import encoded, picture
from tests.stand_ins import ColorModel, cached


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """JPEG files with 1, 2 and 4 faces, one of them lying on its side by EXIF; one with none."""
    folder = tmp_path_factory.mktemp("jpeg")
    found = []
    for path in package_pictures():
        file = folder / f"{path.stem}.jpg"
        image = read(path)
        scale = 640 / max(image.shape)
        cv2.imwrite(str(file), cv2.resize(image, None, fx=scale, fy=scale))
        found.append(file)
    nobody = folder / "nobody.jpg"
    nobody.write_bytes(encoded(picture(90, 120), ".jpg"))
    return [*found, nobody]


class Tensors(ColorModel):
    """As its base, for tensors as well; it notes what it was given."""

    takes_tensors = True

    def __init__(self) -> None:
        super().__init__()
        self.given: list[type] = []

    def embed(self, batch: Any) -> Any:
        self.given.append(type(batch))
        return super().embed(on_host(batch))


@pytest.fixture
def colors() -> Iterator[Tensors]:
    model = Tensors()
    with cached("facial_recognition", "colors", model):
        yield model


def assert_same(found: Any, expected: Any) -> None:
    """Equal through and through; vectors and network inputs but for their last digit."""
    assert type(found) is type(expected)
    if isinstance(expected, dict):
        assert list(found) == list(expected)
        for key, value in expected.items():
            assert_same(found[key], value)
    elif isinstance(expected, (list, tuple)) and not all(isinstance(v, float) for v in expected):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            assert_same(one, other)
    elif isinstance(expected, np.ndarray) and expected.dtype != np.float32:
        np.testing.assert_array_equal(found, expected)
    elif isinstance(expected, (np.ndarray, list, tuple)):
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)
    else:
        assert found == expected


def both(images: Any, **options: Any) -> tuple[Any, Any]:
    """Results with the device's decoder and with the CPU's; a border is four times the pixels."""
    options = {"enforce_detection": "empty", "border": 0.0, **options}
    on_device, on_cpu = (
        FacePipeline(device="cpu", decode=decode, **options)(images)  # type: ignore[arg-type]
        for decode in ("device", "cpu")
    )
    return on_device, on_cpu


@pytest.mark.parametrize("detector", ["opencv", "mtcnn", "fastmtcnn", "yolov8n", "ssd", "yunet"])
def test_faces_are_the_same_from_every_detector(detector: str, files: list[Path]) -> None:
    needed = {
        "yolov8n": "yolov8n-face.pt",
        "ssd": "res10_300x300_ssd_iter_140000.caffemodel",
        "yunet": "face_detection_yunet_2023mar.onnx",
    }
    if detector in needed:
        weight(needed[detector])
    found, expected = both(files, detector_backend=detector, border=0.5)
    assert_same(found, expected)
    assert any(found)


@pytest.mark.parametrize(
    "options",
    [
        {"align": False},
        {"expand_percentage": 30},
        {"max_faces": 1},
        {"color_face": "gray", "normalize_face": False},
        {"detector_backend": "skip"},
        {"enforce_detection": False},
        {"batch_size": 1},
    ],
    ids=str,
)
def test_options_give_the_same(options: dict[str, Any], files: list[Path]) -> None:
    found, expected = both(files, **{"detector_backend": "mtcnn", **options})
    assert_same(found, expected)
    assert any(found)


@pytest.mark.parametrize("model", [{}, {"normalization": "Facenet", "return_face": True}], ids=str)
def test_vectors_are_the_same_and_crops_stay_on_the_device(
    model: dict[str, Any], files: list[Path], colors: Tensors
) -> None:
    options = {"detector_backend": "mtcnn", "model_name": "colors", "border": 0.5, **model}
    found, expected = both(files, **options)
    assert_same(found, expected)
    assert sum(map(len, found)) >= 4
    assert colors.given == [torch.Tensor, np.ndarray]


def test_a_model_that_takes_arrays_is_given_arrays(files: list[Path]) -> None:
    model = ColorModel()
    with cached("facial_recognition", "colors", model):
        found, expected = both(files, detector_backend="mtcnn", model_name="colors")
    assert_same(found, expected)


def test_mixed_lists_keep_their_order(files: list[Path], colors: Tensors) -> None:
    float_picture = read(files[0]).astype(np.float32) / 255
    images = [float_picture, files[1], encoded(read(files[2])), files[3], read(files[1]), files[0]]
    found, expected = both(images, detector_backend="mtcnn", model_name="colors")
    assert_same(found, expected)
    assert [bool(faces) for faces in found] == [True, True, True, False, True, True]


def test_one_picture_alone(files: list[Path], colors: Tensors) -> None:
    found, expected = both(files[1], detector_backend="mtcnn", model_name="colors")
    assert_same(found, expected)
    with pytest.raises(FaceNotDetected, match="nobody"):
        both(files[3], detector_backend="mtcnn", enforce_detection=True)


def test_eyes_that_a_detector_does_not_give_are_found(files: list[Path]) -> None:
    weight("res10_300x300_ssd_iter_140000.caffemodel")
    found, _ = both(files[:1], detector_backend="ssd")
    assert found[0][0]["facial_area"]["left_eye"] is not None


def test_alignment_by_landmarks(files: list[Path]) -> None:
    model = Tensors()
    with cached("facial_recognition", RECOGNIZERS.key("Dlib", "cpu"), model):
        found, expected = both(
            files, detector_backend="mtcnn", model_name="Dlib", align="landmarks"
        )
    assert_same(found, expected)
    assert any(found)


def test_attributes_are_the_same(files: list[Path]) -> None:
    with (
        cached("facial_attribute", ATTRIBUTES.key("Emotion", "cpu"), small_model("Emotion")),
        cached("facial_attribute", ATTRIBUTES.key("Age", "cpu"), small_model("Age")),
    ):
        found, expected = both(files, detector_backend="mtcnn", actions=["emotion", "age"])
    assert_same(found, expected)
    assert any(found)


def test_the_public_functions_take_it(files: list[Path], colors: Tensors) -> None:
    options: dict[str, Any] = {"detector_backend": "mtcnn", "device": "cpu"}
    for decode in ("cpu", "device"):
        faces = DeepFace.extract_faces(files[:2], decode=decode, **options)  # type: ignore[arg-type]
        vectors = DeepFace.represent(files[:2], "colors", decode=decode, **options)  # type: ignore[arg-type]
        assert [len(one) for one in faces] == [len(one) for one in vectors] == [1, 3]


def test_a_stream_gives_pictures_and_errors_in_place(files: list[Path], tmp_path: Path) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"\xff\xd8\xff\xe0 no picture \xff\xd9")
    sources = [files[0], broken, files[1], tmp_path / "missing.jpg", files[2]]
    pipeline = FacePipeline("mtcnn", decode="device", device="cpu")
    items = list(pipeline.stream(sources, on_error="yield", return_image=True))
    assert [item.error is None for item in items] == [True, False, True, False, True]
    for item, source in zip(items, sources, strict=True):
        assert item.source == str(source)
        if item.error is None:
            np.testing.assert_array_equal(item.image, read(Path(source)))
        else:
            assert isinstance(item.error, DeepFaceError)


def test_pictures_are_decoded_on_the_device_indeed(
    files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[type] = []
    detector = DETECTORS.build("mtcnn", "cpu")
    real = detector.detect_canvases

    def spy(canvases: list[Canvas]) -> Any:
        seen.extend(type(canvas.image) for canvas in canvases)
        return real(canvases)

    monkeypatch.setattr(detector, "detect_canvases", spy)
    images = [files[0], read(files[1])]
    FacePipeline("mtcnn", decode="device", device="cpu")(images)
    assert seen == [torch.Tensor, np.ndarray]
    # Nothing but crops comes back to the CPU.
    monkeypatch.setattr(DeviceImage, "host", property(lambda self: pytest.fail("was copied")))
    FacePipeline("mtcnn", decode="device", device="cpu")(files[:3])


def test_decoding_detecting_and_embedding_side_by_side(files: list[Path], colors: Tensors) -> None:
    """What runs on a GPU: a thread decodes, one detects, the caller's embeds."""
    names: set[str] = set()

    class SideBySide(FacePipeline):
        def plan(self, single: bool = False) -> Plan:
            def noted(seen: list[Any]) -> None:
                names.update(thread.name for thread in threading.enumerate())
                lane.find.run(seen)

            plan = super().plan(single)
            (lane,) = plan.lanes
            lanes = (replace(lane, find=Step("find", noted)),)
            return replace(plan, lanes=lanes, loads_ahead=True, finds_ahead=True)

    sources = [*files[:2], "no/such.jpg", files[3], files[2]]
    pipeline = FacePipeline(
        "mtcnn",
        "colors",
        decode="device",
        device="cpu",
        enforce_detection="empty",
        batch_size=2,
        border=0.0,
    )
    expected = list(pipeline.stream(sources, on_error="yield"))
    pipeline = SideBySide(**vars(pipeline))
    before = threading.active_count()
    found = list(pipeline.stream(sources, on_error="yield"))
    assert "deepface-ahead" in names
    assert_same([item.faces for item in found], [item.faces for item in expected])
    assert [str(item.error) for item in found] == [str(item.error) for item in expected]
    stream = pipeline.stream(sources, on_error="yield")
    next(stream)
    stream.close()  # type: ignore[attr-defined] # it is a generator
    assert threading.active_count() <= before


def test_wrong_use_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UnimplementedError, match="unknown decode 'gpu'; use one of cpu, device"):
        FacePipeline(decode="gpu")  # type: ignore[arg-type]

    def refuse(device: torch.device) -> None:
        raise UnimplementedError("no decoder")

    monkeypatch.setattr("deepface.pipeline.plan.check_decoder", refuse)
    stream = FacePipeline("skip", decode="device", device="cpu").stream(["missing.jpg"], "yield")
    with pytest.raises(UnimplementedError, match="no decoder"):
        next(stream)
    assert device_image.check_decoder is not refuse


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
@pytest.mark.parametrize("as_given", [False, True])
def test_inputs_of_networks_are_those_of_arrays(normalization: str, as_given: bool) -> None:
    random = np.random.default_rng(0)
    sizes = [(40, 30), (31, 200), (1, 7), (224, 224), (300, 5)]
    crops = [random.integers(0, 256, (h, w, 3), dtype=np.uint8) for h, w in sizes]
    crops += [np.zeros((20, 30, 3), np.uint8), np.ones((9, 9, 3), np.uint8)]
    crops.append(np.full((224, 192, 3), 77, np.uint8))  # halved, one number is not 77 but 77.25
    crops[-1][0, 0, 0] += 1
    whole = FacialAreaRegion(0, 0, 1, 1)
    faces = [DetectedFace(crop, whole, 0) for crop in crops]
    expected = network_inputs(faces, (112, 96), normalization, as_given)
    scale = 1 if normalization == "base" else 255
    for every in (1, 2, 3):  # all of them are tensors, or some
        mixed = [
            replace(face, img=torch.from_numpy(face.img)) if number % every == 0 else face
            for number, face in enumerate(faces)
        ]
        found = network_inputs(mixed, (112, 96), normalization, as_given)
        assert isinstance(found, torch.Tensor) and found.dtype == torch.float32
        np.testing.assert_allclose(found.numpy(), expected, rtol=1e-5, atol=2e-5 * scale)


@pytest.mark.gpu
@pytest.mark.parametrize("detector", ["mtcnn", "opencv", "yolov11n"])
def test_a_gpu_finds_the_faces_that_the_cpu_decodes(
    detector: str, files: list[Path], colors: Tensors
) -> None:
    if detector == "yolov11n":
        weight("yolov11n-face.pt")
    options: dict[str, Any] = {
        "detector_backend": detector,
        "model_name": "colors",
        "enforce_detection": "empty",
    }
    # Decoders differ in how they fill in colours: a score near a threshold crosses it, and such
    # faces are left out.
    least = 0.9 if detector == "mtcnn" else 0.0
    ways: list[Any] = [{"decode": "device"}, {}]
    found, expected = (
        [
            [face for face in faces if face["face_confidence"] >= least]
            for faces in FacePipeline(device="cuda", **way, **options)(files[:2])
        ]
        for way in ways
    )
    assert any(expected)
    assert [len(faces) for faces in found] == [len(faces) for faces in expected]
    pairs = zip(chain.from_iterable(found), chain.from_iterable(expected), strict=True)
    for one, other in pairs:
        assert np.abs(np.subtract(one["embedding"], other["embedding"])).max() < 0.05
