"""Every network detector on the device: the boxes of the CPU, for any batch."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from deepface import DeepFace
from deepface.detection import boxes
from deepface.detection.detector import Detector
from deepface.detection.registry import DETECTORS
from deepface.errors import MissingPackageError, WeightsError
from deepface.types import LANDMARKS, FacialAreaRegion
from tests.standin import Standin
from tests.standin.pictures import mixed, portrait

#: Those whose weights come with packages or with the test data, and that run in PyTorch.
NETWORKS = (
    *("yolov8n", "yolov11n", "ssd", "mtcnn", "fastmtcnn", "retinaface-mobilenet0.25"),
    *("yunet", "centerface", "opencv"),
)


def built(name: str, device: str) -> Detector:
    try:
        return DETECTORS.build(name, device)
    except (WeightsError, MissingPackageError) as error:
        pytest.skip(f"{name}: {error}")


def same(found: list[FacialAreaRegion], expected: list[FacialAreaRegion]) -> None:
    """The same boxes and landmarks; the CPU's fused convolutions round differently."""
    assert len(found) == len(expected)
    for face, wanted in zip(found, expected, strict=True):
        assert (face.x, face.y, face.w, face.h) == (wanted.x, wanted.y, wanted.w, wanted.h)
        for name in LANDMARKS:
            assert getattr(face, name) == getattr(wanted, name), name
        assert face.confidence == pytest.approx(wanted.confidence, abs=1e-4)


@pytest.fixture(autouse=True)
def on_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEEPFACE_HAAR", "torch")


@pytest.mark.parametrize("name", NETWORKS)
def test_boxes_are_those_of_the_cpu(name: str, cuda: str) -> None:
    here, there = built(name, "cpu"), built(name, cuda)
    expected = here.detect_faces(mixed())
    assert expected[0], "or nothing would be compared"
    found = there.detect_faces(mixed())
    assert there.detect_faces([]) == []
    for one, wanted in zip(found, expected, strict=True):
        same(one, wanted)
    same(there.detect_faces(portrait()), expected[0])  # type: ignore[arg-type]
    for one, wanted in zip(there.detect_faces(mixed()[::-1]), expected[::-1], strict=True):
        same(one, wanted)


@pytest.mark.parametrize("align", [True, False])
@pytest.mark.parametrize("name", ["yolov8n", "ssd", "mtcnn", "yunet"])
def test_crops_are_those_of_the_cpu(name: str, align: bool, cuda: str) -> None:
    built(name, "cpu")
    options: dict[str, Any] = {"detector_backend": name, "align": align}
    expected: Any = DeepFace.extract_faces(
        mixed(), device="cpu", enforce_detection=False, **options
    )
    found: Any = DeepFace.extract_faces(mixed(), device=cuda, enforce_detection=False, **options)
    for one, wanted in zip(found, expected, strict=True):
        assert [face["facial_area"] for face in one] == [face["facial_area"] for face in wanted]
        for face, other in zip(one, wanted, strict=True):
            assert (face["face"] == other["face"]).all(), "bit for bit"


@pytest.mark.parametrize("name", ["yolov8n", "ssd", "mtcnn", "retinaface-mobilenet0.25"])
def test_out_of_memory_halves_the_batch_of_that_device(name: str, device: Standin) -> None:
    pictures = [portrait()] * 4
    other, there = built(name, "cuda:0"), built(name, "cuda:1")
    expected = other.detect_faces(pictures)
    device.counts.reset()
    there.detect_faces(pictures[:2])
    # What two pictures need at most, but for what prepares them.
    largest = max(tensor for tensor in _sizes(device, there, pictures[:2]))
    device.settings.limits[1] = largest
    for one, wanted in zip(there.detect_faces(pictures), expected, strict=True):
        same(one, wanted)
    device.settings.limits[1] = 1000
    with pytest.raises(torch.OutOfMemoryError):
        there.detect_faces(pictures)
    assert len(other.detect_faces(pictures[:1])) == 1


def _sizes(device: Standin, detector: Detector, pictures: list[Any]) -> list[int]:
    device.settings.made = []
    detector.detect_faces(pictures)
    sizes, device.settings.made = device.settings.made, None
    return sizes


@pytest.mark.parametrize("precision", [None, "tf32"])
def test_tf32_is_on_where_it_was_asked_for(precision: str | None, device: Standin) -> None:
    built("ssd", "cuda")
    detector: Any = DETECTORS.build("ssd", "cuda", precision=precision)
    allowed: list[bool] = []
    hook = detector.network.module.register_forward_hook(
        lambda *_: allowed.append(torch.backends.cudnn.allow_tf32)
    )
    before = torch.backends.cudnn.allow_tf32
    assert detector.detect_faces(portrait())
    hook.remove()
    assert allowed == [precision == "tf32"]
    assert torch.backends.cudnn.allow_tf32 is before


@pytest.mark.parametrize("passing", [0, 1, 1024, 1025, 1500])
def test_suppression_is_that_of_the_cpu_however_many_pass(passing: int, device: Standin) -> None:
    """Also where there was no room for so many; and where there is, the host waits twice."""
    torch.manual_seed(passing)
    corner = torch.rand(1600, 2) * 60
    table = torch.cat([corner, corner + 5 + torch.rand(1600, 2) * 20], 1)
    scores, groups = torch.rand(1600), torch.randint(3, (1600,))
    passes = torch.zeros(1600, dtype=torch.bool)
    passes[torch.randperm(1600)[:passing]] = True

    def run(where: str, suppression: boxes.Suppression) -> Any:
        there = [part.to(where) for part in (table, scores, groups, passes)]

        def known(at: torch.Tensor) -> tuple[torch.Tensor, ...]:
            rows = torch.cat([at[:, None], there[0][at]], 1)
            return there[0][at], there[1][at], there[2][at], rows

        device.counts.reset()
        return suppression(there[3], known, 0.3)  # type: ignore[arg-type]

    expected = run("cpu", boxes.Suppression())
    suppression = boxes.Suppression()
    for _ in range(2):
        assert run("cuda", suppression).tolist() == expected.tolist()
    assert (device.counts.waits, device.counts.down) == (2, 2), device.counts.where("waits")
