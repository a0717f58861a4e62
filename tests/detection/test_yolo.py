from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from deepface.detection.canvas import Canvas
from deepface.detection.yolo import YoloDetector
from deepface.types import FacialAreaRegion, Image
from tests import laws
from tests.data import golden, package_pictures, photo, read, weight
from tests.detection.yolo_checkpoints import write_random

Rows = list[dict[str, Any]]

#: Architectures of each generation, with and without key points, with one and several classes.
RANDOM = {
    "yolov8n": ("yolov8n-pose.yaml", 1, 5),
    "yolov11n": ("yolo11n.yaml", 1, 0),
    "yolov12n": ("yolo12n.yaml", 3, 0),
}


@pytest.fixture(scope="module")
def random_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("random")
    folder = home / ".deepface" / "weights"
    folder.mkdir(parents=True)
    for name, (yaml, classes, points) in RANDOM.items():
        write_random(folder / f"{name}-face.pt", yaml, classes, points)
    return home


@pytest.fixture(params=RANDOM)
def random_file(request: pytest.FixtureRequest, random_home: Path) -> Path:
    return random_home / ".deepface" / "weights" / f"{request.param}-face.pt"


@pytest.fixture
def at_home(random_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEEPFACE_HOME", str(random_home))


def build(file: Path) -> YoloDetector:
    return YoloDetector(variant=file.name.removesuffix("-face.pt"))


@cache
def pictures() -> list[Image]:
    """Portrait, landscape, a square, a strip, smaller and larger than the network's input."""
    portrait, several, street = (read(path) for path in package_pictures())
    small = [(300, 200), (97, 97), (40, 333), (301, 400)]
    resized = [cv2.resize(several, (width, height)) for height, width in small]
    return [several, street, portrait, *resized]  # type: ignore[list-item]


@pytest.fixture(scope="module")
def predict() -> Iterator[Callable[[Path, Image, float], Rows]]:
    """Ultralytics' own answer for a single picture."""
    from deepface.detection.ultralytics_import import import_ultralytics

    import_ultralytics()
    from ultralytics import YOLO

    models: dict[Path, Any] = {}

    def run(file: Path, image: Image, threshold: float) -> Rows:
        model = models.setdefault(file, YOLO(str(file)))
        result = model.predict(image, verbose=False, show=False, conf=threshold, device="cpu")[0]
        points = result.keypoints.xy.tolist() if result.keypoints is not None else []
        return [
            {
                "box": (x - w / 2, y - h / 2, w, h),
                "confidence": confidence,
                "points": points[row] if points else [],
            }
            for row, ((x, y, w, h), confidence) in enumerate(
                zip(result.boxes.xywh.tolist(), result.boxes.conf.tolist(), strict=True)
            )
        ]

    yield run


def assert_same(faces: list[FacialAreaRegion], rows: Rows) -> None:
    """One face per row: within a pixel and 1e-3, what the order of float32 sums may cost."""
    assert len(faces) == len(rows)
    left = list(rows)
    for face in faces:
        match = next((row for row in left if is_same(face, row)), None)
        assert match is not None, f"{face} is not among {left[:5]}"
        left.remove(match)
    scores = [face.confidence or 0 for face in faces]
    assert scores == sorted(scores, reverse=True)


def is_same(face: FacialAreaRegion, row: dict[str, Any]) -> bool:
    eyes = [value for eye in (face.right_eye, face.left_eye) if eye for value in eye]
    points = [value for point in row["points"][:2] for value in point]
    found = [face.x, face.y, face.w, face.h, *eyes]
    exact = [*row["box"], *points]
    return (
        abs((face.confidence or 0) - row["confidence"]) < 1e-3
        and len(found) == len(exact)
        and all(-0.01 < e - f < 1.01 for f, e in zip(found, exact, strict=True))
    )


# Everywhere: networks with random weights.


@pytest.mark.usefixtures("at_home")
def test_a_mixed_list_equals_single_predictions(
    random_file: Path, predict: Callable[..., Rows], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("YOLO_MIN_DETECTION_CONFIDENCE", "0.4")
    results = build(random_file).detect_faces(pictures())
    assert sum(map(len, results)) > 50
    for picture, faces in zip(pictures(), results, strict=True):
        assert_same(faces, predict(random_file, picture, 0.4))
