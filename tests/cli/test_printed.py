"""What a terminal shows, and what a pipe gets that cannot take every character."""

from __future__ import annotations

import io
import json

from deepface.cli.entries import Entry
from deepface.cli.printed import JsonLines, Table
from deepface.logger import printable

MATCH = {"identity": "people/ann.jpg", "distance": 0.25, "threshold": 0.4, "confidence": 71.5}


def table(*entries: Entry, encoding: str = "utf-8") -> list[str]:
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding, newline="\n")
    shown = Table(file)
    for entry in entries:
        shown.write(entry)
    file.seek(0)
    return file.read().splitlines()


def test_pictures_without_a_row_have_a_line() -> None:
    lines = table(
        Entry("a.jpg", {"faces": [{"matches": [MATCH]}]}),
        Entry("b.jpg", {"faces": []}),
        Entry("c.jpg", {"faces": [{"matches": []}]}),
        Entry("d.jpg", error="broken"),  # told at the end
    )
    assert lines[0].split() == ["source", "face", "identity", "distance", "threshold", "confidence"]
    assert lines[1].split() == ["a.jpg", "0", "people/ann.jpg", "0.25", "0.4", "71.5"]
    assert [line.split(maxsplit=1) for line in lines[2:]] == [
        ["b.jpg", "no face"],
        ["c.jpg", "no match"],
    ]


def test_names_cannot_break_a_line_or_steer_the_terminal() -> None:
    assert printable("a\nb\x1b[2J\udcff ü.jpg") == "a\\nb\\x1b[2J\\udcff ü.jpg"
    lines = table(Entry("two\nlines\udcff.jpg", {"faces": [{"confidence": 0.9}]}))
    assert lines[1].startswith("two\\nlines\\udcff.jpg ")


def test_a_terminal_or_pipe_without_some_characters() -> None:
    entry = Entry("ünï.jpg", {"faces": [{"confidence": 0.9}]})
    assert "\\xfcn\\xef.jpg" in table(entry, encoding="ascii")[1]
    pipe = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    JsonLines(pipe).write(entry)
    pipe.seek(0)
    assert json.loads(pipe.read())["source"] == "ünï.jpg"
