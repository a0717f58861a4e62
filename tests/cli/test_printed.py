"""What a terminal shows, and what a pipe gets that cannot take every character."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from deepface.cli.entries import THUMBNAIL, ResultLine
from deepface.cli.printed import JsonLines, Table, print_rows, printer_for
from deepface.logger import printable

MATCH = {"identity": "people/ann.jpg", "distance": 0.25, "threshold": 0.4, "confidence": 71.5}


def table(*entries: ResultLine, encoding: str = "utf-8") -> list[str]:
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding, newline="\n")
    shown = Table(file)
    for entry in entries:
        shown.write(entry)
    file.seek(0)
    return file.read().splitlines()


def test_pictures_without_a_row_have_a_line() -> None:
    lines = table(
        ResultLine("a.jpg", {"faces": [{"matches": [MATCH]}]}),
        ResultLine("b.jpg", {"faces": []}),
        ResultLine("c.jpg", {"faces": [{"matches": []}]}),
        ResultLine("d.jpg", error="broken"),  # told at the end
    )
    assert lines[0].split() == ["source", "face", "identity", "distance", "threshold", "confidence"]
    assert lines[1].split() == ["a.jpg", "0", "people/ann.jpg", "0.25", "0.4", "71.5"]
    assert [line.split(maxsplit=1) for line in lines[2:]] == [
        ["b.jpg", "no face"],
        ["c.jpg", "no match"],
    ]


def test_names_cannot_break_a_line_or_steer_the_terminal() -> None:
    assert printable("a\nb\x1b[2J\udcff ü.jpg") == "a\\nb\\x1b[2J\\udcff ü.jpg"
    lines = table(ResultLine("two\nlines\udcff.jpg", {"faces": [{"confidence": 0.9}]}))
    assert lines[1].startswith("two\\nlines\\udcff.jpg ")


def test_a_terminal_or_pipe_without_some_characters() -> None:
    entry = ResultLine("ünï.jpg", {"faces": [{"confidence": 0.9}]})
    assert "\\xfcn\\xef.jpg" in table(entry, encoding="ascii")[1]
    pipe = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    JsonLines(pipe).write(entry)
    pipe.seek(0)
    assert json.loads(pipe.read())["source"] == "ünï.jpg"


class Pipe(io.StringIO):
    flushed = 0

    def flush(self) -> None:
        self.flushed += 1


class Terminal(Pipe):
    def isatty(self) -> bool:
        return True


AREA = {"x": 1, "y": 20, "w": 300, "h": 4000, "left_eye": (5, 6), "right_eye": None}
LONG = "people/" + "x" * 60 + "/ann.jpg"
SHOWN = [
    (
        ResultLine("a.jpg", {"seconds": 0.5, "faces": [
            {"facial_area": AREA, "confidence": 0.98765, "is_real": True, "antispoof_score": 0.5},
            {"facial_area": AREA, "confidence": 1.0, "is_real": False, "antispoof_score": None},
        ]}),
        """\
source                                    face      x      y      w      h  confidence  is_real  antispoof_score
a.jpg                                        0      1     20    300   4000      0.9877      yes              0.5
a.jpg                                        1      1     20    300   4000           1       no                -
""",  # noqa: E501
    ),
    (
        ResultLine(LONG, {"faces": [{"region": AREA, "face_confidence": 0.5, "age": 31.5,
            "dominant_gender": "Woman", "dominant_emotion": "happy", "dominant_race": "white"}]}),
        """\
source                                    face      x      y      w      h  face_confidence  age  dominant_gender  dominant_emotion    dominant_race
...xxxxxxxxxxxxxxxxxxxxxxxxxxxxx/ann.jpg     0      1     20    300   4000              0.5  31.5            Woman             happy            white
""",  # noqa: E501
    ),
    (
        ResultLine(["a.jpg", LONG], {"verified": True, "distance": 0.123456, "threshold": 0.4,
            "confidence": 71.25, "model": "colors", "facial_areas": {"img1": AREA}}),
        """\
img1_path                       img2_path                       verified   distance  threshold  confidence
a.jpg                           ...xxxxxxxxxxxxxxxxxxx/ann.jpg       yes     0.1235        0.4       71.25
""",  # noqa: E501
    ),
    (
        ResultLine("a.jpg", {"faces": [{"embedding": [0.12345, -1.0, 2.0]}, {"embedding": []}]}),
        """\
source                                    face                     embedding
a.jpg                                        0   3 numbers: 0.123 -1.000 ...
a.jpg                                        1                            []
""",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("entry", "expected"), SHOWN)
def test_what_a_terminal_shows(
    entry: ResultLine, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    assert "\n".join(table(entry)) + "\n" == expected
    assert table(entry, entry)[1:] == 2 * expected.splitlines()[1:]  # one heading


def test_a_wide_terminal_shows_whole_paths(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = SHOWN[1][0]
    for columns, whole in (("199", False), ("200", True)):
        monkeypatch.setenv("COLUMNS", columns)
        assert (LONG in table(entry)[1]) == whole
    exact = "x" * 40
    monkeypatch.setenv("COLUMNS", "80")
    assert table(ResultLine(exact, {"faces": [{"confidence": 1.0}]}))[1].startswith(exact + " ")


def test_new_columns_have_a_new_heading() -> None:
    lines = table(
        ResultLine("a.jpg", {"faces": [{"confidence": 0.5}]}),
        ResultLine("b.jpg", {"faces": [{"age": 3}]}),
        ResultLine("c.jpg", {"faces": [{"age": 4}]}),
    )
    assert [line.split()[0] for line in lines] == ["source", "a.jpg", "source", "b.jpg", "c.jpg"]


def test_pipes_and_terminals_get_each_line_at_once() -> None:
    for entry in (
        ResultLine("a.jpg", {"faces": [{THUMBNAIL: "...", "age": 3}]}),
        ResultLine("b", error="c"),
    ):
        pipe = Pipe()
        printer_for(pipe).write(entry)
        assert pipe.flushed == 1
        assert "thumbnail" not in pipe.getvalue()
        assert pipe.getvalue().count("\n") == 1
    shown = Terminal()
    printer_for(shown).write(ResultLine("a.jpg", {"faces": [{"age": 3}]}))
    assert shown.getvalue().startswith("source ") and shown.flushed == 1


def test_few_rows_have_columns_as_wide_as_they_need() -> None:
    rows: list[dict[str, Any]] = [
        {"name": "yunet", "MB": 0.2, "there": True},
        {"name": "a", "MB": None, "there": False},
    ]
    shown, pipe = Terminal(), io.StringIO()
    print_rows(rows, shown)
    assert shown.getvalue() == "name   MB   there\nyunet  0.2  yes\na      -    no\n"
    print_rows(rows, pipe)
    assert [json.loads(line) for line in pipe.getvalue().splitlines()] == rows
