"""Every test runs offline, in a DEEPFACE_HOME of its own that holds the test weights."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.data import WEIGHTS, package_weights


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip the tests marked ``gpu`` where there is none."""
    marked = [item for item in items if item.get_closest_marker("gpu")]
    if not marked:
        return
    import torch

    if not torch.cuda.is_available():
        for item in marked:
            item.add_marker(pytest.mark.skip(reason="needs a CUDA device"))


@pytest.fixture(scope="session", autouse=True)
def deepface_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home with links to the test weights, and no network."""
    home = tmp_path_factory.mktemp("home")
    folder = home / ".deepface" / "weights"
    folder.mkdir(parents=True)
    files = package_weights()
    if WEIGHTS.is_dir():
        files |= {file.name: file for file in WEIGHTS.iterdir() if file.is_file()}
    for name, file in files.items():
        (folder / name).symlink_to(file)
    before = {k: os.environ.get(k) for k in ("DEEPFACE_HOME", "DEEPFACE_OFFLINE")}
    os.environ.update(DEEPFACE_HOME=str(home), DEEPFACE_OFFLINE="1")
    yield home
    for key, value in before.items():
        if value is None:
            os.environ.pop(key, None)
        else:
            os.environ[key] = value
