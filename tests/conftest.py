"""Every test runs offline, in a DEEPFACE_HOME of its own that holds the test weights."""

from __future__ import annotations

import gc
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.data import MADE_WEIGHTS, WEIGHTS, package_weights


@pytest.fixture(autouse=True)
def cuda_device(request: pytest.FixtureRequest) -> Iterator[None]:
    """Tests marked ``gpu`` run on a GPU; where there is none, on one that stands in for it."""
    if request.node.get_closest_marker("gpu") is None:
        yield
        return
    import torch

    if torch.cuda.is_available():
        yield
        return
    from tests.standin import Standin

    with Standin() as device:
        yield
        assert not device.settings.refused, device.settings.refused


@pytest.fixture(scope="module", autouse=True)
def models_of_the_module() -> Iterator[None]:
    """Models that a module's tests built go with it: some take half a gigabyte."""
    yield
    models = sys.modules.get("deepface.runtime.models")
    for built in models.cached_models.values() if models else ():
        built.clear()
    gc.collect()


@pytest.fixture(scope="session", autouse=True)
def log_level() -> None:
    """What is logged can be looked at: pytest sets up logging, for warnings only."""
    logging.getLogger("deepface").setLevel(logging.INFO)


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
    settings = {
        "DEEPFACE_HOME": str(home),
        "DEEPFACE_OFFLINE": "1",
        "DEEPFACE_ALLOW_UNKNOWN_WEIGHTS": ",".join(MADE_WEIGHTS),
    }
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    yield home
    for key, value in before.items():
        if value is None:
            os.environ.pop(key, None)
        else:
            os.environ[key] = value
