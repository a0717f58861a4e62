"""Runs that are cut off go on, and redo nothing."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import pytest
from click.testing import Result
from numpy.typing import NDArray

from deepface.cli import journal
from deepface.cli.journal import RunJournal
from deepface.runtime.safe_files import replacing
from tests.cli.command import grey_pictures, process, run
from tests.cli.slow import Slow
from tests.stand_ins import ColorModel, cached

COUNT = 24
#: Before and behind an output's name: the output, and what says how it was made.
NAMES = [("", ""), (".", ".run")]


def _arguments(pictures: Path, output: Path) -> list[str | Path]:
    return [
        *("extract", pictures, "--detector-backend", "slow", "--batch-size", "2"),
        *("--align", "False", "--output", output),
    ]


def _to_the_end(*arguments: str | Path, log: Path) -> Result:
    """In this process, and at once: what is cut off runs in another, slowly."""
    with pytest.MonkeyPatch.context() as patch, cached("face_detector", "slow", Slow(0)):
        patch.setenv("SLOW_LOG", str(log))
        return run(*arguments)


def _cut_off(arguments: list[str | Path], partial: Path, log: Path, how: signal.Signals) -> str:
    """Run until some pictures are done, then send a signal; what it wrote to stderr."""
    started = process(*arguments, module="tests.cli.slow", log=log)
    deadline = time.monotonic() + 60
    while not partial.exists() or len(partial.read_bytes().splitlines()) < 6:
        assert started.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    started.send_signal(how)
    _, stderr = started.communicate()
    assert started.returncode == (130 if how == signal.SIGINT else -how), stderr
    return stderr


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return grey_pictures(tmp_path_factory.mktemp("resume") / "pictures", COUNT)


@pytest.mark.parametrize("suffix", ["jsonl", "csv", "parquet"])
def test_a_killed_run_goes_on(pictures: Path, tmp_path: Path, suffix: str) -> None:
    if suffix == "parquet":
        pytest.importorskip("pyarrow")
    output, log = tmp_path / f"faces.{suffix}", tmp_path / "log"
    partial = tmp_path / f"faces.{suffix}.partial"
    arguments = _arguments(pictures, output)
    _cut_off(arguments, partial, log, signal.SIGKILL)
    assert not output.exists()
    content = partial.read_bytes()
    partial.write_bytes(content[:-7])  # killed while the last line was being written
    done = content[:-7].count(b"\n") - 1
    assert 0 < done < COUNT

    refused = _to_the_end(*arguments, log=log)
    other = _to_the_end(*arguments, "--max-faces", "1", "--resume", log=log)
    assert refused.exit_code == 2
    assert "--resume" in refused.stderr
    assert other.exit_code == 2
    assert "other options" in other.stderr

    log.unlink()
    resumed = _to_the_end(*arguments, "--resume", log=log)
    assert resumed.exit_code == 0, resumed.stderr
    assert len(log.read_text().splitlines()) == COUNT - done
    assert f"{COUNT} pictures, {COUNT} faces" in resumed.stderr

    whole = tmp_path / f"whole.{suffix}"
    assert _to_the_end(*_arguments(pictures, whole), log=log).exit_code == 0
    assert output.read_bytes() == whole.read_bytes()

    log.unlink()
    again = _to_the_end(*arguments, "--resume", log=log)
    assert again.exit_code == 0
    assert "complete" in again.stderr
    assert not log.exists()
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == sorted(f"{dot}{x.name}{end}" for x in (output, whole) for dot, end in NAMES)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_interrupted_says_how_to_go_on(
    pictures: Path, tmp_path: Path, how: signal.Signals
) -> None:
    output, log = tmp_path / "faces.jsonl", tmp_path / "log"
    arguments = _arguments(pictures, output)
    stderr = _cut_off(arguments, tmp_path / "faces.jsonl.partial", log, how)
    assert {path.name for path in tmp_path.iterdir()} == {"faces.jsonl.partial", "log"}
    assert "interrupted after" in stderr
    assert f"--output {output} --resume" in stderr
    assert "Traceback" not in stderr
    assert _to_the_end(*arguments, "--resume", log=log).exit_code == 0
    sources = [json.loads(line)["source"] for line in output.read_text().splitlines()]
    assert sources == [str(path) for path in sorted(pictures.iterdir())]


def test_a_run_that_did_nothing_leaves_nothing(pictures: Path, tmp_path: Path) -> None:
    """Its next try, with other options, is not told to go on."""
    output = tmp_path / "vectors.csv"
    arguments: list[str | Path] = ["represent", pictures, "--model-name", "colors"]
    arguments += ["--output", output]

    class Broken(ColorModel):
        @property
        def input_shape(self) -> tuple[int, int]:  # type: ignore[override]
            raise KeyboardInterrupt

    with cached("facial_recognition", "colors", Broken()):
        result = run(*arguments, "--detector-backend", "skip")
    assert result.exit_code == 130
    assert "interrupted after 0 pictures" in result.stderr and "--resume" not in result.stderr
    assert not list(tmp_path.iterdir())
    Path(f"{output}.partial").write_text("[{}, null, ")  # killed before the first picture
    with cached("facial_recognition", "colors", ColorModel()):
        assert run(*arguments).exit_code == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == [".vectors.csv.run", "vectors.csv"]


class CutOff(ColorModel):
    """Interrupted in its third batch of two, whichever thread has it."""

    def __init__(self) -> None:
        super().__init__()
        self.lock = Lock()

    def embed(self, batch: NDArray[np.float32]) -> NDArray[Any]:
        with self.lock:
            if self.faces >= 4:
                raise KeyboardInterrupt
            return super().embed(batch)


def _represent(pictures: Path, output: Path, model: ColorModel, *more: str) -> Result:
    with cached("facial_recognition", "colors", model):
        arguments: list[str | Path] = ["represent", pictures, "--model-name", "colors"]
        arguments += ["--detector-backend", "skip", "--batch-size", "2", "--output", output]
        return run(*arguments, *more)


@pytest.mark.parametrize("lost", [0, 1, 30, 100_000])
def test_half_a_line_at_the_end_is_made_anew(pictures: Path, tmp_path: Path, lost: int) -> None:
    """Of the header, too: then nothing was done."""
    whole, output = tmp_path / "whole.jsonl", tmp_path / "cut.jsonl"
    partial = Path(f"{output}.partial")
    assert _represent(pictures, whole, ColorModel()).exit_code == 0
    assert _represent(pictures, output, CutOff()).exit_code == 130
    content = partial.read_bytes()
    kept = content[: max(5, len(content) - lost)]
    partial.write_bytes(kept)
    done = max(0, kept.count(b"\n") - 1)
    assert done >= {0: 4, 1: 3, 30: 3, 100_000: 0}[lost]  # more where a batch was not full
    model = ColorModel()
    assert _represent(pictures, output, model, "--resume").exit_code == 0
    assert model.faces == COUNT - done
    assert output.read_bytes() == whole.read_bytes()
    assert not partial.exists()


@pytest.mark.parametrize("adding", [False, True])
def test_a_run_that_is_cut_off_when_all_is_written(
    pictures: Path, tmp_path: Path, adding: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before it notes how it was made; also where an earlier run's note is there."""
    output, given = tmp_path / "vectors.jsonl", tmp_path / "given"
    given.mkdir()
    files = sorted(pictures.iterdir())[:3]
    if adding:
        (given / files[0].name).symlink_to(files[0])
        assert _represent(given, output, ColorModel()).exit_code == 0
    for file in files[adding:]:
        (given / file.name).symlink_to(file)

    @contextmanager
    def cut_off(path: Path) -> Iterator[Any]:
        if path.suffix == ".run":
            raise KeyboardInterrupt
        with replacing(path) as file:
            yield file

    with monkeypatch.context() as patch:
        patch.setattr(journal, "replacing", cut_off)
        _represent(given, output, ColorModel(), *["--resume"] * adding)
    assert Path(f"{output}.partial").exists()
    model = ColorModel()
    result = _represent(given, output, model, "--resume")
    assert (result.exit_code, model.faces) == (0, 0)
    assert "is complete: nothing to go on with" in result.stderr
    assert len(output.read_bytes().splitlines()) == 3
    names = [path.name for path in tmp_path.iterdir() if path != given]
    assert sorted(names) == [".vectors.jsonl.run", "vectors.jsonl"]
    again = _represent(given, output, model, "--resume")
    assert (again.exit_code, again.stderr, model.faces) == (0, result.stderr, 0)


def test_failures_before_the_cut_are_told_after_it(pictures: Path, tmp_path: Path) -> None:
    output, log = tmp_path / "faces.jsonl", tmp_path / "log"
    arguments = _arguments(pictures, output)
    arguments.insert(1, "missing.jpg")
    _cut_off(arguments, tmp_path / "faces.jsonl.partial", log, signal.SIGKILL)
    resumed = _to_the_end(*arguments, "--resume", log=log)
    assert resumed.exit_code == 1
    assert "missing.jpg: Confirm that missing.jpg exists" in resumed.stderr


def test_two_runs_do_not_write_one_file(pictures: Path, tmp_path: Path) -> None:
    output = tmp_path / "faces.jsonl"
    first = RunJournal(output, {}, resume=False)
    second = _to_the_end(*_arguments(pictures, output), "--resume", log=tmp_path / "log")
    assert second.exit_code == 2
    assert "another run" in second.stderr
    first.finish()
    assert output.read_text() == ""
