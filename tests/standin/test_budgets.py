"""What a batch costs on CUDA: launches, waits of the host, copies. Counts are exact, not timings.

A number here is what is true today. Where the target of the design is lower it stands beside it,
and whoever comes closer lowers the number. Of a small batch: that a larger one costs no more is a
test of its own.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import pytest

from deepface.detection.canvas import Canvas
from deepface.pipeline import FacePipeline
from tests.data import weight
from tests.goldens import networks as reference
from tests.standin import Standin
from tests.standin.pictures import EIGHT_SIZES, ONE_SIZE, many
from tests.standin.test_detectors import built


class Budget(NamedTuple):
    launches: int
    waits: int
    up: int
    down: int


#: Detector, border, sizes; the budget. Comments: the target where it is not met.
BUDGETS = [
    ("yolov8n", 0.5, ONE_SIZE, Budget(339, 2, 1, 2)),
    ("yolov8n", 0.5, EIGHT_SIZES, Budget(2688, 2, 1, 2)),  # eight rectangles
    ("yolov11n", 0.5, ONE_SIZE, Budget(402, 2, 1, 2)),
    ("ssd", 0.5, ONE_SIZE, Budget(156, 2, 1, 2)),
    ("ssd", 0.5, EIGHT_SIZES, Budget(156, 2, 1, 2)),
    ("retinaface-mobilenet0.25", 0.5, ONE_SIZE, Budget(328, 2, 1, 2)),
    ("retinaface-mobilenet0.25", 0.5, EIGHT_SIZES, Budget(304, 2, 1, 2)),
    ("retinaface-mobilenet0.25", 0.0, ONE_SIZE, Budget(268, 2, 1, 2)),
    ("retinaface-mobilenet0.25", 0.0, EIGHT_SIZES, Budget(304, 2, 1, 2)),
    *(
        (name, border, *budget)  # type: ignore[misc]
        for border in (0.0, 0.5)
        for name, *budget in (
            ("yunet", ONE_SIZE, Budget(179, 2, 1, 2)),
            ("yunet", EIGHT_SIZES, Budget(204, 2, 1, 2)),
            ("centerface", ONE_SIZE, Budget(244, 2, 1, 2)),
            ("centerface", EIGHT_SIZES, Budget(269, 2, 1, 2)),
        )
    ),
    # Of mtcnn thrice scores come down and an order goes up: the package's sort, whose order of ties
    # is that of no other, is the host's.
    ("mtcnn", 0.5, EIGHT_SIZES, Budget(650, 8, 4, 8)),
    ("fastmtcnn", 0.5, EIGHT_SIZES, Budget(700, 8, 1, 8)),
    # Each feature of the first stages is some kernels of its own; windows are gathered after three
    # groups of stages, of two cascades and two steps (1500, 24, 4, 8). A GPU has kernels instead.
    ("opencv", 0.5, EIGHT_SIZES, Budget(2400, 22, 3, 22)),
]
#: Detectors whose counts must not grow with the pictures of one size.
CONSTANT = [
    *("yolov8n", "yolov11n", "ssd", "retinaface-mobilenet0.25", "opencv", "yunet", "centerface"),
]


@pytest.fixture(autouse=True)
def on_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEEPFACE_HAAR", "torch")
    monkeypatch.setenv("DEEPFACE_CUDA_GRAPHS", "0")  # what is in a graph is no launch


def detected(device: Standin, name: str, border: float, count: int, sizes: Any) -> str:
    """Run it twice: the first time fills caches."""
    detector = built(name, "cuda")
    canvases = [Canvas.with_border(image, border) for image in many(count, sizes)]
    # Nobody looks at the faces; but a cascade's products are how it finds its windows.
    device.settings.skip_arithmetic = name != "opencv"
    detector.detect_canvases(canvases)
    device.counts.reset()
    detector.detect_canvases(canvases)
    return str(device.counts)


def assert_within(device: Standin, budget: Budget) -> None:
    counts = device.counts
    for kind, most in budget._asdict().items():
        assert getattr(counts, kind) <= most, f"{kind}: {counts}\n{counts.where(kind)}"


@pytest.mark.parametrize(("name", "border", "sizes", "budget"), BUDGETS)
def test_a_batch(name: str, border: float, sizes: Any, budget: Budget, device: Standin) -> None:
    detected(device, name, border, 8, sizes)
    assert_within(device, budget)


@pytest.mark.parametrize("name", CONSTANT)
def test_more_pictures_of_one_size_cost_next_to_nothing(name: str, device: Standin) -> None:
    # With borders 19 of the large ones are more than 2**24 pixels, of which batches once were.
    # YOLO's input has one length for all, and is low for low ones.
    large = name in ("retinaface-mobilenet0.25", "yunet")
    sizes = [(640, 360) if large else (150, 30) if name.startswith("yolo") else (150, 150)]
    detected(device, name, 0.5, 1, sizes)
    counts = device.counts
    one = Budget(int(1.1 * counts.launches), counts.waits, counts.up, counts.down)
    detected(device, name, 0.5, 6 if name == "opencv" else 19 if large else 32, sizes)
    assert_within(device, one)


def test_pictures_go_up_once(device: Standin) -> None:
    """As bytes, each once, whatever is done with them."""
    for name in ("yolov8n", "ssd"):
        pictures = many(4, EIGHT_SIZES)
        detected(device, name, 0.5, 4, EIGHT_SIZES)
        size = sum(image.nbytes for image in pictures)
        assert size <= device.counts.up_bytes <= 1.5 * size + 100_000


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / ".deepface" / "weights"
    folder.mkdir(parents=True)
    (folder / "yolov8n-face.pt").symlink_to(weight("yolov8n-face.pt"))
    reference.write_pth("GhostFaceNet", folder / "ghostfacenet_v1.pth")
    monkeypatch.setenv("DEEPFACE_HOME", str(tmp_path))
    monkeypatch.setenv("DEEPFACE_ALLOW_UNKNOWN_WEIGHTS", "1")


def test_represent(weights: None, device: Standin) -> None:
    """Faces to vectors: of a face more nothing."""
    pipeline = FacePipeline("yolov8n", "GhostFaceNet", device="cuda", align=True)
    spent = []
    for count in (1, 1, 5):
        device.counts.reset()
        assert [len(faces) for faces in pipeline(many(count, ONE_SIZE))] == [1] * count
        spent.append(str(device.counts).split(" up")[0])
    # Up: the pictures; tables for letterboxes, crops, and the network's inputs (1): the walk has
    # brought the pictures before, and crops are known when the boxes have come down.
    assert_within(device, Budget(739, 4, 4, 3))
    assert spent[1] == spent[2]


def test_crops_come_back_in_one_copy(weights: None, device: Standin) -> None:
    pipeline = FacePipeline("yolov8n", device="cuda")
    pipeline(many(1, ONE_SIZE))
    device.counts.reset()
    assert len(pipeline(many(5, ONE_SIZE))) == 5
    assert_within(device, Budget(396, 4, 3, 3))
