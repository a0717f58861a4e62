"""What the command line writes, and where: through no link, and names and cells do no harm."""

from __future__ import annotations

import csv
import os
import random
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from deepface.cli.annotate import file_stem
from deepface.cli.entries import ResultLine
from deepface.cli.formats import COLUMNS, format_of
from tests.cli.command import grey_pictures, lines, run

SKIP = ("--detector-backend", "skip")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return grey_pictures(tmp_path / "pictures", 2)


def test_nothing_is_written_through_links(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder that somebody else has filled with links under every name that is written."""
    monkeypatch.chdir(tmp_path)
    outputs, outside = ("work/faces", "work/faces.jsonl"), Path("outside")
    places = ("--annotate", "work/marked", "--contact-sheet", "work/sheet.png")
    for output in outputs:
        assert run("extract", folder, *SKIP, *places, "-o", output).exit_code == 0
    names = [path for path in Path("work").rglob("*") if path.is_file()]
    assert len(names) == 9
    names += [Path("work/faces.jsonl.partial"), Path("work/.faces.jsonl.lock")]
    for name in names:
        for link in (os.symlink, os.link):
            outside.write_bytes(b"not ours")
            name.unlink(missing_ok=True)
            link(outside.absolute(), name)
            for output in outputs:
                result = run("extract", folder, *SKIP, *places, "-o", output)
                assert result.exit_code == 0 or str(name) in result.stderr, result.output
                assert outside.read_bytes() == b"not ours", (name, link)
            name.unlink(missing_ok=True)


@pytest.mark.parametrize(
    "name", ["faces.csv", "faces.csv.partial", ".faces.csv.lock", ".faces.csv.run"]
)
def test_only_files_are_replaced(folder: Path, tmp_path: Path, name: str) -> None:
    for make in (os.mkfifo, os.mkdir):
        if make == os.mkdir and name == "faces.csv":
            continue  # it is where the faces are to be put
        make(tmp_path / name)
        result = run("extract", folder, *SKIP, "--output", tmp_path / "faces.csv")
        assert result.exit_code == 2
        assert name in result.stderr and len(result.stderr.splitlines()) < 5
        assert [path.name for path in tmp_path.iterdir() if path != folder] == [name]
        (os.rmdir if make == os.mkdir else os.unlink)(tmp_path / name)


def test_names_of_any_length_and_script(tmp_path: Path) -> None:
    """A name may have 255 bytes, and not characters."""
    choose = random.Random(3)
    picture = np.full((20, 20, 3), 90, np.uint8)
    names = [letter * (250 // len(letter.encode())) for letter in "aß漢𠀀😀é"]
    names += ["".join(choose.choices("ab ß漢😀.-_", k=60)) for _ in range(5)]
    names += [b"\xff".decode(errors="surrogateescape") * 200, "." * 200, "a.jpg" * 40]
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name in names:
        (folder / f"{name}.png").write_bytes(cv2.imencode(".png", picture)[1].tobytes())
    output = tmp_path / "faces"
    result = run("extract", folder, *SKIP, "-o", output, "--annotate", tmp_path / "marked")
    assert result.exit_code == 0, result.stderr
    assert len(list(output.glob("*.png"))) == len(names)
    assert len(list((tmp_path / "marked").iterdir())) == len(names)
    again = run(
        "extract", folder, *SKIP, "-o", output, "--annotate", tmp_path / "marked", "--resume"
    )
    assert "is complete" in again.stderr


def test_a_name_is_cut_between_characters() -> None:
    for letter, kept in (("a", 80), ("ß", 40), ("漢", 26), ("𠀀", 20)):
        assert file_stem(f"{letter * 100}.jpg")[:-9] == letter * kept
        assert file_stem(f"x{letter * 100}.jpg")[:-9].encode()[80:] == b""


def test_a_picture_that_a_format_has_no_room_for_fails_alone(tmp_path: Path) -> None:
    long = np.zeros((2, 65_600, 3), np.uint8)
    cv2.imwrite(str(tmp_path / "a.png"), long)
    cv2.imwrite(str(tmp_path / "b.png"), long[:, :50])
    result = run("extract", tmp_path / "*.png", *SKIP, "--annotate", tmp_path / "marked")
    assert result.exit_code == 1
    first, second = lines(result)
    assert first["error"] == "65600 x 2 pixels cannot be written to a .jpg"
    assert len(second["faces"]) == 1
    assert len(list((tmp_path / "marked").iterdir())) == 1


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠"])
def test_no_cell_is_a_formula(tmp_path: Path, start: str) -> None:
    name = f'{start}cmd|" /C calc"!A0'
    face = {"identity": name, "confidence": -0.5, "embedding": [-1.0], "dominant_race": name}
    entries = [
        ResultLine(name, {"faces": [face]}),
        ResultLine([name, name], {"model": name, "distance": -1}),
    ]
    path = tmp_path / "out.csv"
    for some in (entries[:1], entries[1:]):
        with path.open("wb") as file:
            format_of(path).write(lambda some=some: some, file, "")  # type: ignore[misc]
        with path.open(newline="", encoding="utf-8") as table:
            rows = list(csv.DictReader(table))
        for row in rows:
            for column, cell in row.items():
                if column in ("confidence", "distance"):
                    assert float(cell) < 0  # a number is a number
                elif name in cell:
                    assert cell == f"'{name}"
                assert column in ("confidence", "distance") or not cell.startswith(start)


def test_columns_of_numbers_keep_what_they_are(tmp_path: Path) -> None:
    """Whole numbers stay whole, and a column that has both kinds holds both."""
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "out.parquet"
    values = [("whole", 1), ("whole", 2), ("both", 3), ("both", 0.5), ("late", None), ("late", 7)]
    values += [("first", 0.5), ("first", 4), ("truth", True), ("nothing", None)]
    entries = [ResultLine("a", {"faces": [{name: value}]}) for name, value in values]
    with path.open("wb") as file:
        format_of(path).write(lambda: entries, file, "")
    table = parquet.read_table(path)
    kinds = {name: str(table.schema.field(name).type) for name, _ in values}
    assert kinds == {
        "whole": "int64", "both": "double", "late": "int64", "first": "double", "truth": "bool",
        "nothing": "double",
    }  # fmt: skip
    for name, _ in values:
        found = [value for value in table[name].to_pylist() if value is not None]
        assert found == [value for key, value in values if key == name and value is not None]


@pytest.mark.parametrize("command", list(COLUMNS))
def test_columns_and_types_do_not_depend_on_the_number_of_rows(
    command: str, tmp_path: Path
) -> None:
    """Not on what was found either: eyes that nobody has are a column of whole numbers."""
    parquet = pytest.importorskip("pyarrow.parquet")
    pair = command == "verify"
    values: dict[type, Any] = {str: "a", int: 1, float: 0.5, bool: True, list: [0.5]}
    named = {
        name: values[kind]
        for name, kind in COLUMNS[command].items()
        if name not in ("source", "face", "img1_path", "img2_path")
    }
    some = {name: None if "eye" in name else value for name, value in named.items()}

    def entry(values: dict[str, Any]) -> ResultLine:
        if pair:
            return ResultLine(["a", "b"], values)
        if command == "find":
            return ResultLine("a", {"faces": [{"matches": [values]}]})
        return ResultLine("a", {"faces": [values]})

    cases: list[list[ResultLine]] = [
        [],
        [ResultLine("a", error="no")],
        []
        if pair
        else [ResultLine("a", {"faces": [{"matches": []}] if command == "find" else []})],
        [entry(some)],
        [entry(some), entry(named)] * 3,
    ]
    schemas, heads = set(), set()
    for entries in cases:
        for suffix in (".parquet", ".csv"):
            path = tmp_path / f"out{suffix}"
            with path.open("wb") as file:
                format_of(path).write(lambda entries=entries: entries, file, command)  # type: ignore[misc]
        schemas.add(str(parquet.read_schema(tmp_path / "out.parquet")))
        heads.add((tmp_path / "out.csv").read_text().splitlines()[0])
    assert len(schemas) == 1 and len(heads) == 1
    assert heads == {",".join(COLUMNS[command])}
