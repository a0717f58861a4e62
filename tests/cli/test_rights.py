"""Folders that may not be entered, files that may not be read: errors of ours, an item each."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.command import ROOT, grey_pictures

#: Runs as somebody without rights, in a process of its own; it imports before it drops them.
SCRIPT = """
import os, sys
from deepface.cli.app import app
from tests.cli.command import run
from tests.stand_ins import ColorModel, cached
import deepface.cli.face_commands, deepface.cli.find, deepface.cli.verify, deepface.pipeline.find
import deepface.cli.run, deepface.cli.inputs, deepface.pipeline.verification, torch, pandas
import json
with cached("facial_recognition", "colors", ColorModel()):
    run("represent", sys.argv[1], "--detector-backend", "skip", "--model-name", "colors")
    if os.geteuid() == 0:
        os.seteuid(65534)
    for command in json.loads(sys.argv[2]):
        result = run(*command)
        print(json.dumps([result.exit_code, result.stdout, result.stderr, repr(result.exception)]))
"""


@pytest.fixture
def open_path() -> Iterator[Path]:
    """A folder that others may enter; pytest's own may not be."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)
        yield Path(folder)


def test_what_may_not_be_entered(open_path: Path) -> None:
    fine = grey_pictures(open_path / "fine", 2)
    secret = grey_pictures(open_path / "secret", 1)
    shut = grey_pictures(secret / "shut", 1)
    secret.chmod(0)
    skip = ["--detector-backend", "skip"]
    search = [*skip, "--model-name", "colors", "--threshold", "1", "--distance-metric", "euclidean"]
    picture, good = str(shut / "000.png"), str(fine / "000.png")
    one_item = [
        ["extract", picture, good, *skip],
        ["extract", str(shut), good, *skip],
        ["extract", picture.replace(".png", ".mp4"), good, *skip],
        ["find", picture, good, "--db-path", str(fine), *search],
        ["verify", picture, good, *search[:-4], "--threshold", "1"],
    ]
    none = [
        ["extract", str(shut / "*.png"), *skip],
        ["extract", good, *skip, "--output", str(shut / "faces")],
        ["extract", good, *skip, "--output", str(shut / "faces.csv"), "--resume"],
        ["extract", good, *skip, "--annotate", str(shut / "marked")],
        ["extract", good, *skip, "--contact-sheet", str(shut / "sheet.png")],
        ["find", good, str(shut), *search],
    ]
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(fine), json.dumps(one_item + none)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    secret.chmod(0o700)
    if done.returncode and "Permission denied" in done.stderr.splitlines()[-1]:
        pytest.skip("the packages may not be read by others here")
    outcomes = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(outcomes) == len(one_item + none), done.stderr
    for command, (code, stdout, stderr, raised) in zip(one_item + none, outcomes, strict=True):
        assert "Traceback" not in stderr and "PermissionError" not in stderr, stderr
        if command in none:
            assert code in (1, 2) and not stdout, (command, stdout, stderr)
            assert str(shut) in stderr and "ermission denied" in stderr, (command, stderr)
        elif command[1] == str(shut):  # what there is in it is not known
            assert str(shut) in stderr and stdout.count("\n") <= 2, (command, stdout, stderr)
        else:
            assert code == 1, (command, stderr, raised)
            entries = [json.loads(line) for line in stdout.splitlines()]
            assert ["error" in entry for entry in entries] == [True, False][: len(entries)]
