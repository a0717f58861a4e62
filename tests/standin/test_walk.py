"""Pictures to faces, vectors, attributes and verdicts on the device: what the CPU gives."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from deepface import DeepFace
from deepface.attributes.registry import ATTRIBUTES
from deepface.detection.yolo.network import YoloNetwork
from deepface.errors import DeepFaceError, UnimplementedError
from deepface.pipeline import FacePipeline
from deepface.recognition.model import FacialRecognition
from deepface.recognition.network_model import NetworkModel
from deepface.recognition.registry import RECOGNIZERS
from deepface.runtime.models import cached_models
from tests.attributes.networks import small_model, write_weights
from tests.data import weight
from tests.goldens import networks as reference
from tests.standin import Standin, patches, streams
from tests.standin.pictures import mixed, portrait, resized

NETWORKS = [
    name for name, entry in RECOGNIZERS.entries.items() if issubclass(entry.load(), NetworkModel)
]
#: Half a gigabyte of stand-in weights each.
HEAVY = ("VGG-Face", "DeepFace", "Facenet512", "ArcFace")
#: Built in these tests, so that none has the steps of the CPU.
_DETECTORS: dict[str, Any] = {}


@pytest.fixture(autouse=True)
def layers_of_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """The CPU's fused steps round differently, and landmarks cut between pixels."""
    monkeypatch.setattr(YoloNetwork, "fused", lambda self, packed: self)
    monkeypatch.setattr(patches, "_DETECTORS", _DETECTORS)


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where stand-in weights are looked for."""
    monkeypatch.setenv("DEEPFACE_HOME", str(tmp_path))
    monkeypatch.setenv("DEEPFACE_ALLOW_UNKNOWN_WEIGHTS", "1")
    folder = tmp_path / ".deepface" / "weights"
    folder.mkdir(parents=True)
    return folder


def inputs(model: FacialRecognition, count: int = 3) -> np.ndarray[Any, Any]:
    width, height = model.input_shape
    return np.random.default_rng(1).random((count, height, width, 3), dtype=np.float32)


def close(found: Any, expected: Any, tolerance: float) -> None:
    found, expected = np.asarray(found), np.asarray(expected)
    lengths = np.linalg.norm(expected, axis=-1)
    assert (np.linalg.norm(found - expected, axis=-1) <= tolerance * lengths).all()


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.heavy] * (n in HEAVY)) for n in NETWORKS]
)
def test_models(name: str, weights: Path, cuda: str) -> None:
    file = weights / RECOGNIZERS.entry(name).files[0][0].name
    reference.write_pth(name, file, reference.keras_weights(name, quick=True))
    here, there = RECOGNIZERS.build(name, "cpu"), RECOGNIZERS.build(name, cuda)
    batch = inputs(here)
    close(there.embed(batch), here.embed(batch), 1e-5)
    assert there.embed(batch[:0]).shape == (0, here.output_shape)
    if name != "OpenFace":  # one precision shows it for the runner; this one is small
        return
    for precision, tolerance in (("bf16", 0.1), ("fp16", 0.02)):
        half = RECOGNIZERS.build(name, cuda, precision=precision)
        close(half.embed(batch), here.embed(batch), tolerance)


def test_attributes(weights: Path, cuda: str) -> None:
    """The others are the network of VGG-Face, with other numbers of results."""
    write_weights("Emotion", weights.parents[1])
    here, there = ATTRIBUTES.build("Emotion", "cpu"), ATTRIBUTES.build("Emotion", cuda)
    faces = np.random.default_rng(1).random((3, 224, 224, 3), dtype=np.float32)
    np.testing.assert_allclose(there.probabilities(faces), here.probabilities(faces), atol=1e-5)


@pytest.fixture
def described(weights: Path) -> Iterator[Any]:
    """``FacePipeline`` with all that can be asked for, on a device."""
    detectors = ("yolov8n-face.pt", "face_detection_yunet_2023mar.onnx")
    for file in (*detectors, "2.7_80x80_MiniFASNetV2.pth", "4_0_0_80x80_MiniFASNetV1SE.pth"):
        (weights / file).symlink_to(weight(file))
    reference.write_pth(
        "GhostFaceNet", weights / RECOGNIZERS.entry("GhostFaceNet").files[0][0].name
    )

    def run(device: str, pictures: Any, **options: Any) -> Any:
        with pytest.MonkeyPatch.context() as patch:
            for name in ("Age", "Emotion"):
                patch.setenv("DEEPFACE_DEVICE", "cpu")
                model = small_model(name)
                patch.delenv("DEEPFACE_DEVICE")
                model.model.module.to(device)
                model.model.device = torch.device(device)
                models = cached_models.setdefault(ATTRIBUTES.task, {})
                patch.setitem(models, ATTRIBUTES.key(name, device), model)
            return FacePipeline("yolov8n", device=device, **options)(pictures)

    yield run


def same(found: Any, expected: Any, tolerance: float = 1e-4, turned: bool = False) -> None:
    """Equal but for the last digits of what networks say.

    Where crops are ``turned`` by landmarks, their last digits move a few pixels' places by a step,
    which is a 32nd of a pixel, and the vector with them: on which processors, and how far, nobody
    can say, but one step is at most a 32nd of the range.
    """
    if isinstance(expected, dict):
        assert list(found) == list(expected)
        if turned and "face" in expected and not np.array_equal(found["face"], expected["face"]):
            differ = np.abs(found["face"] - expected["face"])
            assert differ.max() <= 1 / 32 and (differ > 0).mean() < 1e-3
            close(found["embedding"], expected["embedding"], 1e-3)
            found, expected = (
                {k: v for k, v in face.items() if k not in ("face", "embedding")}
                for face in (found, expected)
            )
        for key, value in expected.items():
            if key == "embedding":
                close(found[key], value, tolerance)
            else:
                same(found[key], value, tolerance, turned)
    elif isinstance(expected, list):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            same(one, other, tolerance, turned)
    elif isinstance(expected, float) or (
        isinstance(expected, np.ndarray) and expected.dtype.kind == "f"
    ):
        np.testing.assert_allclose(found, expected, rtol=tolerance, atol=2e-3)
    else:
        assert np.array_equal(found, expected)


EVERYTHING: dict[str, Any] = {
    "model_name": "GhostFaceNet",
    "actions": ("age", "emotion"),
    "anti_spoofing": False,
    "return_face": True,
    "enforce_detection": False,
}


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"batch_size": 2},
        {"align": "landmarks"},
        {"normalization": "Facenet", "border": 0.0, "expand_percentage": 10},
        {"decode": "device"},
        {"model_name": None, "actions": None, "return_face": False, "anti_spoofing": True},
    ],
    ids=lambda options: " ".join(options) or "plain",
)
def test_everything(options: dict[str, Any], described: Any, tmp_path: Path, cuda: str) -> None:
    pictures: Any = mixed()[:4]
    if options.get("decode"):
        pictures = [tmp_path / f"{i}.jpg" for i in range(4)]
        for path, image in zip(pictures, mixed(), strict=False):
            cv2.imwrite(str(path), image)
    settings = {**EVERYTHING, **options}
    expected = described("cpu", pictures, **settings)
    assert [len(faces) for faces in expected][:1] == [1]
    turned = "align" in options
    same(described(cuda, pictures, **settings), expected, turned=turned)
    same([described(cuda, pictures[0], **settings)], expected[:1], turned=turned)


def test_a_step_that_runs_out_of_memory_is_halved(described: Any, device: Standin) -> None:
    pictures = [portrait()] * 4
    expected = described("cuda:0", pictures, **EVERYTHING)
    device.settings.made = []
    described("cuda:1", pictures[:2], **EVERYTHING)
    device.settings.limits[1] = max(device.settings.made)
    device.settings.made = None
    same(described("cuda:1", pictures, **EVERYTHING), expected)


def pictures_of_several() -> list[Any]:
    return [image for image in mixed()[:3] for _ in range(2)]


def test_several_devices_share_a_stream_in_order(described: Any, device: Standin) -> None:
    pictures: list[Any] = [*pictures_of_several(), "no/such.jpg"]
    options: dict[str, Any] = {
        **{"model_name": "GhostFaceNet", "enforce_detection": "empty", "batch_size": 2},
        "detector_backend": "yunet",
    }
    expected = list(FacePipeline(device="cuda:1", **options).stream(pictures, on_error="yield"))
    names = ["cuda:0", "cuda:1"]
    device.settings.used.clear()
    found = list(FacePipeline(device=names, **options).stream(pictures, on_error="yield"))
    assert device.settings.used == {0, 1}
    assert [item.index for item in found] == [*range(len(pictures))]
    for item, wanted in zip(found, expected, strict=True):
        same(item.faces, wanted.faces)
        assert str(item.error) == str(wanted.error)
    assert found[-1].error is not None
    with pytest.raises(DeepFaceError, match=r"no/such\.jpg"):
        FacePipeline(device=names, **options)(pictures)
    assert FacePipeline(device=names, **options)([]) == []
    same(FacePipeline(device=names, **options)(pictures[0]), expected[0].faces)
    with pytest.raises(ValueError, match="device is an empty list"):
        FacePipeline(device=[])
    with pytest.raises(UnimplementedError, match="unknown device 'gpu'"):
        FacePipeline(device=["cuda:0", "gpu"])


def test_out_of_memory_on_one_device_is_its_own_affair(described: Any, device: Standin) -> None:
    options: dict[str, Any] = {"model_name": "GhostFaceNet", "enforce_detection": "empty"}
    pictures = pictures_of_several()
    run = FacePipeline("yunet", device=["cuda:0", "cuda:1"], batch_size=4, **options)
    expected = run(pictures)
    device.settings.made = []
    FacePipeline("yunet", device="cuda:1", **options)(pictures[:2])
    device.settings.limits[1] = max(device.settings.made)
    device.settings.made = None
    for one, other in zip(run(pictures), expected, strict=True):
        same(one, other)


@pytest.mark.parametrize("decode", ["cpu", "device"])
def test_a_device_that_fails_costs_its_pictures(
    decode: Any, described: Any, device: Standin, files: list[Path]
) -> None:
    """Each says which it was; the others go on, and so does the next call."""
    options = {"model_name": "GhostFaceNet", "enforce_detection": "empty", "decode": decode}
    for devices in (["cuda:0", "cuda:1"], "cuda:1"):
        run = FacePipeline("yunet", device=devices, batch_size=1, **options)
        expected = run(files)
        device.settings.broken.add(1)
        items = list(run.stream(files, on_error="yield"))
        device.settings.broken.clear()
        assert [item.index for item in items] == [*range(len(files))]
        errors = [item.error for item in items if item.error is not None]
        assert len(errors) == len(files) if devices == "cuda:1" else errors
        for item, wanted in zip(items, expected, strict=True):
            if item.error is None:
                same(item.faces, wanted)
                continue
            assert isinstance(item.error, DeepFaceError)
            assert str(files[item.index]) in str(item.error)
            assert "illegal memory access" in str(item.error)
        same(run(files), expected)


@pytest.mark.heavy
@pytest.mark.parametrize("decode", ["cpu", "device"])
def test_memory_that_is_out_at_any_step(
    decode: Any, described: Any, device: Standin, files: list[Path]
) -> None:
    """Once, at one tensor after the other, in turns for the two: nothing of it shows."""
    run = FacePipeline("yunet", "GhostFaceNet", device="cuda:1", decode=decode)
    expected = run(files[:2])
    device.settings.made = []
    run(files[:2])
    count, device.settings.made = len(device.settings.made), None
    for left in range(count // 16 if decode == "device" else 0, count, count // 8):
        device.settings.left = left
        same(run(files[:2]), expected)
        device.settings.left = None


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / f"{i}.jpg" for i in range(4)]
    for path, image in zip(paths, pictures_of_several(), strict=False):
        cv2.imwrite(str(path), image)
    return paths


@pytest.mark.parametrize("decode", ["cpu", "device"])
@pytest.mark.parametrize("devices", ["cuda:1", ["cuda:0", "cuda:1"]])
def test_stages_have_streams_of_their_own(
    devices: Any, decode: Any, described: Any, device: Standin, files: list[Path]
) -> None:
    """Ordered by events: the stand-in refuses tensors that a stream has not waited for."""
    options = {"model_name": "GhostFaceNet", "enforce_detection": "empty", "decode": decode}
    run = FacePipeline("yunet", device=devices, batch_size=2, **options)
    expected = FacePipeline("yunet", device="cuda:1", **options)(files)
    run(files)  # builds
    device.settings.streams.clear()
    for found, wanted in zip(run(files), expected, strict=True):
        same(found, wanted)
    used = device.settings.streams
    for _ in range(2):
        run(files)
    # Memory is kept for each stream: a walk takes those of the one before. Of each device as many
    # as its three stages need when two batches are under way.
    assert len(used) <= 2 * 3 * (1 if isinstance(devices, str) else 2)
    assert not used & {torch.cuda.default_stream(index) for index in (0, 1)}
    assert len(used) >= (3 if isinstance(devices, str) else 2)  # graphs are captured on others
    assert not device.settings.refused


def test_stages_that_do_not_wait_are_caught(
    described: Any, device: Standin, monkeypatch: pytest.MonkeyPatch, files: list[Path]
) -> None:
    monkeypatch.setattr(streams.Stream, "wait_event", lambda *_: None)
    run = FacePipeline("yunet", "GhostFaceNet", device="cuda:1", batch_size=2)
    with pytest.raises(DeepFaceError, match="a tensor of another stream"):
        run(files)
    assert device.settings.refused


def test_leaving_a_stream_early_ends_its_work(described: Any, device: Standin) -> None:
    seen = 0

    def pictures() -> Iterator[Any]:
        nonlocal seen
        for _ in range(100):
            seen += 1
            yield portrait()

    run = FacePipeline("yunet", device=["cuda:0", "cuda:1"], batch_size=1)
    stream = run.stream(pictures())
    assert len(next(stream).faces) == 1
    stream.close()  # type: ignore[attr-defined]
    assert seen < 12


def test_verify(described: Any, cuda: str) -> None:
    options: Any = {"model_name": "GhostFaceNet", "detector_backend": "yolov8n"}
    found, expected = (
        DeepFace.verify(portrait(), portrait()[:, ::-1], device=where, **options)
        for where in (cuda, "cpu")
    )
    assert found["distance"] == pytest.approx(expected["distance"], abs=1e-4)
    assert found["facial_areas"] == expected["facial_areas"]


def test_later_calls_run_in_the_threads_of_the_first(weights: Path, cuda: str) -> None:
    """PyTorch keeps cuDNN's plans for each thread by itself: new threads would make them anew."""
    (weights / "face_detection_yunet_2023mar.onnx").symlink_to(
        weight("face_detection_yunet_2023mar.onnx")
    )
    reference.write_pth(
        "OpenFace",
        weights / RECOGNIZERS.entry("OpenFace").files[0][0].name,
        reference.keras_weights("OpenFace", quick=True),
    )
    pipeline = FacePipeline(
        "yunet", model_name="OpenFace", enforce_detection=False, batch_size=1, device=cuda
    )
    pictures = [resized(portrait(), side, side) for side in (128, 96)]

    def kept() -> set[int | None]:
        return {t.ident for t in threading.enumerate() if t.name.startswith("deepface-kept")}

    before = kept()
    pipeline(pictures)
    first = kept() - before
    assert first
    pipeline(pictures)
    list(pipeline.stream(pictures))
    assert kept() - before == first
