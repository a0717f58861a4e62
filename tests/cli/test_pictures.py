"""Files with pictures: contact sheets of several pages, names that do not collide."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from deepface.cli.annotate import face_label, file_stem, write_annotated, write_crops
from deepface.cli.entries import THUMBNAIL, PictureNotWritten, ResultLine
from deepface.cli.outcome import WrongUse
from deepface.cli.sheet import ContactSheet, thumbnail

GREEN = (80, 220, 80)


def test_a_sheet_has_as_many_pages_as_it_needs(tmp_path: Path) -> None:
    picture = np.zeros((50, 100, 3), np.uint8)
    picture[..., 2] = 200
    face = {THUMBNAIL: thumbnail(picture, {"x": 10, "y": 0, "w": 40, "h": 50})}
    sheet = ContactSheet(tmp_path / "sheet.png")
    for _ in range(97):
        sheet.add(ResultLine("a.jpg", {"faces": [face]}))
    sheet.add(ResultLine("b.jpg", error="broken"))
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


def decoded(text: str) -> Any:
    import base64

    return cv2.imdecode(np.frombuffer(base64.b64decode(text), np.uint8), cv2.IMREAD_COLOR)


@pytest.mark.parametrize(
    ("area", "size"),
    [
        ((10, 0, 40, 50), (112, 90)),  # as high and wide as (h, w) of it, longer side 112
        ((0, 0, 100, 50), (56, 112)),
        ((0, 0, 100, 1), (1, 112)),
        ((0, 0, 1, 50), (112, 2)),
        ((0, 0, 1, 250), (112, 1)),
        ((3, 4, 0, 0), (112, 112)),
        ((90, 240, 50, 50), (112, 112)),  # what of it is in the picture
    ],
)
def test_thumbnails_keep_proportions(
    area: tuple[int, int, int, int], size: tuple[int, int]
) -> None:
    picture = np.zeros((250, 100, 3), np.uint8)
    assert decoded(thumbnail(picture, dict(zip("xywh", area, strict=True)))).shape[:2] == size


def test_thumbnails_are_of_the_face() -> None:
    picture = np.zeros((300, 400, 3), np.uint8)
    picture[100:240, 150:290] = (10, 200, 100)
    picture[::2] //= 2  # what is made smaller is averaged
    small = decoded(thumbnail(picture, {"x": 150, "y": 100, "w": 140, "h": 140})).astype(int)
    assert small.shape == (112, 112, 3)
    assert np.abs(small - np.array((7, 150, 75))).max() < 30


def test_where_faces_are_on_a_sheet(tmp_path: Path) -> None:
    """Rows of twelve, each face in the middle of its cell, on white."""
    sheet = ContactSheet(tmp_path / "sheet.png")
    for number in range(14):
        picture = np.full((56, 112, 3), 10 * number, np.uint8)
        face = {THUMBNAIL: thumbnail(picture, {"x": 0, "y": 0, "w": 112, "h": 56})}
        sheet.add(ResultLine("a.jpg", {"faces": [face]}))
    sheet.finish()
    page = cv2.imread(str(tmp_path / "sheet.png"), cv2.IMREAD_GRAYSCALE)
    assert page is not None and page.shape == (4 + 2 * 116, 4 + 12 * 116)
    for number in range(14):
        top, left = 4 + (number // 12) * 116, 4 + (number % 12) * 116
        cell = page[top : top + 112, left : left + 112].astype(int)
        assert np.abs(cell[28:84] - 10 * number).max() <= 2
        assert (cell[:28] == 255).all() and (cell[84:] == 255).all()
        assert (page[top - 4 : top, left : left + 112] == 255).all()
    assert (page[120:, 4 + 2 * 116 :] == 255).all()


def test_a_full_page_is_the_last_if_nothing_follows(tmp_path: Path) -> None:
    face = {THUMBNAIL: thumbnail(np.zeros((9, 9, 3), np.uint8), {"x": 0, "y": 0, "w": 9, "h": 9})}
    sheet = ContactSheet(tmp_path / "sheet.png")
    sheet.add(ResultLine("a.jpg", {"faces": [face] * 96}))
    assert [path.name for path in tmp_path.iterdir()] == ["sheet.png"]
    sheet.finish()
    assert [path.name for path in tmp_path.iterdir()] == ["sheet.png"]


def test_a_sheet_needs_a_format_and_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(WrongUse, match="use a suffix such as"):
        ContactSheet(tmp_path / "sheet")
    monkeypatch.setattr("os.access", lambda path, mode: path != tmp_path)
    with pytest.raises(WrongUse, match="its folder is read-only"):
        ContactSheet(tmp_path / "sheet.png")


@pytest.mark.parametrize(("size", "thickness"), [(100, 1), (1000, 2), (1249, 2), (1251, 3)])
def test_boxes_landmarks_and_labels(tmp_path: Path, size: int, thickness: int) -> None:
    picture = np.zeros((size // 2, size, 3), np.uint8)
    area = {"x": 30, "y": size // 4, "w": 40, "h": 20, "left_eye": (60, size // 4 + 8)}
    face = {"facial_area": {**area, "right_eye": None}, "confidence": 0.5}
    write_annotated(tmp_path / "a.png", picture, [face])
    assert not picture.any()
    marked = cv2.imread(str(tmp_path / "a.png"))
    assert marked is not None
    green = (marked == GREEN).all(2)
    y, middle = size // 4, size // 4 + 14
    line = green[middle, 20:40].nonzero()[0] + 20
    wide = 2 * thickness - 1  # as OpenCV draws lines
    assert (len(line), line.mean()) == (wide, 30)
    right = green[middle, 62:80].nonzero()[0] + 62
    assert right.mean() == 70
    assert green[y + 20, 50] and not green[y + 20 + wide // 2 + 1, 50]
    radius = 2 * thickness
    assert green[y + 8, 60 - radius] and green[y + 8, 60 + radius]
    assert not green[y + 8, 60 - radius - 2]
    label = marked[: y - wide // 2]
    assert (label == GREEN).all(2).any() and (label[..., 1] < 60).any()


@pytest.mark.parametrize("y", [0, 3, 60])
def test_where_a_label_is(tmp_path: Path, y: int) -> None:
    """Black on green, on the box, or as far up as the picture goes."""
    font = cv2.FONT_HERSHEY_SIMPLEX
    picture = np.zeros((200, 300, 3), np.uint8)
    region = {"x": 40, "y": y, "w": 90, "h": 100}
    write_annotated(tmp_path / "a.png", picture, [{"region": region, "age": 31}])
    marked = cv2.imread(str(tmp_path / "a.png"))
    expected = picture.copy()
    cv2.rectangle(expected, (40, y), (130, y + 100), GREEN, 1)
    (width, height), base = cv2.getTextSize("31", font, 0.5, 1)
    top = max(0, y - height - base)
    expected[top : top + height + base + 1, 40 : 40 + width + 1] = GREEN
    cv2.putText(expected, "31", (40, top + height), font, 0.5, (0, 0, 0), 1, cv2.LINE_AA)
    np.testing.assert_array_equal(marked, expected)  # type: ignore[arg-type]


def test_a_label_stays_in_the_picture(tmp_path: Path) -> None:
    picture = np.zeros((60, 200, 3), np.uint8)
    region = {"x": 5, "y": 0, "w": 20, "h": 40}
    write_annotated(tmp_path / "a.png", picture, [{"region": region, "age": 31}])
    marked = cv2.imread(str(tmp_path / "a.png"))
    assert marked is not None
    assert (marked[0, 5:20] == GREEN).all()  # the background of the text, at the top
    assert (marked[5:20, 5:40].sum(2) == 0).any()  # black text on it


def test_crops_are_numbered(tmp_path: Path) -> None:
    crops = [np.full((4, 5, 3), 7, np.uint8), np.full((4, 5), 9, np.uint8)]
    assert write_crops(tmp_path, "me", crops) == ["me-0.png", "me-1.png"]
    for number, crop in enumerate(crops):
        written = cv2.imread(str(tmp_path / f"me-{number}.png"), cv2.IMREAD_UNCHANGED)
        np.testing.assert_array_equal(written, crop)  # type: ignore[arg-type]


def test_labels_hold_what_is_known() -> None:
    known = {"dominant_gender": "Man", "age": 3, "dominant_emotion": "sad", "dominant_race": "x"}
    assert face_label({**known, "is_real": True, "confidence": 0.5}) == "Man, 3, sad, x, real"
    assert face_label({"face_confidence": 0.126}) == "0.13"


@pytest.mark.parametrize(
    "suffix", ["jpg", "JPEG", "png", "bmp", "gif", "tif", "TIFF", "webp", "jp2"]
)
def test_suffixes_of_pictures_are_left_out_of_names(suffix: str) -> None:
    assert file_stem(f"a/me.{suffix}")[:-9] == "me"
    assert file_stem(f"a/me.{suffix}?x=1")[:-9] == "me"
    assert file_stem("a/me.mp4#3")[:-9] == "me.mp4_3"
    assert len(file_stem("x").rpartition("-")[2]) == 8


@pytest.mark.parametrize("name", ["s\udcff.png", "\udcff/s.png"])
def test_names_that_are_not_utf8_are_written(tmp_path: Path, name: str) -> None:
    """OpenCV, which ends the whole process at one, is given none."""
    ContactSheet(tmp_path / name).finish()
    assert (tmp_path / name).exists()
    for suffix in (".\udcff", ".p\udcffng"):
        with pytest.raises(WrongUse, match="use a suffix"):
            ContactSheet(tmp_path / f"s{suffix}")
        with pytest.raises(PictureNotWritten):
            write_annotated(tmp_path / f"s{suffix}", np.zeros((9, 9, 3), np.uint8), [])
