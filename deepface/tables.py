"""The documentation's tables of models and weights, made from their cards.

``python -m deepface.tables docs/*.md`` writes each table between its two marks, wherever they are.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from urllib.parse import urlsplit

from deepface.detection.registry import DETECTORS
from deepface.modeling import TASKS
from deepface.recognition.registry import RECOGNIZERS
from deepface.runtime.card import Card
from deepface.runtime.weights.table import WeightFile


def detectors() -> list[list[str]]:
    """One row per detector, or family of detectors that differ in size only."""
    rows = [["name", "a list is", "landmarks", "MB", "licence of weights", "needs", "what"]]
    families: dict[tuple[str, int], list[str]] = {}
    for name, card in DETECTORS.own.items():
        families.setdefault((card.model, card.landmarks), []).append(name)
    for names in families.values():
        card = DETECTORS.own[names[0]]
        rows.append(
            [
                ", ".join(f"`{name}`" for name in names),
                "a true batch" if card.load().batched else "looped over",
                str(card.landmarks or "-"),
                *(_megabytes(card), _licence(card), _needs(card), card.summary),
            ]
        )
    return rows


def models() -> list[list[str]]:
    """One row per recognition model."""
    rows = [
        ["name", "numbers", "input", "landmark cut", "MB", "licence of weights", "needs", "what"]
    ]
    for name, card in RECOGNIZERS.own.items():
        width, height = card.input_shape
        cut = "yes" if card.cut is not None else "-"
        facts = [f"`{name}`", str(card.output_shape), f"{width}×{height}", cut]
        rows.append([*facts, _megabytes(card), _licence(card), _needs(card), card.summary])
    return rows


def weights() -> list[list[str]]:
    """One row per file."""
    rows = [["file", "of", "MB", "licence", "from", "verified by"]]
    for registry in TASKS.values():
        for name, card in registry.own.items():
            for file in card.weight_files():
                size = f"{file.size / 1e6:.1f}" if file.size else "-"
                hosts = dict.fromkeys(_place(url) for url in file.urls)
                facts = [f"`{file.name}`", f"`{name}`", size, file.licence or "not stated"]
                rows.append([*facts, ", ".join(hosts), _verified(file)])
    return rows


def _megabytes(card: Card) -> str:
    """What has to be there of its weights, where their size is known."""
    sizes = [next((file.size for file in group if file.size), None) for group in card.files]
    return f"{sum(filter(None, sizes)) / 1e6:.1f}" if sizes and None not in sizes else "-"


def _licence(card: Card) -> str:
    files = [group[0] for group in card.files]
    return ", ".join(dict.fromkeys(file.licence or "not stated" for file in files)) or "-"


def _needs(card: Card) -> str:
    return f"`{card.package.name}`" if card.package is not None else "-"


def _place(url: str) -> str:
    """Host, and on GitHub the repository."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    return "/".join(parts.path.split("/")[1:3]) if host == "github.com" else host


def _verified(file: WeightFile) -> str:
    return "published hash" if file.sha256 is not None else "structure, hash of the first download"


TABLES: dict[str, Callable[[], list[list[str]]]] = {
    "detectors": detectors,
    "models": models,
    "weights": weights,
}


def insert(text: str) -> str:
    """``text`` with the tables between their marks."""
    for name, make in TABLES.items():
        start, end = f"<!-- {name} -->", f"<!-- /{name} -->"
        if start in text:
            pattern = re.compile(f"{re.escape(start)}.*?{re.escape(end)}", re.DOTALL)
            text = pattern.sub(f"{start}\n{_markdown(make())}\n{end}", text)
    return text


def _markdown(rows: list[list[str]]) -> str:
    head, *body = rows
    return "\n".join(f"| {' | '.join(row)} |" for row in ([*head], ["---"] * len(head), *body))


def main(paths: Iterable[str]) -> None:
    """Write the tables into files."""
    for path in map(Path, paths):
        path.write_text(insert(path.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
