"""The page of results: newest rows per kind, losses, plots."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.__main__ import main, parser
from benchmarks.page import SECTIONS, losses, machine_name, newest_rows, read_documents, suites
from benchmarks.report import RESULTS

DETECT = next(section for section in SECTIONS if section.benchmark == "detect")


def document(date: str, rows: list[dict[str, Any]], **changes: Any) -> dict[str, Any]:
    machine = {
        "system": "Linux", "cpu": "fast", "cores": 2, "memory_gb": 8, "gpu": None, "load": 0.1,
        **changes,
    }  # fmt: skip
    versions = dict.fromkeys(("python", "deepface", "commit", "torch", "numpy", "opencv"), "1")
    return {
        "schema": 1, "benchmark": "detect", "date": date, "command": "python -m benchmarks",
        "machine": machine, "versions": versions, "settings": {"function": "detect_faces"},
        "notes": [], "rows": rows,
    }  # fmt: skip


def row(detector: str, run: str, rate: float, **more: Any) -> dict[str, Any]:
    return {"detector": detector, "sizes": "mixed", "run": run, "images_per_second": rate, **more}


@pytest.fixture
def documents() -> list[dict[str, Any]]:
    """Newest first, as the page wants them."""
    return [
        document("2026-02-01T00:00:00", [row("ssd", "loop", 20.0), row("ssd", "batch 8", 18.0)]),
        document("2026-01-02T00:00:00", [row("ssd", "loop", 90.0, batch=8)], gpu="H100, 80 GB"),
        document("2026-01-01T00:00:00", [row("ssd", "loop", 10.0), row("yunet", "loop", 5.0)]),
    ]


def test_each_kind_comes_from_its_newest_result(documents: list[dict[str, Any]]) -> None:
    rows = newest_rows(documents, DETECT)
    found = [(r["detector"], r["images_per_second"], r["machine"]) for r in rows]
    assert found == [
        ("ssd", 20.0, "fast, 2 cores"),
        ("ssd", 18.0, "fast, 2 cores"),
        ("ssd", 90.0, "H100"),
        ("yunet", 5.0, "fast, 2 cores"),
    ]


def test_losses_are_found() -> None:
    rows = [
        row("ssd", "batch 8", 1.0, to_loop=0.9),
        row("ssd", "batch 9", 1.0, to_loop=1.1, to_published=0.99),
        row("ssd", "published", 1.0, to_loop=0.5),
        {"model": "ArcFace", "run": "published, tensorflow", "ours_faster": 0.93},
    ]
    assert [(r["against"], r["ratio"]) for r in losses(rows)] == [
        ("one by one", 0.9),
        ("published", 0.99),
        ("published, tensorflow", 0.93),
    ]


def test_machine_names() -> None:
    gpu = document("2026-01-01T00:00:00", [], gpu="H100, 80 GB")
    assert machine_name(gpu) == "H100"
    gpu["settings"]["device"] = "cpu"
    assert machine_name(gpu) == "fast, 2 cores"
    assert machine_name(document("", [], omp_num_threads="1")) == "fast, 2 cores, 1 thread(s)"


def test_a_page_is_written(documents: list[dict[str, Any]], tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="needs matplotlib")
    for number, content in enumerate(documents):
        (tmp_path / f"{number}.json").write_text(json.dumps(content))
    assert main(["report", "--no-run", "--out", str(tmp_path)]) == 0
    page = (tmp_path / "README.md").read_text()
    assert "## Detection: throughput against batch size" in page
    assert "| H100 " in page
    assert "Nowhere in these results." in page
    assert "![Detection" in page
    assert (tmp_path / "plots" / "detect.png").stat().st_size > 1000


def test_the_committed_results_make_a_page(tmp_path: Path) -> None:
    documents = read_documents(RESULTS)
    assert [d["date"] for d in documents] == sorted((d["date"] for d in documents), reverse=True)
    for section in SECTIONS:
        for found in filter(section.keep, newest_rows(documents, section)):
            assert set(section.columns) & set(found)


def test_without_results_there_is_no_page(tmp_path: Path) -> None:
    assert main(["report", "--no-run", "--out", str(tmp_path)]) == 1
    assert not list(tmp_path.iterdir())


def test_every_suite_is_a_command_line_that_the_program_takes(tmp_path: Path) -> None:
    arguments = ["report", "--images", str(tmp_path), "--published", "python", "--device", "cpu"]
    arguments += ["--stand-ins", "reference_weights.py"]
    found = suites(parser().parse_args(arguments))
    assert len(found) > 5
    for name, options in found.items():
        assert parser().parse_args([name, *options]).command == name
    assert list(suites(parser().parse_args([*arguments, "--only", "soak,import"]))) == [
        "import",
        "soak",
    ]


def test_a_suite_that_fails_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib", reason="needs matplotlib")
    (tmp_path / "a.json").write_text(
        json.dumps(document("2026-01-01T00:00:00", [row("ssd", "loop", 1.0)]))
    )
    monkeypatch.setattr("benchmarks.page.suites", lambda args: {"import": ["--no-such-option"]})
    assert main(["report", "--out", str(tmp_path)]) == 1
    assert "Suites that failed in the last run: import (2)" in (tmp_path / "README.md").read_text()
