from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from deepface import DeepFace
from deepface.errors import InvalidArgument
from deepface.runtime import models
from deepface.runtime.home import get_deepface_home, initialize_folder, weights_folder
from deepface.search.database.registry import open_database
from deepface.search.database.sqlite import default_path


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


@pytest.mark.parametrize("written", ["~/x", "~", "~/a/~b"])
def test_a_tilde_that_no_shell_has_replaced(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, written: str
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.setenv("DEEPFACE_HOME", written)
    assert get_deepface_home() == str(tmp_path / written[2:])
    assert weights_folder().is_relative_to(tmp_path)
    assert default_path().is_relative_to(tmp_path)


@pytest.mark.parametrize("written", [None, "~", "~/x"])
@pytest.mark.parametrize(
    "needs_it",
    [
        lambda: DeepFace.build_model("Dlib"),
        lambda: DeepFace.build_model("yunet", "face_detector"),
        lambda: DeepFace.list_faces(),
        lambda: initialize_folder(),
    ],
)
def test_a_user_without_a_home_directory(
    monkeypatch: pytest.MonkeyPatch, written: str | None, needs_it: Callable[[], object]
) -> None:
    """In a container, whose user may have a number and no account."""
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)  # as it does then
    for variable in ("DEEPFACE_HOME", "DEEPFACE_SQLITE_PATH", "DEEPFACE_POSTGRES_URI"):
        monkeypatch.delenv(variable, raising=False)
    if written is not None:
        monkeypatch.setenv("DEEPFACE_HOME", written)
    monkeypatch.setattr(models, "cached_models", {})
    with pytest.raises(InvalidArgument, match="set DEEPFACE_HOME"):
        needs_it()


def test_a_tilde_in_the_place_of_a_database(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.setenv("DEEPFACE_SQLITE_PATH", "~/faces.db")
    with open_database("sqlite"):
        pass
    assert (tmp_path / "faces.db").is_file()
