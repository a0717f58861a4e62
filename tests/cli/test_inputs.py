"""Which pictures arguments name."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import click
import pytest

from deepface.cli.inputs import Inputs
from deepface.cli.journal import DoneCounts
from tests.cli.command import ROOT, grey_pictures, lines, process, run
from tests.stand_ins import ColorModel, cached


def named(*arguments: str | Path, done: DoneCounts | None = None) -> list[str]:
    inputs = Inputs([str(argument) for argument in arguments])
    return [Path(str(picture)).name for picture in inputs.pictures(done or DoneCounts())]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return grey_pictures(tmp_path / "folder", 3)


def test_files_folders_and_globs(folder: Path) -> None:
    assert named(folder) == ["000.png", "001.png", "002.png"]
    assert named(folder / "*1.png", folder / "000.png") == ["001.png", "000.png"]
    assert named(folder.parent / "**" / "*.png") == ["000.png", "001.png", "002.png"]
    assert Inputs([str(folder), str(folder / "000.png")]).total() == 4


def test_two_stars_are_any_number_of_folders(folder: Path) -> None:
    deep = folder / "a" / "b"
    deep.mkdir(parents=True)
    (folder / "001.png").rename(folder / "a" / "001.png")
    (folder / "002.png").rename(deep / "002.png")
    assert named(folder / "**" / "*.png") == ["000.png", "001.png", "002.png"]
    assert named(folder / "*" / "*.png") == ["001.png"]


def test_broken_files_of_a_folder_are_not_left_out(folder: Path) -> None:
    (folder / "1_broken.jpg").write_bytes(b"")
    (folder / "notes.txt").write_text("no picture")
    assert "1_broken.jpg" in named(folder)
    assert "notes.txt" not in named(folder)


def test_other_pictures_of_a_folder_are_told(folder: Path) -> None:
    nothing = run("extract", folder)
    assert (nothing.exit_code, nothing.stderr) == (0, "")
    for name in ("a.webp", "b.WEBP", "c.tif", "d.mp4", "e.MP4", "notes.txt"):
        (folder / name).write_bytes(b"")
    result = run("extract", folder)
    assert f"left out in the folder {folder}" in result.stderr
    assert "2 .mp4, 1 .tif, 2 .webp. Name them to have them read" in result.stderr
    assert len(lines(result)) == 3


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


def test_bench_takes_a_list_on_stdin(folder: Path) -> None:
    names = f"{folder / '001.png'}\n{folder / '000.png'}\n"
    result = run(
        *("bench", "-", "--detector-backend", "skip", "--seconds", "0.1", "--batch-size", "1"),
        stdin=names,
    )
    assert result.exit_code == 0, result.stderr


MARKS = {
    "none": lambda text: text.encode(),
    "utf-8": lambda text: b"\xef\xbb\xbf" + text.encode(),
    "utf-16": lambda text: text.encode("utf-16"),
    "utf-16 big-endian": lambda text: b"\xfe\xff" + text.encode("utf-16-be"),
}


@pytest.mark.parametrize("mark", list(MARKS))
@pytest.mark.parametrize("end", ["\n", "\r\n", "\0"])
def test_lists_of_any_program(folder: Path, mark: str, end: str) -> None:
    """Whatever ends a name, with a mark at the start or without; the last one may have no end."""
    names = [folder / "001.png", folder / "00ü2.png", folder / " .png"]
    (folder / "002.png").rename(names[1])
    (folder / "000.png").rename(names[2])
    text = end.join(map(str, names))
    flags = ["-0"] if end == "\0" else []
    for last in ("", end, 2 * end):
        content = MARKS[mark](text + last)
        result = run("extract", "-", "--detector-backend", "skip", *flags, stdin=content)
        assert result.exit_code == 0, result.stderr
        assert [line["source"] for line in lines(result)] == list(map(str, names))


def test_half_a_line_end_at_the_end(folder: Path) -> None:
    result = run("extract", "-", "--detector-backend", "skip", stdin=f"{folder / '000.png'}\r")
    assert [line["source"] for line in lines(result)] == [str(folder / "000.png")]


def test_names_that_hold_line_ends(folder: Path) -> None:
    name = folder / "two\nlines \r"
    (folder / "000.png").rename(name)
    result = run("extract", "-", "--null", "--detector-backend", "skip", stdin=f"{name}\0")
    assert [line["source"] for line in lines(result)] == [str(name)]


@pytest.mark.parametrize(
    "start", [b"", b"\xef", b"\xef\xbb", b"\xff", b"\xfe", b"\xef\xbb\xbf", b"\n"]
)
def test_whatever_stdin_begins_with(start: bytes) -> None:
    result = run("extract", "-", stdin=start)
    assert "Traceback" not in result.stderr
    assert result.exit_code == (1 if start in (b"\xef", b"\xef\xbb", b"\xff", b"\xfe") else 0)


def test_names_are_taken_as_they_come(tmp_path: Path) -> None:
    """Whoever pipes names into the command need not end the list to have a result."""
    pictures = grey_pictures(tmp_path / "pictures", 2)
    command = process(
        *("extract", "-", "--detector-backend", "skip", "--batch-size", "1"),
        stdin=subprocess.PIPE,
    )
    assert command.stdin is not None and command.stdout is not None
    for name in ("000.png", "001.png"):
        command.stdin.write(f"{pictures / name}\n")
        command.stdin.flush()
    assert json.loads(command.stdout.readline())["source"] == str(pictures / "000.png")
    assert command.poll() is None
    command.stdin.close()
    assert json.loads(command.stdout.readline())["source"] == str(pictures / "001.png")
    assert command.wait() == 0


def test_without_stdin_there_is_no_list() -> None:
    command = 'exec "$0" -m deepface.cli extract - <&-'
    done = subprocess.run(
        ["sh", "-c", command, sys.executable], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "Error: there is no stdin to read a list from" in done.stderr


@pytest.mark.parametrize(
    "name", ["", "x" * 300 + ".png", "x" * 300 + ".mp4", "a/" * 3000, "\ud800"]
)
@pytest.mark.parametrize("others", [0, 2])
def test_a_name_that_cannot_be_looked_up_fails_alone(
    folder: Path, name: str, others: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)  # whose pictures an empty name must not stand for
    more = ["000.png", "001.png"][:others]
    result = run("extract", name, *more, "--detector-backend", "skip")
    assert result.exit_code == 1
    entries = lines(result)
    assert [entry["source"][:20] for entry in entries] == [name[:20], *more]
    assert ["error" in entry for entry in entries] == [True] + [False] * others
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["extract", "000.png", "--output", ""],
        ["extract", "000.png", "--annotate", ""],
        ["extract", "000.png", "--contact-sheet", ""],
        ["represent", "000.png", "-o", ""],
        ["find", "000.png", "--db-path", ""],
        ["find", "000.png", ""],
    ],
)
def test_an_empty_place_is_wrong_use(
    folder: Path, arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And not the working directory."""
    monkeypatch.chdir(folder)
    before = sorted(folder.iterdir())
    with cached("facial_recognition", "VGG-Face", ColorModel()):
        result = run(*arguments)
    assert result.exit_code == 2, result.output
    assert sorted(folder.iterdir()) == before


def test_an_unreadable_folder_of_a_glob_is_told(tmp_path: Path) -> None:
    for pattern, reason in ((tmp_path / "no" / "*.png", "No such file"), (tmp_path / "*.x", "")):
        result = run("extract", pattern)
        assert result.exit_code == 2
        assert f"no file matches {pattern}" in result.stderr and reason in result.stderr
        assert ("cannot be looked into" in result.stderr) == bool(reason)


def test_names_that_are_no_utf8(folder: Path) -> None:
    name = bytes(folder) + b"/\xff.png"
    Path(folder / "000.png").rename(name.decode(errors="surrogateescape"))
    result = run("extract", "-", stdin=name + b"\n")
    assert result.exit_code == 0, result.stderr
    assert lines(result)[0]["source"].endswith("\udcff.png")


def test_done_pictures_are_left_out_as_often_as_they_are_done(folder: Path) -> None:
    twice = [folder / "000.png", folder / "001.png", folder / "000.png"]
    done = DoneCounts({str(folder / "000.png"): 1})
    assert named(*twice, done=done) == ["001.png", "000.png"]
