import csv
import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.report import RESULTS, Report, command_line, table, validate, without_folders


def report() -> Report:
    return Report(
        "detect",
        rows=[{"detector": "ssd", "images_per_second": 2.0, "images_per_second_q1": 1.5}],
        machine={"system": "", "cpu": "", "cores": 2, "memory_gb": 8, "gpu": None, "load": 0.1},
        versions=dict.fromkeys(["python", "deepface", "commit", "torch", "numpy", "opencv"], "1"),
    )


def test_report_is_saved_as_json_and_csv(tmp_path: Path) -> None:
    path = report().save(tmp_path, tag="gpu")
    assert path.name.startswith("detect-") and path.name.endswith("-gpu.json")
    document = json.loads(path.read_text())
    validate(document)
    with path.with_suffix(".csv").open() as file:
        (row,) = csv.DictReader(file)
    assert row["detector"] == "ssd"
    assert row["cores"] == "2"
    assert row["torch"] == "1"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rows": []}, "no rows"),
        ({"rows": [{"detector": {"name": "ssd"}}]}, "not flat"),
        ({"extra": 1}, "extra"),
        ({"date": "yesterday"}, "yesterday"),
        ({"machine": {"cpu": "x"}}, "machine lacks"),
        ({"versions": {}}, "versions lacks"),
        ({"notes": "none"}, "notes is not of type list"),
        ({"schema": 2}, "schema is 2"),
        ({"notes": ["see /home/me/pictures/a.jpg"]}, "path of this machine"),
        ({"command": "python -m benchmarks detect --images=/data/faces/x"}, "path of this machine"),
    ],
)
def test_a_broken_document_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        validate(report().document() | change)


def test_committed_results_keep_the_schema() -> None:
    for path in RESULTS.glob("*.json"):
        validate(json.loads(path.read_text()))
        assert path.with_suffix(".csv").exists(), path.name


def test_folders_are_cut_from_paths_but_not_from_urls() -> None:
    text = "/home/me/w/ssd.pth is missing; get https://github.com/a/b/ssd.pth or ../shared/x/y"
    expected = "ssd.pth is missing; get https://github.com/a/b/ssd.pth or ../shared/x/y"
    assert without_folders(text) == expected


def test_command_line_names_no_folder_of_this_machine() -> None:
    arguments = ["detect", "--published", "/opt/env/bin/python", "--images=/data/faces/"]
    expected = "python -m benchmarks detect --published python --images=faces"
    assert command_line(arguments) == expected
    address = command_line(["index", "--details", "mysql://me:se@cret@127.0.0.1:3306/faces"])
    assert address == "python -m benchmarks index --details mysql://127.0.0.1:3306/faces"


def test_table_shows_quartiles_and_leaves_empty_columns_out() -> None:
    rows: list[dict[str, Any]] = [
        {"name": "a", "ms": 12.34, "ms_q1": 12.0, "ms_q3": 13.0, "gpu": None},
        {"name": "b", "ms": None, "gpu": None},
    ]
    assert table(rows, {"name": "name", "ms": "ms", "gpu": "GPU MB"}).splitlines() == [
        "| name | ms           |",
        "| ---- | ------------ |",
        "| a    | 12.3 (12–13) |",
        "| b    | –            |",
    ]
