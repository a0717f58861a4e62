"""The public surface is a file; a change of it is meant."""

from __future__ import annotations

import json

from tests.public_api import FILE, surface


def test_the_surface_is_the_one_that_is_written_down() -> None:
    found, written = surface(), json.loads(FILE.read_text())
    for part, names in written.items():
        assert found[part] == names, f"{part} changed: if it is meant, python -m tests.public_api"
