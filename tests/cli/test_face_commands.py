"""``extract``, ``represent`` and ``analyze``: results are the functions', in every format."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from deepface import DeepFace
from deepface.types import Image
from tests.cli.command import grey_pictures, lines, run
from tests.data import data, package_pictures
from tests.stand_ins import ColorModel, cached

PORTRAIT, _, STREET = (str(path) for path in package_pictures())


@pytest.fixture
def faceless(tmp_path: Path) -> Path:
    return grey_pictures(tmp_path / "faceless", 3)


def test_extract_gives_what_the_function_gives() -> None:
    result = run("extract", PORTRAIT)
    assert result.exit_code == 0
    assert result.stderr == ""  # neither bar nor summary where nobody looks
    expected = DeepFace.extract_faces(PORTRAIT)
    (line,) = lines(result)
    assert line["source"] == PORTRAIT
    for face, want in zip(line["faces"], expected, strict=True):
        without_pixels = {key: value for key, value in want.items() if key != "face"}
        assert face == json.loads(json.dumps(without_pixels))


def test_pictures_are_decoded_where_asked() -> None:
    arguments = ["extract", STREET, "--detector-backend", "mtcnn", "--device", "cpu"]
    expected = lines(run(*arguments))
    assert lines(run(*arguments, "--decode", "device")) == expected
    wrong = run(*arguments, "--decode", "gpu")
    assert wrong.exit_code == 2
    assert "'gpu' is not one of 'cpu', 'device'" in wrong.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["extract_faces", "--img_path", PORTRAIT, "--detector_backend", "opencv", "--align=False"],
        ["extract", "--noalign", PORTRAIT],
        ["extract", PORTRAIT, "--align", "False", "--max_faces", "None"],
        ["extract", "--img-path", f"['{PORTRAIT}']", "--no-align"],
    ],
)
def test_published_forms_of_flags(arguments: list[str]) -> None:
    expected = DeepFace.extract_faces(PORTRAIT, align=False)
    (line,) = lines(run(*arguments))
    assert [face["facial_area"]["x"] for face in line["faces"]] == [
        face["facial_area"]["x"] for face in expected
    ]


def test_a_switch_alone_does_not_swallow_the_picture_after_it() -> None:
    assert lines(run("extract", "--align", PORTRAIT))[0]["source"] == PORTRAIT


def test_many_pictures_without_a_face_are_no_failures(faceless: Path) -> None:
    result = run("extract", faceless)
    assert result.exit_code == 0
    assert [line["faces"] for line in lines(result)] == [[], [], []]
    result = run("extract", faceless, "--enforce-detection", "True")
    assert result.exit_code == 1
    assert all("Face could not be detected" in line["error"] for line in lines(result))


def test_one_picture_without_a_face_is_an_error_as_published(faceless: Path) -> None:
    result = run("extract", faceless / "000.png")
    assert result.exit_code == 1
    assert "Face could not be detected" in result.stderr
    result = run("extract", faceless / "000.png", "--enforce_detection", "False")
    assert lines(result)[0]["faces"][0]["facial_area"]["w"] == 79


def test_failures_are_told_at_the_end_and_the_rest_goes_on(tmp_path: Path) -> None:
    shutil.copy(PORTRAIT, tmp_path / "b.png")
    (tmp_path / "a.jpg").write_bytes(b"no picture")
    result = run("extract", tmp_path, "missing.jpg")
    assert result.exit_code == 1
    broken, whole, missing = lines(result)
    assert len(whole["faces"]) == 1
    assert "Failed to decode image" in broken["error"]
    assert "Confirm that missing.jpg exists" in missing["error"]
    assert "2 pictures failed" in result.stderr
    assert "Traceback" not in result.stderr


def test_odd_files_fail_alone(tmp_path: Path) -> None:
    output = tmp_path / "odd.jsonl"
    pictures = data("images", "odd", "derived")
    result = run("extract", pictures, "--detector-backend", "skip", "--output", output)
    entries = [json.loads(line) for line in output.read_text().splitlines()]
    assert result.exit_code == 1
    failed = {Path(entry["source"]).name for entry in entries if "error" in entry}
    assert {"empty.jpg", "html_named.jpg"} <= failed
    assert sum(bool(entry["faces"]) for entry in entries if "faces" in entry) > 5


def test_formats_hold_the_same_rows(tmp_path: Path, faceless: Path) -> None:
    pa = pytest.importorskip("pyarrow.parquet")
    places = {kind: tmp_path / f"faces.{kind}" for kind in ("jsonl", "json", "csv", "parquet")}
    with cached("facial_recognition", "colors", ColorModel()):
        for place in places.values():
            result = run(
                *("represent", PORTRAIT, PORTRAIT, faceless, "--model-name", "colors"),
                *("--output", place),
            )
            assert result.exit_code == 0, result.stderr
            assert result.stdout == ""
    entries = [json.loads(line) for line in places["jsonl"].read_text().splitlines()]
    assert json.loads(places["json"].read_text()) == entries
    assert len(entries) == 5
    faces = [(entry["source"], face) for entry in entries for face in entry["faces"]]
    with places["csv"].open(newline="") as file:
        rows = list(csv.DictReader(file))
    table = pa.read_table(places["parquet"]).to_pylist()
    assert len(rows) == len(table) == len(faces) > 1
    for (source, face), row, line in zip(faces, rows, table, strict=True):
        assert row["source"] == line["source"] == source
        area = face["facial_area"]
        assert [int(row[key]) for key in "xywh"] == [line[key] for key in "xywh"]
        assert [line[key] for key in "xywh"] == [area[key] for key in "xywh"]
        assert json.loads(row["embedding"]) == face["embedding"]
        np.testing.assert_array_equal(
            np.float32(line["embedding"]),
            np.float32(face["embedding"]),  # type: ignore[arg-type]
        )
    left = sorted(path.name for path in tmp_path.iterdir() if path != faceless)
    assert left == sorted(
        name for kind in places for name in (f"faces.{kind}", f".faces.{kind}.run")
    )


def test_extract_cuts_faces_out_into_a_folder(tmp_path: Path) -> None:
    result = run("extract", PORTRAIT, "--output", tmp_path / "crops")
    assert result.exit_code == 0, result.stderr
    (face,) = json.loads((tmp_path / "crops" / "faces.jsonl").read_text())["faces"]
    crop = cv2.imread(str(tmp_path / "crops" / face["file"]))
    expected = DeepFace.extract_faces(PORTRAIT, color_face="bgr", normalize_face=False)[0]["face"]
    np.testing.assert_array_equal(crop, expected)  # type: ignore[arg-type]
    run("extract", PORTRAIT, "--output", tmp_path / "grey", "--color_face", "gray")
    (grey,) = (tmp_path / "grey").glob("*.png")
    assert cv2.imread(str(grey), cv2.IMREAD_UNCHANGED).ndim == 2  # type: ignore[union-attr]


def test_faces_that_are_no_longer_listed_are_taken_out_of_the_folder(tmp_path: Path) -> None:
    """Those of an earlier run: no other file."""
    pictures, folder = grey_pictures(tmp_path / "pictures", 3), tmp_path / "crops"
    arguments = ("extract", pictures, "--detector-backend", "skip", "--output", folder)
    assert run(*arguments).exit_code == 0
    crops = {path.name for path in folder.glob("*.png")}
    assert len(crops) == 3
    (folder / "mine.png").write_bytes(b"")
    (pictures / "001.png").unlink()
    assert run(*arguments).exit_code == 0
    left = {path.name for path in folder.glob("*.png")}
    assert left == {"mine.png", *(name for name in crops if not name.startswith("001"))}


def test_annotated_pictures_and_contact_sheet(tmp_path: Path, faceless: Path) -> None:
    for places in (["--output", f"{tmp_path}/faces.csv"], []):  # at the end, and as they come
        sheet = tmp_path / f"sheet{len(places)}.png"
        result = run(
            *("extract", PORTRAIT, STREET, str(faceless), *places),
            *("--annotate", f"{tmp_path}/marked", "--contact-sheet", str(sheet)),
        )
        assert result.exit_code == 0, result.stderr
        assert "thumbnail" not in result.stdout
        assert len(list((tmp_path / "marked").glob("*.jpg"))) == 5
        marked = _read(next((tmp_path / "marked").glob("astronaut*")))
        original = _read(Path(PORTRAIT))
        assert marked.shape == original.shape
        assert (np.abs(marked.astype(int) - original).max(2) > 100).sum() > 300
        page = _read(sheet)
        assert page.shape[0] == 120
        assert (page.shape[1] - 4) % 116 == 0
    assert "thumbnail" not in (tmp_path / "faces.csv").read_text()


def test_sources_of_one_name_have_files_of_their_own(tmp_path: Path) -> None:
    """URLs are named without what comes after the question mark."""
    output = tmp_path / "faces"
    places = ("--output", output, "--annotate", tmp_path / "marked")
    for _ in range(2):  # a run begins to count anew
        result = run("extract", PORTRAIT, PORTRAIT, *places, "--detector-backend", "skip")
        assert result.exit_code == 0, result.stderr
        entries = [json.loads(line) for line in (output / "faces.jsonl").read_text().splitlines()]
        files = {face["file"] for entry in entries for face in entry["faces"]}
        assert len(files) == 2
        assert files == {path.name for path in output.glob("*.png")}
        assert len(list((tmp_path / "marked").glob("*.jpg"))) == 2


def test_tables_are_utf8_whatever_the_names_are(tmp_path: Path) -> None:
    folder = grey_pictures(tmp_path / "pictures", 1)
    (folder / "000.png").rename(folder / 'a, "b"\nü\udcff.png')
    name = f'{folder}/a, "b"\nü\\udcff.png'
    for suffix in (".csv", ".parquet"):
        output = tmp_path / f"faces{suffix}"
        result = run("extract", folder, "--detector-backend", "skip", "--output", output)
        assert result.exit_code == 0, result.stderr
        if suffix == ".csv":
            with output.open(newline="", encoding="utf-8") as file:
                assert next(csv.DictReader(file))["source"] == name
        else:
            pa = pytest.importorskip("pyarrow.parquet")
            assert pa.read_table(output)["source"].to_pylist() == [name]


def _read(path: Path) -> Image:
    image = cv2.imread(str(path))
    assert image is not None
    return image  # type: ignore[return-value]


def test_analyze_gives_attributes(monkeypatch: pytest.MonkeyPatch) -> None:
    class Age:
        def describe(self, batch: np.ndarray) -> list[dict[str, int]]:  # type: ignore[type-arg]
            return [{"age": 30 + len(batch)} for _ in batch]

    with cached("facial_attribute", "Age", Age()):
        result = run("analyze", PORTRAIT, "--actions", "['age']")
        assert result.exit_code == 0, result.stderr
        (line,) = lines(result)
        assert line["faces"][0]["age"] == 31
        assert run("analyze", PORTRAIT, "--actions", "age,height").exit_code == 2


@pytest.mark.parametrize(
    ("every", "frames"),
    [((), [0, 1, 2, 3, 4]), (("--every", "1"), [0, 1, 2, 3, 4]), (("--every", "2"), [0, 2, 4])],
)
@pytest.mark.parametrize("command", ["extract", "find"])
def test_every_nth_frame(
    tmp_path: Path, command: str, every: tuple[str, ...], frames: list[int]
) -> None:
    clip = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(clip), cv2.VideoWriter.fourcc(*"MJPG"), 10, (80, 80))
    if not writer.isOpened():
        pytest.skip("this OpenCV writes no video")
    for _ in range(5):
        writer.write(np.full((80, 80, 3), 42, np.uint8))
    writer.release()
    people = grey_pictures(tmp_path / "people", 1)
    place = ("--db-path", str(people), "--model-name", "colors", "--threshold", "9")
    with cached("facial_recognition", "colors", ColorModel()):
        result = run(
            *(command, str(clip), "--detector-backend", "skip", *every),
            *(place if command == "find" else ()),
        )
    assert result.exit_code == 0, result.stderr
    assert [line["source"] for line in lines(result)] == [f"{clip}#{frame}" for frame in frames]


def test_video_frames_have_times() -> None:
    clip = data("images", "video", "faceapi_video.mp4")
    result = run("extract", clip, "--every", "2", "--detector-backend", "skip")
    found = lines(result)
    assert [line["source"] for line in found[:2]] == [f"{clip}#0", f"{clip}#2"]
    assert found[1]["seconds"] > 0
