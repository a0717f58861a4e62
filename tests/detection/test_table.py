"""The documentation's table of detectors is the one that the detectors make."""

from __future__ import annotations

from pathlib import Path

from deepface.detection import table

PAGE = Path(__file__).resolve().parents[2] / "docs" / "choosing.md"


def test_readme_is_up_to_date() -> None:
    text = PAGE.read_text()
    assert table.START in text
    assert table.insert(text) == text, "run: python -m deepface.detection.table docs/choosing.md"
