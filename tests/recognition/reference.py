"""Stand-in weights of the published layouts, and the outputs that they must give."""

from __future__ import annotations

import importlib.util
from functools import cache
from typing import Any

from tests.data import data


@cache
def reference() -> Any:
    """The module ``reference_weights`` of the test data."""
    spec = importlib.util.spec_from_file_location(
        "reference_weights", data("parity", "reference_weights.py")
    )
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
