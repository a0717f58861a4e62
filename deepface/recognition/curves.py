"""How sure a decision is: the published curves, a line of ``curves.csv`` for each."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import NamedTuple


class Curve(NamedTuple):
    """How sure a decision is: a fitted curve, and the ranges that its values are stretched from."""

    weight: float
    bias: float
    normalizer: float
    max_true: float
    min_true: float
    max_false: float
    min_false: float


def _read(table: Path) -> dict[str, dict[str, Curve]]:
    """Curves by model and metric, in the order of the table."""
    curves: dict[str, dict[str, Curve]] = {}
    with table.open(encoding="ascii", newline="") as lines:
        next(lines)  # the names of the columns
        for model, metric, *numbers in csv.reader(lines):
            curves.setdefault(model, {})[metric] = Curve(*map(float, numbers))
    return curves


#: The published ones by model and metric.
CURVES = _read(Path(__file__).with_name("curves.csv"))
