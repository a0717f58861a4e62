"""A damaged file ends another process, not this one."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from deepface.detection.cards.opencv import FACES
from deepface.detection.cards.yunet import CARD
from deepface.detection.haar.cascade import Cascade, cascade_path
from deepface.detection.yunet import YuNetDetector
from deepface.errors import WeightsError
from deepface.runtime.weights.trial import check_by_trial
from tests.data import package_pictures, read, weight
from tests.runtime.weights.mutations import mutations


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "net.bin"
    path.write_bytes(b"content")
    return path


def test_what_opens_is_opened(file: Path) -> None:
    check_by_trial(file, None, "import json", "open(path).read()")


def test_what_is_refused_there_is_refused_here(file: Path) -> None:
    with pytest.raises(WeightsError, match=r"net\.bin .*it is refused: no weights: content"):
        check_by_trial(file, None, "pass", "raise ValueError('no weights: ' + open(path).read())")


@pytest.mark.skipif(sys.platform == "win32", reason="other signals")
@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGABRT, signal.SIGKILL])
def test_a_crash_is_told(file: Path, number: int) -> None:
    with pytest.raises(WeightsError, match=r"net\.bin .*crashes on it"):
        check_by_trial(file, None, "import os", f"os.kill(os.getpid(), {number})")


def test_a_hang_is_told(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = subprocess.run
    monkeypatch.setattr("subprocess.run", lambda *a, **k: run(*a, **k | {"timeout": 0.5}))
    with pytest.raises(WeightsError, match="not opened within"):
        check_by_trial(file, None, "import time", "time.sleep(60)")


def test_what_is_missing_there_says_nothing_about_the_file(file: Path) -> None:
    check_by_trial(file, None, "import no_such_package", "raise ValueError")


def _no_process(*_: Any, **__: Any) -> None:
    raise AssertionError("a process was started")


def test_known_files_need_no_trial(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("subprocess.run", _no_process)
    check_by_trial(cascade_path(FACES.name), FACES, "pass", "pass")
    weight(CARD.files[0][0].name)
    YuNetDetector("cpu")
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    check_by_trial(file, None, "pass", "pass")


def test_damaged_copies_of_a_cascade(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / FACES.name
    whole = cascade_path(FACES.name).read_bytes()
    monkeypatch.setattr("deepface.detection.haar.cascade.cascade_path", lambda _: path)
    outcomes: Counter[str] = Counter()
    for copy in mutations(whole, 8):
        path.write_bytes(copy)
        try:
            Cascade(FACES.name)
            outcomes["a cascade"] += 1
        except WeightsError as error:
            assert str(path) in str(error)
            outcomes["an error"] += 1
    assert sum(outcomes.values()) == 8


@pytest.mark.heavy
def test_damaged_copies_of_yunet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Allowed ones; the others are refused by their hash. One of these ends the process."""
    whole = weight(CARD.files[0][0].name).read_bytes()
    picture = read(package_pictures()[0])
    monkeypatch.setenv("DEEPFACE_HOME", str(tmp_path))
    monkeypatch.setenv("DEEPFACE_ALLOW_UNKNOWN_WEIGHTS", "1")
    path = tmp_path / ".deepface" / "weights" / CARD.files[0][0].name
    path.parent.mkdir(parents=True)
    outcomes: Counter[str] = Counter()
    for copy in mutations(whole, 40, seed=1):
        path.write_bytes(copy)
        try:
            YuNetDetector("cpu").detect_faces(picture)
            outcomes["a detector"] += 1
        except WeightsError as error:
            assert str(path) in str(error)
            outcomes["an error"] += 1
    assert outcomes["an error"] > 20, outcomes
