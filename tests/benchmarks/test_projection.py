"""The roofline model, by hand; and the page from counts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from benchmarks.__main__ import main
from benchmarks.projection import Card, Cost, measured, projected
from tests.data import weight

CARD = Card("card", flops=1e12, memory=1e9, bus=1e6)


@pytest.mark.parametrize(
    ("cost", "seconds", "bound"),
    [
        (Cost(1, 0, 0, [(1, 0, 1e12)]), 1.0, "arithmetic"),
        (Cost(1, 0, 0, [(1, 2_000_000_000, 1e12)]), 2.0, "memory"),
        (Cost(0, 0, 0, [(1000, 0, 0.0)]), 2e-3, "kernels"),
        (Cost(1, 0, 3_000_000, [(1, 0, 1e12)]), 4.0, "copies"),
        (Cost(100, 50, 0, [(1, 0, 0.0)]), 1.5e-3, "host"),
    ],
)
def test_the_model(cost: Cost, seconds: float, bound: str) -> None:
    found, by = projected(cost, CARD)
    assert found == pytest.approx(seconds)
    assert by == bound


@pytest.mark.skipif(torch.cuda.is_available(), reason="counts are of the stand-in")
def test_the_page(tmp_path: Path) -> None:
    weight("res10_300x300_ssd_iter_140000.caffemodel")
    page = tmp_path / "page.md"
    assert main(["projection", "--detector", "ssd", "--batch", "1,2", "--page", str(page)]) == 0
    text = page.read_text()
    assert "**Only the last column was measured**" in text
    assert [line.split("|")[1].strip() for line in text.splitlines()[-2:]] == ["ssd", "ssd"]


def test_what_was_measured_stands_beside(tmp_path: Path) -> None:
    def write(name: str, device: str, rate: float, function: str = "detect_faces") -> None:
        row = {"detector": "ssd", "sizes": "1280x720", "batch": 8, "images_per_second": rate}
        document = {
            "benchmark": "detect",
            "machine": {"gpu": "NVIDIA H100 80GB HBM3, 1 MiB", "cpu": "cpu", "cores": 2},
            "settings": {"function": function, "device": device},
            "rows": [row, row | {"sizes": "mixed", "batch": 4}, row | {"batch": None}],
        }
        (tmp_path / f"{name}.json").write_text(json.dumps(document))

    write("detect-20260101", "cuda", 100.0)
    write("detect-20260102", "cuda", 400.0)
    write("detect-20260103", "cpu", 1.0)
    write("detect-20260104", "cuda", 1.0, "extract_faces")
    assert measured(tmp_path, "H100") == {("ssd", 8): 20.0}
    assert not measured(tmp_path, "T4")
