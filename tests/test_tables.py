"""The documentation's tables are those that the cards make."""

from __future__ import annotations

from pathlib import Path

import pytest

from deepface import tables
from deepface.recognition.registry import RECOGNIZERS

DOCS = Path(__file__).resolve().parents[1] / "docs"


@pytest.mark.parametrize("name", tables.TABLES)
def test_the_documentation_is_up_to_date(name: str) -> None:
    pages = {page: page.read_text("utf-8") for page in DOCS.glob("*.md")}
    marked = {page: text for page, text in pages.items() if f"<!-- {name} -->" in text}
    assert marked
    for page, text in marked.items():
        assert tables.insert(text) == text, f"run: python -m deepface.tables docs/{page.name}"


def test_only_what_is_between_the_marks_changes(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "before <!-- models -->outdated\n<!-- /models --> after\n<!-- other -->", "utf-8"
    )
    tables.main([str(page)])
    text = page.read_text("utf-8")
    assert text.startswith("before <!-- models -->\n| name | numbers |")
    assert text.endswith("<!-- /models --> after\n<!-- other -->")
    assert "outdated" not in text and text.count("\n| `") == len(RECOGNIZERS.own)
