"""The commands that stream: pipeline, soak, differences, on few pictures with small models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from benchmarks import decode, differences, soak
from benchmarks.__main__ import main
from deepface.errors import MissingPackageError, WeightsError
from deepface.recognition.registry import RECOGNIZERS
from deepface.types import FacialAreaRegion
from tests.data import package_pictures
from tests.detection.haar.test_opencv import shrunk
from tests.stand_ins import ColorModel, cached
from tests.test_batch_laws import pictures


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    for path in package_pictures():
        assert cv2.imwrite(str(folder / f"{path.stem}.png"), shrunk(path, 400))
    return folder


def rows_of(folder: Path) -> list[dict[str, Any]]:
    [path] = folder.glob("*.json")
    rows: list[dict[str, Any]] = json.loads(path.read_text())["rows"]
    return rows


@pytest.fixture
def dlib() -> None:
    try:
        RECOGNIZERS.build("Dlib")
    except (MissingPackageError, WeightsError) as error:
        pytest.skip(str(error))


@pytest.mark.usefixtures("dlib")
def test_pipeline(images: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = ["--detector", "opencv", "--model", "Dlib", "--images", str(images)]
    assert main(["pipeline", *arguments, "--limit", "4", "--out", str(out)]) == 0
    [row] = rows_of(out)
    assert (row["run"], row["pictures"], row["detector"]) == ("stream", 4, "opencv")
    assert 0 < row["network_share"] <= 1
    assert row["faces"] >= 2


@pytest.mark.usefixtures("dlib")
def test_decode_on_the_cpu_changes_nothing(images: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = ["--detector", "mtcnn", "--model", "Dlib", "--images", str(images)]
    arguments += ["--size", "320x240", "--repeat", "1", "--device", "cpu", "--out", str(out)]
    assert main(["decode", *arguments]) == 0
    pixels, streamed = [row for row in rows_of(out) if row["run"] == "device"]
    assert (pixels["pixel_mean"], pixels["pixel_max"]) == (0, 0)
    assert streamed["faces"] >= 3
    assert (streamed["unmatched"], streamed["box"], streamed["cosine"]) == (0, 0, 1)


def test_faces_that_moved_are_told() -> None:
    def face(x: int, y: int, *embedding: float) -> dict[str, Any]:
        return {"facial_area": {"x": x, "y": y, "w": 40, "h": 40}, "embedding": embedding}

    expected = [[face(0, 0, 1, 0), face(100, 0, 1, 0)], []]
    found = [[face(102, 1, 0.6, 0.8), face(300, 0, 1, 0)], [face(5, 5, 1, 0)]]
    assert decode.differences(expected, found) == {"unmatched": 3, "box": 2, "cosine": 0.6}


def test_soak_notices_what_changes(images: Path) -> None:
    class Drifting(ColorModel):
        def embed(self, batch: Any) -> Any:
            return super().embed(batch) + self.faces // 10

    files = sorted(images.iterdir())
    with cached("facial_recognition", "colors", ColorModel()):
        row, readings = soak.soak(files, 12, 3, 3, "opencv", "colors", 4)
    assert row["passes_equal"]
    assert [after for after, _ in readings] == [3, 6, 9, 12]
    assert row["images"] == 12
    with cached("facial_recognition", "drifting", Drifting()):
        row, _ = soak.soak(files, 24, 3, 3, "opencv", "drifting", 4)
    assert not row["passes_equal"]


def test_the_slope_of_memory(monkeypatch: pytest.MonkeyPatch, images: Path) -> None:
    memory = iter(np.arange(100, 200, 0.5))
    monkeypatch.setattr(soak, "resident_mb", lambda: next(memory))
    with cached("facial_recognition", "colors", ColorModel()):
        row, _ = soak.soak(sorted(images.iterdir()), 9, 2, 1, "skip", "colors", 4)
    assert row["mb_per_1000"] == 500


def test_differences_are_found() -> None:
    class Unequal:
        """Finds the face elsewhere when it is given a list."""

        def detect_faces(self, img: Any) -> Any:
            faces = [FacialAreaRegion(1, 1, 9, 9, confidence=0.5)]
            if isinstance(img, np.ndarray):
                return faces
            return [[FacialAreaRegion(2, 1, 9, 9, confidence=0.75)] for _ in img]

    with cached("face_detector", "unequal", Unequal()):
        row = differences.detector_difference("unequal", pictures()[:2])
    assert row == {"pictures": 2, "faces": 2, "unequal_boxes": 2, "confidence": 0.25}
    with cached("facial_recognition", "colors", ColorModel()):
        assert differences.model_difference("colors", pictures()[:2])["relative"] == 0
    row = differences.detector_difference("opencv", pictures())
    assert (row["unequal_boxes"], row["confidence"]) == (0, 0)
