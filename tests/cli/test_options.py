"""Options: their values, and the published library's way to write them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from deepface.cli.options import (
    Command,
    Maybe,
    Switch,
    Words,
    as_list,
    given,
    is_folder_name,
    literal,
    made_by,
    options,
    output_file,
    written,
)
from deepface.pipeline import FacePipeline
from tests.cli.command import lines, run
from tests.data import package_pictures

PORTRAIT = str(package_pictures()[0])


def taken(*arguments: str, **decorations: Any) -> dict[str, Any]:
    """What a command with some options is called with; what is wrong raises."""
    values: dict[str, Any] = {}

    @click.command(cls=Command)
    @click.argument("names", nargs=-1)
    @written
    @options("align", "enforce_detection", "max_faces", "actions", "color_face", "border", "k")
    def command(**given: Any) -> None:
        values.update(given)

    result = CliRunner().invoke(command, list(arguments), standalone_mode=False)
    if result.exception is not None:
        raise result.exception
    return given(values)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--align", "a.jpg"], {"align": True, "names": ("a.jpg",)}),
        (["--align", "False", "a.jpg"], {"align": False, "names": ("a.jpg",)}),
        (["--align", "false"], {"align": False}),
        (["--align", "off"], {"align": False}),
        (["--align=no"], {"align": False}),
        (["--align", "0"], {"align": False}),
        (["--align", "YES"], {"align": True}),
        (["--align", "1"], {"align": True}),
        (["--align", "on"], {"align": True}),
        (["--align", "landmarks"], {"align": "landmarks"}),
        (["--noalign"], {"align": False}),
        (["--no-align", "a.jpg"], {"align": False, "names": ("a.jpg",)}),
        (["--enforce_detection", "empty"], {"enforce_detection": "empty"}),
        (["--no_enforce_detection"], {"enforce_detection": False}),
        (["--noenforce_detection", "x"], {"enforce_detection": False, "names": ("x",)}),
        (["--max_faces", "None", "--k", "0"], {"k": 0}),
        (["--max-faces", "2"], {"max_faces": 2}),
        (["--actions", "age,gender"], {"actions": ["age", "gender"]}),
        (["--actions", "['age', \"race\"]"], {"actions": ["age", "race"]}),
        (["--actions", "(age,)"], {"actions": ["age"]}),
        (["--color_face", "gray"], {"color_face": "gray"}),
        (["--border", "0.25"], {"border": 0.25}),
        (["--", "--align"], {"names": ("--align",)}),
        (["a", "--align", "--", "False"], {"align": True, "names": ("a", "False")}),
        (["-o", "x/", "--resume"], {"output": "x/", "resume": True}),
    ],
)
def test_values(arguments: list[str], expected: dict[str, Any]) -> None:
    assert taken(*arguments) == {"names": (), "resume": False, **expected}


@pytest.mark.parametrize(
    "arguments",
    [
        ["--align=maybe"],
        ["--enforce-detection=landmarks"],
        ["--max-faces", "0"],
        ["--max-faces", "two"],
        ["--border", "wide"],
        ["--color-face", "red"],
        ["--output", ""],
        ["--noborder"],
    ],
)
def test_wrong_values(arguments: list[str]) -> None:
    with pytest.raises(click.UsageError):
        taken(*arguments)


def test_what_help_shows_of_values() -> None:
    context = click.Context(click.Command("x"))
    option = click.Option(["--x"])
    assert Switch("empty").get_metavar(option, context) == "[true|false|empty]"
    assert Maybe(click.Choice(["a", "b"])).get_metavar(option, context) == "[a|b]"
    assert Maybe(click.IntRange(min=1)).name == "integer"
    assert Words().convert("a, b", None, None) == ["a", "b"]
    for empty in ("", ",", "[]", "' '"):
        with pytest.raises(click.BadParameter, match="no word"):
            Words().convert(empty, None, None)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a.jpg", ["a.jpg"]),
        ("['a.jpg', 'b.jpg']", ["a.jpg", "b.jpg"]),
        ("[1]", ["1"]),
        ("[1].jpg", ["[1].jpg"]),
        ("[a.jpg]", ["[a.jpg]"]),
        ("[" * 100_000, ["[" * 100_000]),
        ("('a',)", ["('a',)"]),
        ("", [""]),
    ],
)
def test_lists_in_one_argument(text: str, expected: list[str]) -> None:
    assert as_list(text) == expected


def test_values_of_functions() -> None:
    for text, value in (
        ("False", False), ("0.4", 0.4), ("a.jpg", "a.jpg"), ("['a', 1]", ["a", 1]),
        ("None", None), ("[" * 100_000, "[" * 100_000), ("'5'", "5"), ("-1", -1),
    ):  # fmt: skip
        assert literal(text) == value


def test_names_of_outputs() -> None:
    assert output_file(None) is None
    assert output_file("a/b.csv") == Path("a/b.csv")
    with pytest.raises(click.UsageError, match="--output a/ names a folder: give a file"):
        output_file("a/")
    assert is_folder_name("a/") and not is_folder_name("a")
    assert given({"a": None, "b": 0, "c": False, "d": 1}, "d") == {"b": 0, "c": False}


@pytest.mark.parametrize("name", ["faces.v1/", "faces/", "deep/er/faces.d/"])
def test_a_slash_says_that_an_output_is_a_folder(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run("extract", PORTRAIT, "-o", name)
    assert result.exit_code == 0, result.stderr
    assert sorted(path.suffix for path in Path(name).iterdir()) == [".jsonl", ".png", ".run"]
    assert run("extract", PORTRAIT, "-o", name.rstrip("/")).exit_code == 0  # it is there now
    for command in ("represent", "analyze"):
        refused = run(command, PORTRAIT, "-o", name)
        assert refused.exit_code == 2 and "names a folder: give a file" in refused.stderr


def test_what_a_run_was_made_by() -> None:
    pipeline = FacePipeline("skip", border=0.25, batch_size=3, device="cpu", workers=2)
    made = made_by("extract", pipeline, {"border": 0.25}, every=2)
    assert made["command"] == "extract" and made["every"] == 2
    assert made["detector_backend"] == "skip" and made["border"] == 0.25 and made["align"] is True
    assert not {"batch_size", "device", "workers", "progress", "enforce_detection"} & set(made)
    said = made_by("extract", pipeline, {"enforce_detection": True})
    assert said["enforce_detection"] is True


def test_every_nth_frame_is_a_whole_number_from_one_on() -> None:
    for value in ("0", "-1", "1.5", "x"):
        result = run("extract", PORTRAIT, "--every", value)
        assert result.exit_code == 2 and "--every" in result.stderr


def test_img_path_is_the_same_as_inputs() -> None:
    result = run("extract", "--img-path", PORTRAIT, PORTRAIT, "--img-path", f"['{PORTRAIT}']")
    assert [line["source"] for line in lines(result)] == [PORTRAIT] * 3
