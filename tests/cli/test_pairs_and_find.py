"""``verify`` and ``find``: results are the functions', and one bad item costs one item."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from deepface import DeepFace
from deepface.cli.attempts import attempts
from deepface.errors import ImgNotFound, WeightsError
from deepface.pipeline.open_gallery import open_gallery
from tests.cli.command import grey_pictures, lines, run
from tests.data import package_pictures
from tests.stand_ins import ColorModel, cached

PORTRAIT, MEN, _ = (str(path) for path in package_pictures())
OPTIONS = ("--model_name", "colors", "--threshold", "0.4")
#: Where faces are looked for is no matter of pairs.
WHOLE = (*OPTIONS, "--detector-backend", "skip")


@pytest.fixture(autouse=True)
def colors() -> Iterator[None]:
    with cached("facial_recognition", "colors", ColorModel()):
        yield


def test_verify_as_published() -> None:
    expected = DeepFace.verify(PORTRAIT, MEN, model_name="colors", threshold=0.4)
    for pictures in (["--img1_path", PORTRAIT, "--img2_path", MEN], [PORTRAIT, MEN]):
        result = run("verify", *pictures, *OPTIONS)
        assert result.exit_code == 0, result.stderr
        (line,) = lines(result)
        assert line["source"] == [PORTRAIT, MEN]
        for key in ("verified", "distance", "threshold", "model", "similarity_metric"):
            assert line[key] == expected[key]


def test_pairs_on_stdin(tmp_path: Path) -> None:
    pairs = f"{PORTRAIT}\t{PORTRAIT}\n{PORTRAIT}\tmissing.jpg\n{MEN}\t{PORTRAIT}\n"
    output = tmp_path / "pairs.csv"
    result = run("verify", "-", *WHOLE, "--output", output, stdin=pairs)
    assert result.exit_code == 1
    failed = f"{PORTRAIT}\tmissing.jpg: Exception while processing img2_path: Confirm that missing"
    assert failed in result.stderr
    with output.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["img1_path"], row["img2_path"]) for row in rows] == [
        (PORTRAIT, PORTRAIT),
        (MEN, PORTRAIT),
    ]
    assert rows[0]["verified"] == "True"


def test_a_line_that_is_no_pair_fails_alone() -> None:
    wrong = {1: "one path only", 3: "\tb.jpg", 4: "a.jpg\t", 6: "a b"}
    pair = f"{PORTRAIT}\t{PORTRAIT}"
    listed = [wrong.get(number, pair if number in (2, 7) else " ") for number in range(1, 8)]
    for size in ("1", "3", "32"):
        stdin = "\n".join(listed)
        result = run("verify", "-", *WHOLE, "--batch-size", size, stdin=stdin)
        assert result.exit_code == 1
        found = lines(result)
        reasons = [entry["error"] for entry in found if "error" in entry]
        assert reasons == [
            f"line {number} of stdin is no pair: two names with a tab between them"
            for number in wrong
        ]
        assert [entry["source"] for entry in found if "error" in entry] == list(wrong.values())
        assert [entry["verified"] for entry in found if "error" not in entry] == [True, True]
        assert len(found) == 6


def test_pairs_that_nuls_end(tmp_path: Path) -> None:
    odd = tmp_path / "a\tb\n.png"
    shutil.copy(PORTRAIT, odd)
    names = [str(odd), PORTRAIT, "", PORTRAIT, str(odd), str(odd), "alone"]
    result = run("verify", "-", "-0", *WHOLE, stdin="\0".join(names) + "\0")
    first, second, third, last = lines(result)
    assert first["source"] == [str(odd), PORTRAIT] and first["verified"]
    assert second["error"] == "name 3 of stdin or the one after it is empty"
    assert third["source"] == [str(odd)] * 2 and third["verified"]
    assert "name 7 of stdin" in last["error"] and last["source"] == "alone"


@pytest.mark.parametrize("pair", [("", PORTRAIT), (PORTRAIT, ""), ("", "")])
def test_an_empty_name_of_a_pair(pair: tuple[str, str], tmp_path: Path) -> None:
    result = run("verify", *pair, *OPTIONS)
    assert result.exit_code == 1
    told = lines(result)[0]["error"]
    assert told.startswith(f"Exception while processing img{2 if pair[0] else 1}_path: ")
    assert told.count("empty") == 1


def test_a_similarity_search_tells_the_threshold(tmp_path: Path) -> None:
    people = grey_pictures(tmp_path / "people", 3)
    shutil.copy(PORTRAIT, people)
    result = run("find", PORTRAIT, people, *WHOLE, "--similarity-search")
    matches = lines(result)[0]["faces"][0]["matches"]
    assert len(matches) == 4
    assert {match["threshold"] for match in matches} == {0.4}
    judged = DeepFace.find(
        PORTRAIT, people, model_name="colors", threshold=0.4, similarity_search=True,
        detector_backend="skip", return_type="pandas", silent=True,
    )[0]  # fmt: skip
    assert [match["confidence"] for match in matches] == judged["confidence"].tolist()


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


def test_find_opens_the_folder_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many pictures are looked for, and however many of them are broken."""
    opened: list[Any] = []

    def note(*args: Any, **kwargs: Any) -> Any:
        opened.append(args)
        return open_gallery(*args, **kwargs)

    monkeypatch.setattr("deepface.pipeline.find.open_gallery", note)
    people, probes = grey_pictures(tmp_path / "people", 3), grey_pictures(tmp_path / "probes", 40)
    for number in (0, 17, 39):
        (probes / f"{number:03}.png").write_bytes(b"broken")
    result = run(
        "find", probes, people, *WHOLE, "--distance-metric", "euclidean", "--batch-size", "8"
    )
    assert result.exit_code == 1
    assert len(opened) == 1
    found = lines(result)
    assert [Path(line["source"]).name for line in found] == [f"{n:03}.png" for n in range(40)]
    assert [number for number, line in enumerate(found) if "error" in line] == [0, 17, 39]
    assert found[1]["faces"][0]["matches"][0]["identity"] == str(people / "001.png")


def test_find_in_a_video(tmp_path: Path) -> None:
    people = grey_pictures(tmp_path / "people", 3)
    clip = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(clip), cv2.VideoWriter.fourcc(*"MJPG"), 10, (80, 80))
    if not writer.isOpened():
        pytest.skip("this OpenCV writes no video")
    for _ in range(6):
        writer.write(np.full((80, 80, 3), 42, np.uint8))
    writer.release()
    result = run("find", clip, people, *WHOLE, "--every", "4")
    assert [line["source"] for line in lines(result)] == [f"{clip}#0", f"{clip}#4"]
    assert [line["seconds"] for line in lines(result)] == pytest.approx([0, 0.4])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (["--model-name", "nobody"], "nobody"),
        (["--k", "-1"], "k must be at least 0"),
        (["--db-path", "nowhere"], "Passed path nowhere does not exist"),
    ],
)
def test_wrong_use_of_find(tmp_path: Path, wrong: list[str], message: str) -> None:
    people = grey_pictures(tmp_path / "people", 1)
    output = tmp_path / "found.csv"
    result = run("find", PORTRAIT, "--db-path", people, *OPTIONS, "--output", output, *wrong)
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr
    assert not list(tmp_path.glob("*found*"))  # nothing that a next run would stumble over


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
