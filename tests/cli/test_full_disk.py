"""A disk that takes no more: the file is named, and what was done is kept."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.command import ROOT, grey_pictures, lines, run

pytest.importorskip("resource", reason="limits of the size of files are those of Unix")

#: Runs one command per limit of a file's size in bytes, in a process of its own.
SCRIPT = """
import json, resource, sys
from tests.cli.command import run
command, limits = json.loads(sys.argv[1])
run(*command[:2], "--detector-backend", "skip")  # builds and imports what is needed
_, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
for limit in limits:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    result = run(*command)
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    print(json.dumps([result.exit_code, result.stderr]), flush=True)
"""


def under_limits(command: list[str], limits: list[int]) -> list[tuple[int, str]]:
    arguments = [sys.executable, "-c", SCRIPT, json.dumps([command, limits])]
    done = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, check=True)
    return [tuple(json.loads(line)) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("suffix", [".jsonl", ".csv"])
def test_a_run_is_gone_on_with(tmp_path: Path, suffix: str) -> None:
    """Wherever the disk was full: in the journal, the output or the record beside it."""
    folder = grey_pictures(tmp_path / "pictures", 12)
    skip = ["--detector-backend", "skip"]
    whole = tmp_path / f"whole{suffix}"
    assert run("extract", folder, *skip, "--output", whole).exit_code == 0
    work = tmp_path / "work"
    output = work / f"faces{suffix}"
    command = ["extract", str(folder), *skip, "--output", str(output), "--resume"]
    needed = max(path.stat().st_size for path in tmp_path.iterdir() if path.is_file())
    for code, told in under_limits(command, [0, 1, *range(700, needed, 600), needed - 1]):
        assert code == 1, told
        assert f"Error: {work}" in told and "File too large" in told, told
        assert not output.exists()
    assert run(*command).exit_code == 0
    assert output.read_bytes() == whole.read_bytes()
    assert [path.name for path in work.iterdir() if path.suffix == ".partial"] == []


@pytest.mark.parametrize("option", ["--output", "--annotate", "--contact-sheet"])
def test_pictures_are_named(tmp_path: Path, option: str) -> None:
    folder = grey_pictures(tmp_path / "pictures", 2)
    place = tmp_path / {"--output": "faces", "--annotate": "marked"}.get(option, "sheet.png")
    command = ["extract", str(folder), "--detector-backend", "skip", option, str(place)]
    for code, told in under_limits(command, [0, 40]):
        assert code == 1 and f"Error: {place}" in told and "File too large" in told, told
        assert set(tmp_path.rglob("*.[pj][np]g")) == set(folder.iterdir())


def test_a_device_is_no_folder() -> None:
    result = run("extract", "x.png", "--detector-backend", "skip", "--output", "/dev/null")
    assert result.exit_code == 2
    assert "--output /dev/null: the suffix decides the format" in result.stderr
    assert lines(result) == []
