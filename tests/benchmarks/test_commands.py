"""The command lines that the README and ``gpu.sh`` use are ones that the program takes."""

import os
import re
import shlex
import stat
import subprocess
import tarfile
from pathlib import Path

import pytest

from benchmarks.__main__ import COMMANDS, main, parser

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"
MODULE = "python -m benchmarks "


def test_every_command_of_the_readme_is_understood(tmp_path: Path) -> None:
    lines = [
        line.removeprefix(MODULE).replace("DIR", str(tmp_path))
        for line in (FOLDER / "README.md").read_text().splitlines()
        if line.startswith(MODULE)
    ]
    assert {parser().parse_args(shlex.split(line)).command for line in lines} == set(COMMANDS)


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["detect"],
        ["detect", "--detector", "ssd", "--batch", "0"],
        ["detect", "--detector", "ssd", "--images", "no/such/folder"],
        ["border", "--detector", "ssd"],
        ["profile", "--detector", "ssd", "--batch", "1,8"],
    ],
)
def test_incomplete_or_wrong_arguments_are_refused(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as refusal:
        parser().parse_args(arguments)
    assert refusal.value.code == 2


def test_a_batch_larger_than_the_list_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"")
    arguments = ["detect", "--detector", "ssd", "--images", str(tmp_path), "--batch", "1,8"]
    with pytest.raises(SystemExit, match="a batch of 8 needs as many pictures, but there are 1"):
        main(arguments)


def test_another_detector_has_no_place_in_the_table_of_retinaface() -> None:
    with pytest.raises(SystemExit, match="no RetinaFace: ssd"):
        main(["retinaface", "--detector", "ssd"])


@pytest.fixture
def fake_python(tmp_path: Path) -> Path:
    """Writes down its arguments, and finds a GPU where the file ``gpu`` is."""
    script = tmp_path / "python"
    script.write_text(
        f'#!/bin/sh\nif [ "$1" = -c ]; then test -e "{tmp_path}/gpu"; exit; fi\n'
        f'echo "$@" >> "{tmp_path}/calls"\n'
    )
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    return script


def gpu_round(
    python: Path, *arguments: str, **variables: str
) -> "subprocess.CompletedProcess[str]":
    unset = (
        "DEVICE",
        "BATCHES",
        "REPEAT",
        "DETECTORS",
        "FIRST",
        "STREAM",
        "MODEL",
        "FOR",
        "TARGETS",
    )
    environment = {key: value for key, value in os.environ.items() if key not in unset}
    environment |= {"PYTHON": str(python), "OUT": str(python.parent / "out")}
    environment |= {"CARRY": str(python.parent / "carried"), **variables}
    command = ["bash", str(FOLDER / "gpu.sh"), *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_gpu_round_without_a_gpu_says_so(fake_python: Path) -> None:
    result = gpu_round(fake_python)
    assert result.returncode == 2
    assert "no CUDA device" in result.stderr
    assert not (fake_python.parent / "calls").exists()


def test_gpu_round_runs_commands_that_exist(fake_python: Path) -> None:
    (fake_python.parent / "gpu").touch()
    result = gpu_round(fake_python, str(fake_python.parent))
    assert result.returncode == 0, result.stderr
    calls = (fake_python.parent / "calls").read_text().splitlines()
    assert any(call.startswith("-m pytest -q -m gpu tests/") for call in calls)
    benchmarks = [call for call in calls if call.startswith("-m benchmarks")]
    parsed = [parser().parse_args(line.split()[2:]) for line in benchmarks]
    assert [args.command for args in parsed] == [
        "detect",
        "detect",
        "pipeline",
        "haar",
        "profile",
        "precision",
        "retinaface",
        "detect",
    ]
    assert [args.function for args in parsed[:2]] == ["detect_faces", "extract_faces"]
    assert [args.sizes for args in parsed[:2]] == [["equal"], ["equal"]]
    assert parsed[1].detector == ["yolov11n", "yolov11m"] and parsed[1].batch == [1, 20]
    assert parsed[2].limit >= 2000 and not parsed[2].clock and parsed[2].size == (1280, 720)
    assert {args.device for args in parsed} == {"cuda"}
    assert {args.tag for args in parsed} == {"gpu"}
    assert {args.out for args in parsed} == {fake_python.parent / "out"}
    assert parsed[-1].batch == [1, 20, 64]


def test_gpu_round_fits_into_ten_minutes() -> None:
    text = (FOLDER / "gpu.sh").read_text()
    limits = re.findall(r"^(?:bench|step) (\d+) ", text, re.MULTILINE)
    assert len(limits) == 10 and sum(map(int, limits)) <= 570


def test_gpu_round_leaves_one_archive_after_each_step(fake_python: Path) -> None:
    out = fake_python.parent / "out"
    fake_python.write_text(
        fake_python.read_text() + f'test -e "{out}/round-cpu.tar.gz" || exit 0; '
        f'tar -tzf "{out}/round-cpu.tar.gz" >> "{out}/listed"; echo told\n'
    )
    assert gpu_round(fake_python, DEVICE="cpu").returncode == 0
    with tarfile.open(out / "round-cpu.tar.gz") as archive:
        log = archive.extractfile("./round-cpu.log")
        assert log is not None and log.read().decode().count("told") == 9
    assert "round-cpu.log" in (out / "listed").read_text(), "there before the last step ended"


def test_gpu_round_goes_on_after_a_failure_and_reports_it(fake_python: Path) -> None:
    (fake_python.parent / "gpu").touch()
    fake_python.write_text(fake_python.read_text() + 'test "$4" != profile -a "$3" != profile\n')
    result = gpu_round(fake_python)
    assert result.returncode == 1
    assert "profile" in result.stdout and "ended with 1" in result.stdout
    assert len((fake_python.parent / "calls").read_text().splitlines()) == 10
