"""``verify`` and ``find``: results are the functions', and one bad item costs one item."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from deepface import DeepFace
from deepface.cli.attempts import attempts
from deepface.errors import ImgNotFound, WeightsError
from tests.cli.command import grey_pictures, lines, run
from tests.data import package_pictures
from tests.stand_ins import ColorModel, cached

PORTRAIT, MEN, _ = (str(path) for path in package_pictures())
OPTIONS = ("--model_name", "colors", "--threshold", "0.4")


@pytest.fixture(autouse=True)
def colors() -> Iterator[None]:
    with cached("facial_recognition", "colors", ColorModel()):
        yield


@pytest.mark.parametrize(
    "pictures", [["--img1_path", PORTRAIT, "--img2_path", MEN], [PORTRAIT, MEN]]
)
def test_verify_as_published(pictures: list[str]) -> None:
    result = run("verify", *pictures, *OPTIONS)
    assert result.exit_code == 0, result.stderr
    (line,) = lines(result)
    expected = DeepFace.verify(PORTRAIT, MEN, model_name="colors", threshold=0.4)
    assert line["source"] == [PORTRAIT, MEN]
    for key in ("verified", "distance", "threshold", "model", "similarity_metric"):
        assert line[key] == expected[key]


def test_pairs_on_stdin(tmp_path: Path) -> None:
    pairs = f"{PORTRAIT}\t{PORTRAIT}\n{PORTRAIT}\tmissing.jpg\n{MEN}\t{PORTRAIT}\n"
    output = tmp_path / "pairs.csv"
    result = run("verify", "-", *OPTIONS, "--output", output, stdin=pairs)
    assert result.exit_code == 1
    assert "missing.jpg" in result.stderr
    with output.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["img1_path"], row["img2_path"]) for row in rows] == [
        (PORTRAIT, PORTRAIT),
        (MEN, PORTRAIT),
    ]
    assert rows[0]["verified"] == "True"
    assert run("verify", "-", *OPTIONS, stdin="one path only\n").exit_code == 2


def test_find(tmp_path: Path) -> None:
    folder = tmp_path / "people"
    folder.mkdir()
    for picture in (PORTRAIT, MEN):
        shutil.copy(picture, folder)
    nobody = grey_pictures(tmp_path / "nobody", 1) / "000.png"
    result = run("find", PORTRAIT, "missing.jpg", nobody, "--db-path", folder, *OPTIONS)
    assert result.exit_code == 1
    found, missing, empty = lines(result)
    expected = DeepFace.find(
        PORTRAIT, folder, model_name="colors", threshold=0.4, return_type="dict", silent=True
    )
    assert [face["matches"] for face in found["faces"]] == expected
    assert "Confirm that missing.jpg exists" in missing["error"]
    assert empty["faces"] == []
    positional = run("find", PORTRAIT, folder, *OPTIONS, "--output", tmp_path / "found.csv")
    assert positional.exit_code == 0, positional.stderr
    with (tmp_path / "found.csv").open(newline="") as file:
        assert [row["identity"] for row in csv.DictReader(file)] == [
            match["identity"] for matches in expected for match in matches
        ]


def test_attempts_find_the_bad_items() -> None:
    calls = []

    def call(some: Sequence[int]) -> list[int]:
        calls.append(len(some))
        if 3 in some:
            raise ImgNotFound("three")
        return [10 * item for item in some]

    results = list(attempts(iter(range(10)), call, 8))
    assert [item for item, _ in results] == list(range(10))
    assert isinstance(results[3][1], ImgNotFound)
    assert [result for _, result in results if isinstance(result, int)] == [
        10 * item for item in range(10) if item != 3
    ]
    assert len(calls) == 8  # 8, 4, 2, 2, 1, 1, 4 and 2


def test_what_no_item_is_to_blame_for_is_raised() -> None:
    calls = []

    def call(some: Sequence[int]) -> Any:
        calls.append(some)
        try:
            raise WeightsError("no weights")
        except WeightsError as error:
            raise ValueError("Exception while processing") from error

    with pytest.raises(WeightsError):
        list(attempts(range(10), call, 4))
    assert len(calls) == 1
