"""The published library's faces on pictures that packages carry, with weights that packages carry.

So a clone can check "the same numbers as published" without any other data.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from deepface import DeepFace
from tests.data import golden, package_pictures, weight
from tests.detection.goldens import row

PICTURES = package_pictures()
DETECTORS = ("opencv", "mtcnn", "fastmtcnn", "dlib", "centerface")


@pytest.mark.parametrize("align", [True, False])
@pytest.mark.parametrize("detector", DETECTORS)
def test_faces(detector: str, align: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if detector == "centerface":
        folder = tmp_path / ".deepface" / "weights"
        folder.mkdir(parents=True)
        (folder / "centerface.onnx").symlink_to(weight("centerface.onnx"))
        monkeypatch.setenv("DEEPFACE_HOME", str(tmp_path))
    found = DeepFace.extract_faces(
        PICTURES, detector_backend=detector, align=align, enforce_detection=False
    )
    for path, faces in zip(PICTURES, found, strict=True):
        expected = golden("packages.json")["images"][path.stem][f"{detector}/align={align}"]
        got = sorted((row({**face}) for face in faces), key=str)
        assert got == sorted(map(row, expected), key=str), path.stem
