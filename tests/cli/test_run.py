"""What a run says at its end, where it says it, and what its exit code is."""

from __future__ import annotations

import contextlib
import io
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import click
import pytest

from deepface.cli.entries import ResultLine
from deepface.cli.run import Run

FACES = {"faces": [{"confidence": 0.5}, {"confidence": 0.25}]}


def driven(
    entries: list[ResultLine | BaseException], output: Path | None = None, **options: object
) -> int:
    """Run over entries; an exception among them is raised."""

    def stream() -> Iterator[ResultLine]:
        for entry in entries:
            if isinstance(entry, BaseException):
                raise entry
            yield entry

    with Run(output, bool(options.pop("resume", False)), {}, **options) as run:  # type: ignore[arg-type]
        run.done()
        return run.drive(stream(), len(entries))


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def shown(entries: list[ResultLine | BaseException], **options: object) -> str:
    """What a terminal shows on standard error."""
    with contextlib.redirect_stderr(Terminal()) as terminal:
        driven(entries, **options)  # type: ignore[arg-type]
    return terminal.getvalue()


def test_the_summary_of_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "out.jsonl"
    entries = [
        ResultLine("a", FACES),
        ResultLine("b", {"faces": []}),
        ResultLine("c", error="broken"),
    ]
    assert driven(entries, output) == 1  # type: ignore[arg-type]
    out, err = capsys.readouterr()
    assert out == ""
    first, *rest = err.splitlines()
    assert re.fullmatch(
        rf"3 pictures, 2 faces, 1 without a face, 1 failed, [\d.]+ a second -> {output}", first
    )
    assert rest == ["1 picture failed:", "  c: broken"]


def test_singular_and_plural(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = {"faces": [{"confidence": 0.5}]}
    assert driven([ResultLine("a", one)], tmp_path / "a.jsonl") == 0
    assert capsys.readouterr().err.startswith("1 picture, 1 face, 0 without a face, 0 failed, ")
    assert driven([ResultLine(["a", "b"], {})], tmp_path / "b.jsonl", unit="pair") == 0
    assert capsys.readouterr().err.startswith("1 pair, 0 failed, ")
    assert driven([], tmp_path / "c.jsonl") == 0
    assert capsys.readouterr().err.startswith("0 pictures, 0 faces, 0 without a face, 0 failed, ")


def test_the_rate_is_of_what_this_run_did(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "out.jsonl"
    for resume, entries in ((False, ["a", "b"]), (True, ["c", "d", "e"])):
        clock = SimpleNamespace(perf_counter=iter([100.0, 102.0]).__next__)
        monkeypatch.setattr("deepface.cli.run.time", clock)
        driven([ResultLine(name, FACES) for name in entries], output, resume=resume)
        err = capsys.readouterr().err
    assert err.startswith("5 pictures, 10 faces, 0 without a face, 0 failed, 1.5 a second")


def test_only_so_many_failures_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    for count in (50, 51, 60):
        assert driven([ResultLine(f"{n}.jpg", error="broken") for n in range(count)]) == 1
        lines = capsys.readouterr().err.splitlines()
        listed = [line for line in lines if line.startswith("  ") and "more" not in line]
        assert listed == [f"  {n}.jpg: broken" for n in range(50)]
        assert lines[1] == f"{count} pictures failed:"
        assert lines[0].startswith(f"{count} pictures, 0 faces, 0 without a face, {count} failed")
        more = [line for line in lines if line.endswith(" more")]
        assert more == ([] if count == 50 else [f"  ... and {count - 50} more"])


def test_without_a_reader_there_is_no_summary_unless_something_failed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert driven([ResultLine("a", FACES), ResultLine("b", FACES)]) == 0
    assert capsys.readouterr().err == ""
    assert driven([ResultLine("a", error="broken")]) == 1
    assert capsys.readouterr().err == "1 picture failed:\n  a: broken\n"
    assert driven([ResultLine("a", FACES), ResultLine("b", error="broken")]) == 1
    assert capsys.readouterr().err.startswith("2 pictures, 2 faces, 0 without a face, 1 failed")


def test_a_terminal_has_a_bar_and_a_summary() -> None:
    text = shown([ResultLine("a", FACES), ResultLine("b", FACES)])
    assert "0/2" in text and "image" in text
    assert "2 pictures, 4 faces" in text
    one = shown([ResultLine("a", FACES)])
    assert "0/1" in one and "1 picture," not in one
    assert "pair" in shown([ResultLine(["a", "b"], {})], unit="pair")
    silent = shown([ResultLine("a", FACES), ResultLine("b", error="broken")], silent=True)
    assert silent == "1 picture failed:\n  b: broken\n"


def test_the_bar_begins_where_an_earlier_run_ended(tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    driven([ResultLine("a", FACES), ResultLine("b", FACES)], output)
    assert "2image" in shown([ResultLine("c", FACES)], output=output, resume=True)


def test_names_in_a_list_of_failures_are_on_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    driven([ResultLine(["a\n", "b\x1b"], error="bro\rken")])
    assert capsys.readouterr().err.splitlines()[-1] == "  a\\n\tb\\x1b: bro\\rken"


def test_an_interrupted_run_says_how_to_go_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On stderr: what is on stdout are results."""
    output = tmp_path / "out.jsonl"
    for arguments in (["extract", "my pictures"], ["extract", "my pictures", "--resume"]):
        monkeypatch.setattr(sys, "argv", ["deepface", *arguments])
        with pytest.raises(click.exceptions.Exit) as end:
            driven(
                [ResultLine("a", FACES), KeyboardInterrupt()],
                output,
                resume="--resume" in arguments,
            )
        assert end.value.exit_code == 130
        out, err = capsys.readouterr()
        count = 1 + ("--resume" in arguments)
        assert out == ""
        assert err == (
            f"interrupted after {count} picture{'s' * (count > 1)}\n"
            "go on with: deepface extract 'my pictures' --resume\n"
        )
    for place in (None, tmp_path / "none.jsonl"):
        with pytest.raises(click.exceptions.Exit):
            driven([KeyboardInterrupt()], place)
        out, err = capsys.readouterr()
        assert (out, err) == ("", "interrupted after 0 pictures\n")


def test_what_libraries_print_is_not_among_results(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def noisy() -> Iterator[ResultLine]:
        print("a library speaks")
        yield ResultLine("a", FACES)

    with Run(None, False, {}) as run:
        assert run.drive(noisy(), 1) == 0
    out, err = capsys.readouterr()
    assert err == "a library speaks\n"
    assert out.count("\n") == 1 and out.startswith('{"source": "a"')


def test_a_stream_is_closed_at_the_end(tmp_path: Path) -> None:
    closed = []

    def stream() -> Iterator[ResultLine]:
        try:
            yield ResultLine("a", FACES)
            yield ResultLine("b", FACES)
        finally:
            closed.append(True)

    class Full(OSError):
        pass

    with Run(tmp_path / "out.jsonl", False, {}) as run:

        def write(entry: ResultLine) -> None:
            raise Full

        run.write = write  # type: ignore[method-assign]
        with pytest.raises(Full):
            run.drive(stream(), 2)
        assert closed == [True]


def test_resume_needs_a_file() -> None:
    with pytest.raises(click.UsageError, match="--resume needs --output"):
        Run(None, True, {})
