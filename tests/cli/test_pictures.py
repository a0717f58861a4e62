"""Files with pictures: contact sheets of several pages, names that do not collide."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from deepface.cli.annotate import face_label, file_stem
from deepface.cli.entries import THUMBNAIL, Entry
from deepface.cli.sheet import ContactSheet, thumbnail


def test_a_sheet_has_as_many_pages_as_it_needs(tmp_path: Path) -> None:
    picture = np.zeros((50, 100, 3), np.uint8)
    picture[..., 2] = 200
    face = {THUMBNAIL: thumbnail(picture, {"x": 10, "y": 0, "w": 40, "h": 50})}
    sheet = ContactSheet(tmp_path / "sheet.png")
    for _ in range(97):
        sheet.add(Entry("a.jpg", {"faces": [face]}))
    sheet.add(Entry("b.jpg", error="broken"))
    sheet.finish()
    first, second = (cv2.imread(str(tmp_path / name)) for name in ("sheet.png", "sheet-2.png"))
    assert first is not None and second is not None
    assert first.shape == (4 + 8 * 116, 4 + 12 * 116, 3)
    assert second.shape == (120, 120, 3)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["sheet-2.png", "sheet.png"]
    red = (np.abs(second[60].astype(int) - (0, 0, 200)) < 6).all(1)
    assert 85 <= red.sum() <= 95  # 40 : 50 of 112


def test_a_sheet_without_faces_is_there(tmp_path: Path) -> None:
    ContactSheet(tmp_path / "deep" / "sheet.jpg").finish()
    assert (tmp_path / "deep" / "sheet.jpg").exists()


def test_names_of_files() -> None:
    assert file_stem("a/me.jpg") != file_stem("b/me.jpg")
    assert file_stem("a/me.jpg").startswith("me-")
    assert file_stem("clip.mp4#120").startswith("clip.mp4_120-")
    assert "/" not in file_stem("https://example.org/a/b.jpg?x=/c")
    assert file_stem("a/\udcff.jpg")


def test_labels() -> None:
    assert face_label({"confidence": 0.9}) == "0.90"
    assert (
        face_label({"face_confidence": 0.9, "age": 31, "dominant_gender": "Woman"}) == "Woman, 31"
    )
    assert face_label({"confidence": 0.9, "is_real": False}) == "spoof"
