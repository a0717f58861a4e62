"""What other packages add by entry points: each name once, and what is wrong is told."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace

import pytest

from deepface.errors import MissingPackageError, UnimplementedError
from deepface.runtime.additions import additions, class_at
from deepface.runtime.card import Card

MODULE = """
from types import SimpleNamespace as Thing

ONE, TWO, NAMED, TEXT = Thing(), Thing(name="two"), Thing(name="another"), "no thing"
"""
#: Of two packages.
POINTS = (
    "one = some_things:ONE\ntaken = some_things:ONE\ntext = some_things:TEXT\n",
    "one = some_things:ONE\ntwo = some_things:TWO\nnamed = some_things:NAMED\nabsent = nowhere:X\n",
)


@pytest.mark.parametrize("path", ["nowhere.at.all:Thing", "json:Nothing", "json", "json:loads"])
def test_what_is_not_there_is_an_error_of_ours(path: str) -> None:
    """Of a model, too: it names what was asked for."""
    kind = MissingPackageError if "nowhere" in path else UnimplementedError
    with pytest.raises(kind, match="the model odd"):
        Card(name="odd", model=path, summary="Odd.").load()
    with pytest.raises(kind, match="the store"):
        class_at(path, "the store")
    assert class_at("json:JSONDecoder", "the store").__name__ == "JSONDecoder"


def test_each_name_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "some_things.py").write_text(MODULE)
    for number, points in enumerate(POINTS):
        metadata = tmp_path / f"things{number}-1.0.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: things{number}\nVersion: 1.0\n"
        )
        (metadata / "entry_points.txt").write_text(f"[deepface.things]\n{points}")
    monkeypatch.syspath_prepend(str(tmp_path))
    found = additions("deepface.things", SimpleNamespace, {"taken"})
    assert sorted(found) == ["one", "two"]
    assert found["two"].name == "two"
    told = re.findall(r"entry point (\w+) = ", caplog.text)
    assert sorted(told) == ["absent", "named", "one", "taken", "text"]
    assert additions("deepface.nobody", SimpleNamespace, ()) == {}
