"""How sure a decision is: the published curves, a line of ``curves.csv`` for each."""

from __future__ import annotations

import csv
from importlib.resources import files
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


def _read() -> dict[str, dict[str, Curve]]:
    """Curves by model and metric, in the order of the table."""
    curves: dict[str, dict[str, Curve]] = {}
    table = files("deepface.recognition") / "curves.csv"  # maybe in a zip file
    _, *lines = table.read_text(encoding="ascii").splitlines()
    for model, metric, *numbers in csv.reader(lines):
        curves.setdefault(model, {})[metric] = Curve(*map(float, numbers))
    return curves


#: The published ones by model and metric.
CURVES = _read()
