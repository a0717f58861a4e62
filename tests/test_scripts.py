"""Scripts written for the published library run unchanged, each in a process of its own."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.data import package_pictures, read
from tests.scripts._run import run

SCRIPTS = sorted((Path(__file__).parent / "scripts").glob("[!_]*.py"))
#: What takes seconds to import, and of which no script can tell whether it was: the processes of
#: the scripts are forked from one that has done so, and nothing else.
LIBRARIES = ["cv2", "dlib", "pandas", "pytest", "torch", "torchvision"]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A portrait, the same smaller, and a picture without a face."""
    folder = tmp_path_factory.mktemp("pictures")
    portrait = read(package_pictures()[0])
    for name, image in (
        ("portrait", portrait),
        ("smaller", cv2.resize(portrait, None, fx=0.6, fy=0.6, interpolation=cv2.INTER_AREA)),
        ("faceless", np.full((200, 240, 3), 90, np.uint8)),
    ):
        cv2.imwrite(str(folder / f"{name}.png"), image)
    return folder


def test_there_are_twenty() -> None:
    assert len(SCRIPTS) == 20


@pytest.mark.heavy
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_script(script: Path, pictures: Path, tmp_path: Path) -> None:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(LIBRARIES)
    errors = tmp_path / "errors"
    started = context.Process(target=run, args=(script, [str(pictures)], errors))
    started.start()
    started.join()
    assert started.exitcode == 0, errors.read_text()
