from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from deepface.images.files import list_images, named_as_images, yield_images
from tests.images.pictures import encoded, picture

JPEG, PNG = encoded(picture(), ".jpg"), encoded(picture(), ".png")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, content in {
        "b.jpg": JPEG,
        "a.JPeG": JPEG,
        "c.png": JPEG,
        ".hidden.png": PNG,
        "ünïcødé.png": PNG,
        "sub/deep/d.png": PNG,
        "webp.jpg": encoded(picture(), ".webp"),
        "picture.webp": encoded(picture(), ".webp"),
        "jpeg.txt": JPEG,
        "empty.jpg": b"",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    return tmp_path


def test_pictures_by_suffix_and_content(folder: Path) -> None:
    expected = [".hidden.png", "a.JPeG", "b.jpg", "c.png", "ünïcødé.png", "sub/deep/d.png"]
    assert list_images(str(folder)) == [str(folder / name) for name in expected]
    assert list_images(folder) == list_images(str(folder))
    assert next(yield_images(folder)) == str(folder / ".hidden.png")


def test_paths_start_as_the_folder_was_written(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder.parent)
    relative = os.path.join(".", folder.name)  # noqa: PTH118
    assert list_images(relative)[0] == os.path.join(relative, ".hidden.png")  # noqa: PTH118


def test_a_folder_without_pictures_is_told_of_where_somebody_has_named_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for aloud in (False, True):
        assert list(named_as_images(tmp_path, aloud=aloud)) == []
        assert ("no picture" in caplog.text) is aloud
    caplog.clear()
    (tmp_path / "a.jpg").write_bytes(JPEG)
    assert len(list(named_as_images(tmp_path, aloud=True))) == 1
    assert not caplog.text


def test_no_folder_no_pictures(tmp_path: Path) -> None:
    assert list_images(tmp_path / "none") == []


def test_a_dead_link_is_left_out_with_a_warning(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (folder / "dead.jpg").symlink_to(folder / "nowhere.jpg")
    assert len(list_images(folder)) == 6
    assert "dead.jpg is left out" in caplog.text


def test_a_folder_that_cannot_be_read_is_left_out_with_a_warning(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (folder / "closed").mkdir()
    scandir = os.scandir

    def scan(path: Any) -> Any:
        if os.fspath(path).endswith("closed"):
            raise PermissionError(errno.EACCES, "Permission denied", os.fspath(path))
        return scandir(path)

    expected = list_images(folder)
    assert not caplog.text
    monkeypatch.setattr(os, "scandir", scan)
    assert list_images(folder) == expected
    assert f"{folder / 'closed'} is left out: Permission denied" in caplog.text
