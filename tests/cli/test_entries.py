"""Entries: as lines of JSON and back, as rows of a table, and what is remembered of them."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepface.cli.entries import THUMBNAIL, KeptRows, ResultLine, innermost
from deepface.errors import DeepFaceError, ImgNotFound, with_item

NAMES = st.text(st.characters(exclude_categories=()), max_size=20)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | NAMES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=10,
)


@given(
    NAMES | st.lists(NAMES, min_size=2, max_size=2),
    st.lists(st.dictionaries(NAMES, VALUES, max_size=3), max_size=3),
    st.none() | NAMES,
    st.sampled_from(["utf-8", "ascii", "latin-1"]),
)
def test_a_line_is_the_entry(source: Any, faces: Any, error: str | None, encoding: str) -> None:
    entry = ResultLine(source, {"faces": faces}, error)
    line = entry.to_json(encoding)
    assert "\n" not in line
    line.encode(encoding)
    back = ResultLine.from_json(line.encode(encoding).decode(encoding))
    assert back.result["faces"] == faces
    assert (back.key, back.error) == (entry.key, error)


@pytest.mark.parametrize(
    ("name", "encoding", "written"),
    [
        ("né 顔", "utf-8", "né 顔"),
        ("né 顔", "ascii", r"n\u00e9 \u9854"),
        ("né", "latin-1", "né"),
        ("né 顔", "latin-1", r"n\u00e9 \u9854"),
        ("n\udc80", "utf-8", r"n\udc80"),
    ],
)
def test_only_what_an_encoding_lacks_is_escaped(name: str, encoding: str, written: str) -> None:
    assert written in ResultLine(name).to_json(encoding)


def test_what_json_does_not_have() -> None:
    values = {"a": math.nan, "b": [math.inf, -math.inf], "c": np.float32(0.5), "d": np.arange(2)}
    line = ResultLine("x", {**values, "e": (1, 2), "f": {"g": np.bool_(True)}}).to_json()
    assert json.loads(line) == {
        "source": "x", "a": None, "b": [None, None], "c": 0.5, "d": [0, 1], "e": [1, 2],
        "f": {"g": True},
    }  # fmt: skip


@pytest.mark.parametrize(
    "line",
    [
        "", "null", "[]", "3", '"a"', "{}", '{"source": 3}', '{"source": ["a"]}',
        '{"source": ["a", "b", "c"]}', '{"source": ["a", 3]}', '{"source": "a", "error": 3}',
        '{"source": "a", "faces": 3}', '{"source": "a", "faces": [3]}',
        '{"source": "a", "faces": {}}', '{"source": "a"', "[" * 100_000,
    ],
)  # fmt: skip
def test_what_is_no_entry(line: str) -> None:
    with pytest.raises(ValueError):
        ResultLine.from_json(line)


def test_an_outline_has_as_many_faces_and_no_results() -> None:
    faces = [{"embedding": [1.0], "file": "a.png", THUMBNAIL: "xyz"}, {"age": 3}]
    assert ResultLine("a", {"seconds": 1, "faces": faces}).outline() == ResultLine(
        "a", {"faces": [{"file": "a.png", THUMBNAIL: "xyz"}, {}]}
    )
    assert ResultLine("a", {"faces": []}).outline() == ResultLine("a", {"faces": []})
    assert ResultLine(["a", "b"], {"verified": True}).outline() == ResultLine(["a", "b"])
    assert ResultLine("a", error="broken").outline() == ResultLine("a", error="broken")


def test_rows() -> None:
    area = {"x": 1, "y": 2, "w": 3, "h": 4, "left_eye": (5, 6), "right_eye": None}
    face = {"facial_area": area, "emotion": {"happy": 0.5}, THUMBNAIL: "xyz"}
    other = {"region": {"x": 9}}
    flat: dict[str, Any] = {"x": 1, "y": 2, "w": 3, "h": 4, "left_eye_x": 5, "left_eye_y": 6}
    flat |= {"right_eye_x": None, "right_eye_y": None, "emotion_happy": 0.5}
    assert list(ResultLine("a", {"seconds": 0.5, "faces": [face, other]}).rows()) == [
        {"source": "a", "seconds": 0.5, "face": 0, **flat},
        {"source": "a", "seconds": 0.5, "face": 1, "x": 9},
    ]
    matches = [{"identity": "b"}, {"identity": "c"}]
    assert list(ResultLine("a", {"faces": [{"matches": []}, {"matches": matches}]}).rows()) == [
        {"source": "a", "face": 1, "identity": "b"},
        {"source": "a", "face": 1, "identity": "c"},
    ]
    pair = ResultLine(["a", "b"], {"verified": True, "facial_areas": {"img1": area}})
    (row,) = pair.rows()
    assert row["img1_path"] == "a" and row["img2_path"] == "b"
    assert row["facial_areas_img1_x"] == 1 and row["facial_areas_img1_left_eye_y"] == 6
    assert list(ResultLine("a", {"faces": [face]}, error="broken").rows()) == []
    assert list(KeptRows("", kept=[{"a": 1}]).rows()) == [{"a": 1}]


def test_errors_are_told_without_the_name_of_their_item() -> None:
    for error, text in (
        (with_item(ImgNotFound("there is none"), 3, "a.jpg"), "there is none"),
        (with_item(ZeroDivisionError("by zero"), 3, "a.jpg"), "by zero"),
        (ImgNotFound("Exception while loading a.jpg: broken"), "broken"),
        (ImgNotFound("Exception while loading b.jpg: broken"),
         "Exception while loading b.jpg: broken"),
        (DeepFaceError(""), "DeepFaceError"),
    ):  # fmt: skip
        entry = ResultLine.of_error("a.jpg", error)
        assert (entry.source, entry.error, entry.result) == ("a.jpg", text, {})
    odd = "a) (item 3.*[jpg"
    assert ResultLine.of_error(odd, with_item(ImgNotFound("no"), 1, odd)).error == "no"
    inner = ImgNotFound("no")
    inner.__cause__ = OSError("deeper")
    assert innermost(with_item(inner, 0, "x")) is inner


def test_a_key_is_one_text() -> None:
    assert ResultLine("a").key == "a"
    assert ResultLine(["a", "b"]).key == "a\tb"
    assert ResultLine("a").faces == []
