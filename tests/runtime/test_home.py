from __future__ import annotations

from pathlib import Path

import pytest

from deepface.runtime.home import get_deepface_home, initialize_folder, weights_folder


def test_home_is_read_at_each_call(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DEEPFACE_HOME", str(tmp_path / "a"))
    assert get_deepface_home() == str(tmp_path / "a")
    monkeypatch.setenv("DEEPFACE_HOME", str(tmp_path / "b"))
    assert weights_folder() == tmp_path / "b" / ".deepface" / "weights"


@pytest.mark.parametrize("value", [None, ""])
def test_default_is_the_home_directory(monkeypatch: pytest.MonkeyPatch, value: str | None) -> None:
    monkeypatch.delenv("DEEPFACE_HOME")
    if value is not None:
        monkeypatch.setenv("DEEPFACE_HOME", value)
    assert get_deepface_home() == str(Path.home())


def test_folder_is_made_only_when_asked_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DEEPFACE_HOME", str(tmp_path))
    weights_folder()
    assert list(tmp_path.iterdir()) == []
    initialize_folder()
    initialize_folder()
    assert weights_folder().is_dir()
