"""The table of detectors for the documentation, made from the detectors themselves.

``python -m deepface.detection.table docs/choosing.md`` writes it between the two marks there.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from deepface.detection.detector import Detector
from deepface.detection.registry import DETECTORS

START, END = "<!-- detectors -->", "<!-- /detectors -->"


def markdown() -> str:
    """One row per detector: its name, whether a list is a true batch, landmarks, what it is."""
    rows = ["| name | a list is | landmarks | what |", "|---|---|---|---|"]
    seen: dict[type[Detector], list[str]] = {}
    for name, entry in DETECTORS.entries.items():
        seen.setdefault(entry.load(), []).append(name)
    for cls, names in seen.items():
        what = (cls.__doc__ or "").strip().split("\n\n")[0]
        rows.append(
            f"| {', '.join(f'`{name}`' for name in names)} "
            f"| {'a true batch' if cls.batched else 'looped over'} | {cls.landmarks or '-'} "
            f"| {' '.join(what.split())} |"
        )
    return "\n".join(rows)


def insert(text: str) -> str:
    """``text`` with the table between its marks."""
    pattern = re.compile(f"{re.escape(START)}.*?{re.escape(END)}", re.DOTALL)
    return pattern.sub(lambda _: f"{START}\n{markdown()}\n{END}", text)


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.write_text(insert(path.read_text(encoding="utf-8")), encoding="utf-8")
