"""Which pictures arguments name."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from deepface.cli.inputs import Inputs
from deepface.cli.journal import Done
from tests.cli.command import grey_pictures, lines, run


def named(*arguments: str | Path, done: Done | None = None) -> list[str]:
    inputs = Inputs([str(argument) for argument in arguments])
    return [Path(str(picture)).name for picture in inputs.pictures(done or Done())]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return grey_pictures(tmp_path / "folder", 3)


def test_files_folders_and_globs(folder: Path) -> None:
    assert named(folder) == ["000.png", "001.png", "002.png"]
    assert named(folder / "*1.png", folder / "000.png") == ["001.png", "000.png"]
    assert named(folder.parent / "**" / "*.png") == ["000.png", "001.png", "002.png"]
    assert Inputs([str(folder), str(folder / "000.png")]).total() == 4


def test_broken_files_of_a_folder_are_not_left_out(folder: Path) -> None:
    (folder / "1_broken.jpg").write_bytes(b"")
    (folder / "notes.txt").write_text("no picture")
    assert "1_broken.jpg" in named(folder)
    assert "notes.txt" not in named(folder)


def test_other_pictures_of_a_folder_are_told(folder: Path) -> None:
    for name in ("a.webp", "b.WEBP", "c.tif", "notes.txt"):
        (folder / name).write_bytes(b"")
    result = run("extract", folder)
    assert f"left out in the folder {folder}" in result.stderr
    assert "1 .tif, 2 .webp." in result.stderr


def test_a_file_whose_name_looks_like_a_glob(folder: Path) -> None:
    path = folder / "[1].png"
    (folder / "000.png").rename(path)
    assert named(path) == ["[1].png"]


def test_a_glob_without_a_match_is_wrong_use(folder: Path) -> None:
    with pytest.raises(click.UsageError, match="no file matches"):
        Inputs([str(folder / "*.gif")])


def test_a_list_on_stdin(folder: Path) -> None:
    names = f"{folder / '001.png'}\r\n\n{folder / '000.png'}\n{folder}"
    result = run("extract", "-", stdin=names)
    assert result.exit_code == 0, result.stderr
    assert [Path(line["source"]).name for line in lines(result)] == [
        *("001.png", "000.png"),
        *("000.png", "001.png", "002.png"),
    ]
    assert run("extract", "-", stdin="").exit_code == 0


def test_names_that_are_no_utf8(folder: Path) -> None:
    name = bytes(folder) + b"/\xff.png"
    Path(folder / "000.png").rename(name.decode(errors="surrogateescape"))
    result = run("extract", "-", stdin=name + b"\n")
    assert result.exit_code == 0, result.stderr
    assert lines(result)[0]["source"].endswith("\udcff.png")


def test_done_pictures_are_left_out_as_often_as_they_are_done(folder: Path) -> None:
    twice = [folder / "000.png", folder / "001.png", folder / "000.png"]
    done = Done({str(folder / "000.png"): 1})
    assert named(*twice, done=done) == ["001.png", "000.png"]
