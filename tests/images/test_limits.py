"""Limits hold to the byte, and their defaults are those of the documentation."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from deepface.errors import ImageTooLarge
from deepface.images import limits
from deepface.images.load import load_image
from tests.images.pictures import encoded, picture

#: Variable -> what refuses a number of its kind.
CHECKS: dict[str, Callable[[int], None]] = {
    limits.BYTES_VARIABLE: lambda count: limits.check_bytes(count, "x"),
    limits.PIXELS_VARIABLE: lambda count: limits.check_pixels(count, 1, "x"),
    limits.EXPANSION_VARIABLE: lambda count: limits.check_memory(count << 20, (1, 1), 99, "x"),
}


def documented() -> dict[str, int]:
    page = Path(__file__).parents[2] / "docs" / "pictures.md"
    rows = re.findall(r"\| `(DEEPFACE_\w+)` \| ([\d,]+)( MiB)? \|", page.read_text("utf-8"))
    return {
        name: int(number.replace(",", "")) << (20 if unit else 0) for name, number, unit in rows
    }


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in documented():
        monkeypatch.delenv(name, raising=False)


def test_the_defaults_are_those_of_the_documentation() -> None:
    found = documented()
    assert found.pop(limits.TIMEOUT_VARIABLE) == limits.url_timeout()
    assert set(found) == set(CHECKS)
    for name, limit in found.items():
        CHECKS[name](limit)
        with pytest.raises(ImageTooLarge, match=name):
            CHECKS[name](limit + 1)


@pytest.mark.parametrize("name", CHECKS)
def test_a_limit_of_the_environment(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "7")
    CHECKS[name](7)
    with pytest.raises(ImageTooLarge, match=name):
        CHECKS[name](8)


@pytest.mark.parametrize("text", [False, True])
@pytest.mark.parametrize("filling", range(3))
def test_a_picture_of_exactly_the_limit_is_read(
    text: bool, filling: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In base64, too, whatever it was filled up with."""
    content = encoded(picture())
    content += bytes(-(len(content) + filling) % 3)
    uri = f"data:image/png;base64,{base64.b64encode(content).decode()}"
    assert uri.count("=", len(uri) - 2) == filling
    given = uri if text else content
    monkeypatch.setenv(limits.BYTES_VARIABLE, str(len(content)))
    np.testing.assert_array_equal(load_image(given)[0], picture())
    monkeypatch.setenv(limits.BYTES_VARIABLE, str(len(content) - 1))
    with pytest.raises(ImageTooLarge, match=f"has {len(content)} bytes or more"):
        load_image(given)
