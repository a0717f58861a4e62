"""The command itself: help, wrong use, terminals and pipes, the functions' parameters."""

from __future__ import annotations

import fcntl
import inspect
import json
import logging
import os
import struct
import subprocess
import sys
import termios
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest

import deepface
from deepface import DeepFace
from deepface.cli import app as application
from deepface.cli.function_commands import call, explanation
from deepface.cli.outcome import WrongUse, one_line
from deepface.errors import DataTypeError, PathNotFound, UnimplementedError, WeightsError
from deepface.logger import get_logger
from tests.cli.command import ROOT, grey_pictures, process, run
from tests.data import package_pictures
from tests.images.pictures import encoded, picture

PORTRAIT = str(package_pictures()[0])

#: Parameters that are arguments, that are Python objects, or that the format of --output decides.
_NO_OPTION = {
    *("img_path", "img1_path", "img2_path", "db_path", "progress", "silent"),
    *("cryptosystem", "credentials", "batched", "return_type"),
    *("grayscale", "normalize_face", "return_face"),
}


@pytest.mark.parametrize("name", ["extract", "represent", "analyze", "verify", "find"])
def test_options_are_the_functions_parameters(name: str) -> None:
    function = getattr(DeepFace, {"extract": "extract_faces"}.get(name, name))
    command = application.app.get_command(click.Context(application.app), name)
    assert command is not None
    known = {param.name for param in command.params}
    wanted = set(inspect.signature(function).parameters) - _NO_OPTION
    assert wanted <= known, wanted - known


def test_every_command_has_help() -> None:
    listing = run("--help").output
    for name in application.app.list_commands(click.Context(application.app)):
        assert f"  {name} " in listing
        result = run(name, "--help")
        assert result.exit_code == 0
        assert "Usage:" in result.output


def test_help_shows_the_values_of_an_option() -> None:
    text = run("represent", "--help").output
    for values in ("[true|false|empty]", "[fp32|tf32|bf16|fp16]", "[cpu|device]"):
        assert values in text
    assert "deepface represent a.jpg" in text
    assert "RANGE" not in text.split("--img-path")[1].split("--every")[0]


@pytest.mark.parametrize("name", list(application.FUNCTIONS))
def test_help_of_the_other_functions_explains_every_parameter(name: str) -> None:
    text = run(name, "--help").output
    function = getattr(DeepFace, name.replace("-", "_").replace("detectface", "detectFace"))
    parameters = inspect.signature(function).parameters
    for parameter in set(parameters) - {"connection"}:
        said = explanation(function, parameter)
        assert len(said.split()) > 2 and "as for" not in said[:6], (parameter, said)
        assert f"--{parameter} " in text
        assert said.split()[0] in text
    assert ":func:" not in text and "``" not in text
    assert ("[required]" in text) == any(p.default is p.empty for p in parameters.values())
    assert "[default: postgres]" not in text
    assert f"  {name} " in run("--help").output


def test_every_public_function_is_a_command() -> None:
    context = click.Context(application.app)
    for name in DeepFace.__all__:
        if callable(getattr(DeepFace, name)) and name != "cli":
            for spelling in (name, name.lower(), name.replace("_", "-")):
                assert application.app.get_command(context, spelling) is not None, spelling
    assert application.app.get_command(context, "FacePipeline") is None


def test_help_tells_what_defaults_stand_for() -> None:
    text = " ".join(run("register", "-h").output.split())
    assert "[default: opencv]" in text
    assert "[default: postgres where DEEPFACE_POSTGRES_URI is set, else sqlite]" in text
    assert "an open connection" not in text
    identify = " ".join(run("identify", "-h").output.split())
    assert "the recognition model; that of the record. [default: VGG-Face]" in identify


def test_help_is_quick_and_imports_little() -> None:
    code = (
        "import sys, contextlib\n"
        "from deepface.cli.app import app\n"
        "with contextlib.suppress(SystemExit): app.main(['--help'])\n"
        "with contextlib.suppress(SystemExit): app.main(['represent', '--help'])\n"
        "heavy = {'torch', 'cv2', 'pandas', 'ultralytics'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Usage: deepface"),
        (["nosuch"], "No such command 'nosuch'"),
        (["extract"], "no INPUTS"),
        (["extract", "a.jpg", "--nosuch"], "No such option"),
        (["extract", "a.jpg", "--detector-backend", "nosuch"], "Known names: opencv"),
        (["extract", "a.jpg", "--align=maybe"], "maybe"),
        (["extract", "a.jpg", "--output", "faces.xls"], "use one of .jsonl"),
        (["extract", "a.jpg", "--resume"], "--resume needs --output"),
        (["extract", "-", "-"], "once only"),
        (["represent", "a.jpg", "--normalization", "nosuch"], "unimplemented normalization"),
        (["represent", "a.jpg", "--batch-size", "0"], "0 is not in the range"),
        (["represent", "a.jpg", "--max-faces", "0"], "0 is not in the range"),
        (["verify", "a.jpg"], "two pictures are needed"),
        (["find", "a.jpg"], "no folder to look in"),
        (["models", "download", "nosuch"], "neither a model nor a weight file"),
        (["build_model"], "missing a required argument"),
    ],
)
def test_wrong_use(arguments: list[str], message: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2, result.output
    assert message in result.stderr
    assert "Traceback" not in result.stderr


def test_debug_shows_where_an_error_comes_from(tmp_path: Path) -> None:
    arguments = ["find", PORTRAIT, str(tmp_path / "nosuch"), "--model-name", "Dlib"]
    pytest.importorskip("dlib")
    result = run(*arguments)
    assert result.exit_code == 2
    assert result.stderr.startswith("Error: ")
    assert len(result.stderr.splitlines()) == 1
    assert isinstance(run(*arguments, "--debug").exception, deepface.errors.PathNotFound)  # type: ignore[attr-defined]


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    taken.write_text("")
    cases: list[tuple[list[str | Path], int, str]] = [
        (["--output", taken / "faces.csv"], 2, "faces.csv cannot be written"),
        (["--annotate", taken], 1, f"Error: {taken}: File exists\n"),
        (["--contact-sheet", tmp_path / "new" / "sheet.txt"], 2, "use a suffix such as .jpg"),
        (["--contact-sheet", taken / "sheet.jpg"], 1, f"Error: {taken}: "),
    ]
    for arguments, code, message in cases:
        result = run("extract", PORTRAIT, *arguments)
        assert result.exit_code == code, result.output
        assert message in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


def test_version() -> None:
    assert deepface.__version__ in run("--version").output


def test_the_published_entry_point(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["some/path.py", "verify", "a.jpg"])
    with pytest.raises(SystemExit) as end:
        DeepFace.cli()
    assert end.value.code == 2
    assert capsys.readouterr().err.startswith("Usage: deepface verify ")


@pytest.mark.parametrize("command", [[], ["extract"], ["represent"], ["analyze"], ["verify"],
                                     ["find"], ["bench"], ["doctor"], ["search"]])  # fmt: skip
def test_help_is_h_too(command: list[str]) -> None:
    assert run(*command, "-h").output == run(*command, "--help").output
    assert "-h, --help" in run(*command, "-h").output


@pytest.mark.parametrize("command", ["extract", "represent", "analyze", "verify", "find"])
def test_options_may_be_written_as_published(command: str) -> None:
    arguments = ["--detector_backend", "skip", "--noalign", "--expand_percentage", "x"]
    result = run(command, PORTRAIT, PORTRAIT, *arguments)
    assert result.exit_code == 2
    assert "Invalid value for '--expand-percentage'" in result.stderr


def test_a_reader_that_has_seen_enough(tmp_path: Path) -> None:
    folder = grey_pictures(tmp_path / "many", 20)
    command = process("extract", folder, "--detector-backend", "skip", "--batch-size", "1")
    assert command.stdout is not None and command.stderr is not None
    assert json.loads(command.stdout.readline())["source"].endswith("000.png")
    command.stdout.close()
    assert command.stderr.read() == ""
    assert command.wait() == 141


def test_logs_and_prints_of_libraries_are_not_among_results(tmp_path: Path) -> None:
    truncated = tmp_path / "truncated.jpg"
    truncated.write_bytes(encoded(picture(200, 200), ".jpg")[:-200])
    result = run("extract", truncated, "--detector-backend", "skip")
    assert len(result.stdout.splitlines()) == 1
    assert "is truncated" in result.stderr


def test_a_terminal_gets_a_table_and_a_progress_bar() -> None:
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 120, 0, 0))
    command = process("extract", PORTRAIT, PORTRAIT, stdout=theirs, stderr=theirs)
    os.close(theirs)
    shown = b""
    try:
        while block := os.read(ours, 1 << 16):
            shown += block
    except OSError:  # how Linux says that the other end was closed
        pass
    os.close(ours)
    assert command.wait() == 0
    text = shown.decode()
    assert "confidence\r\n" in text
    assert text.count("astronaut.png     0    176") == 2
    assert "/2 [" in text
    assert "2 pictures, 2 faces, 0 without a face, 0 failed" in text


def sample(path: str, align: bool = True, k: Any = None, *, border: float = 0.5) -> list[Any]:
    return [path, align, k, border]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["a.jpg"], ["a.jpg", True, None, 0.5]),
        (["--path", "a.jpg", "--noalign"], ["a.jpg", False, None, 0.5]),
        (["--path=a.jpg", "--align=False", "--k", "3"], ["a.jpg", False, 3, 0.5]),
        (["--path=true", "--align=false", "--k", "true"], ["true", False, "true", 0.5]),
        (["a.jpg", "False", "[1, 2]", "--border=0.1"], ["a.jpg", False, [1, 2], 0.1]),
        (["--align", "--path", "a.jpg", "--k", "None"], ["a.jpg", True, None, 0.5]),
    ],
)
def test_published_arguments_of_other_functions(arguments: list[str], expected: list[Any]) -> None:
    function: Callable[..., Any] = sample
    assert call(function, arguments) == expected


def test_a_function_has_its_own_debug(monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, Any] = {}

    def stream(db_path: str = "", debug: bool = False) -> None:
        given.update(db_path=db_path, debug=debug)

    monkeypatch.setattr(DeepFace, "stream", stream)
    assert run("stream", "people", "--debug", "True").exit_code == 0
    assert given == {"db_path": "people", "debug": True}


def test_other_public_functions_are_commands() -> None:
    result = run("build_model", "--model_name", "opencv", "--task=face_detector")
    assert result.exit_code == 0, result.stderr
    assert "OpenCvDetector" in result.stdout


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ValueError("too small"), "too small"),
        (ValueError(), "ValueError"),
        (RuntimeError("broken"), "RuntimeError: broken"),
        (RuntimeError(), "RuntimeError"),
        (OSError(13, "Permission denied", "a\nb"), "a\\nb: Permission denied"),
        (OSError("odd"), "OSError: odd"),
        (ValueError("\x1b[2J"), "\\x1b[2J"),
    ],
)
def test_an_error_is_one_line(error: Exception, expected: str) -> None:
    assert one_line(error) == expected
    error.__cause__ = KeyError("deeper")
    assert one_line(error) == f"{expected}: 'deeper'"
    error.__cause__ = KeyError()
    assert one_line(error) == expected


def test_a_reason_is_told_once() -> None:
    error = ValueError("it is: too small")
    error.__cause__ = ValueError("too small")
    assert one_line(error) == "it is: too small"


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (None, 0, ""),
        (PathNotFound("nowhere"), 2, "Error: nowhere\n"),
        (UnimplementedError("unknown"), 2, "Error: unknown\n"),
        (DataTypeError("odd"), 2, "Error: odd\n"),
        (WeightsError("absent"), 1, "Error: absent\n"),
        (RuntimeError("broken\n\x1b"), 1, "Error: RuntimeError: broken\\n\\x1b\n"),
        (KeyboardInterrupt(), 130, "interrupted\n"),
        (click.UsageError("so not"), 2, "Error: so not\n"),
        (WrongUse("nor\nso"), 2, "Error: nor\\nso\n"),
        (click.exceptions.Exit(7), 7, ""),
    ],
)
def test_what_becomes_of_errors(
    error: BaseException | None, code: int, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def search(img: str = "") -> None:
        if error is not None:
            raise error

    monkeypatch.setattr(DeepFace, "search", search)
    result = run("search")
    assert result.exit_code == code
    assert result.stderr == message or (result.stderr.endswith(message) and message)
    assert result.stdout == ""
    if error is not None and code in (1, 2) and not isinstance(error, click.ClickException):
        for arguments in (["--debug", "search"], ["search", "--debug"]):
            assert run(*arguments).exception is error


@pytest.mark.parametrize(
    ("level", "code", "shown"),
    [
        ("debug", 0, ""),
        ("info", 0, "INFO: said\n"),
        ("warning", 0, "WARNING: said\n"),
        ("error", 1, "ERROR: said\n"),
        ("critical", 1, "CRITICAL: said\n"),
    ],
)
def test_an_error_that_is_only_logged_is_one(
    level: str, code: int, shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def search(img: str = "") -> dict[str, str]:
        getattr(get_logger(), level)("said")
        return {"img": img}

    monkeypatch.setattr(DeepFace, "search", search)
    before, level_before = list(logging.getLogger().handlers), get_logger().level
    result = run("search", "--img", "a.jpg")
    assert (result.exit_code, result.stderr) == (code, shown)
    assert json.loads(result.stdout) == {"img": "a.jpg"}
    assert logging.getLogger().handlers == before and get_logger().level == level_before


def test_the_commands_own_level_is_info(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unless the variable or the program says another one."""
    script = (
        "import sys\nfrom deepface import DeepFace\nfrom deepface.logger import get_logger\n"
        "def search():\n    get_logger().info('said')\n"
        "DeepFace.search = search\nsys.argv = ['deepface', 'search']\nDeepFace.cli()\n"
    )
    for level, shown in ((None, True), ("WARNING", False), ("10", True)):
        environment = {k: v for k, v in os.environ.items() if k != "DEEPFACE_LOG_LEVEL"}
        if level is not None:
            environment["DEEPFACE_LOG_LEVEL"] = level
        done = subprocess.run(
            [sys.executable, "-c", script],
            env=environment,
            capture_output=True,
            text=True,
            cwd=ROOT,
        )
        assert done.returncode == 0 and done.stdout == ""
        assert ("INFO: said" in done.stderr) == shown


def test_results_of_functions_are_printed_as_json(monkeypatch: pytest.MonkeyPatch) -> None:
    pandas = pytest.importorskip("pandas")
    array, table = np.arange(3), pandas.DataFrame({"a": [1, 2]})
    results = [(array, [0, 1, 2]), ([table], [[{"a": 1}, {"a": 2}]]), ({"a": None}, {"a": None})]
    for value, printed in [*results, ({"x": Path}, {"x": repr(Path)})]:
        monkeypatch.setattr(DeepFace, "search", lambda value=value: value)
        assert json.loads(run("search").stdout) == printed
    monkeypatch.setattr(DeepFace, "search", lambda: None)
    assert run("search").stdout == ""


@pytest.mark.parametrize(
    ("redirected", "arguments", "code", "stdout", "stderr"),
    [
        (">&-", ("extract", "--detector-backend", "skip"), 2, "", "there is no stdout to write to"),
        ("2>&-", ("extract", "--detector-backend", "skip"), 0, "facial_area", ""),
        (">&- 2>&-", ("extract", "--detector-backend", "skip", "-o", "o.csv"), 0, "", ""),
        *(
            (">&-", arguments, 2, "", "there is no stdout to write to")
            for arguments in [
                *[("models",), ("models", "download", "all"), ("doctor",), ("bench",)],
                *[("register", "--img", "no.jpg"), ("list-faces",), ("build-model", "Dlib")],
            ]
        ),
        (">&-", ("stream", "--source", "no.mp4", "--output-path", "o.mp4"), 1, "", "no.mp4"),
        ("<&-", ("extract", "-"), 2, "", "there is no stdin to read a list from"),
        *(
            [(">/dev/full", ("--help",), 1, "", "No space left on device")]
            * Path("/dev/full").exists()
        ),
    ],
)
def test_streams_that_are_closed_or_full(
    tmp_path: Path, redirected: str, arguments: tuple[str, ...], code: int, stdout: str, stderr: str
) -> None:
    command = [sys.executable, "-m", "deepface.cli", *arguments]
    if arguments[0] == "extract" and "-" not in arguments:
        command.append(str(package_pictures()[0]))
    done = subprocess.run(
        ["sh", "-c", f'exec "$@" {redirected}', "sh", *command],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    assert stdout in done.stdout and stderr in done.stderr
    assert "Traceback" not in done.stderr
    assert (tmp_path / "o.csv").exists() is ("o.csv" in arguments)


@pytest.mark.skipif(os.name == "nt", reason="a shell of POSIX")
def test_what_libraries_write_to_closed_streams_gets_into_no_file(tmp_path: Path) -> None:
    script = (
        "import os\nfrom deepface.cli import app, run\nwrite = run.Run.write\n"
        "def wrapped(*entry):\n    os.write(1, b'said')\n    os.write(2, b'said')\n"
        "    return write(*entry)\n"
        "run.Run.write = wrapped\napp.main()\n"
    )
    command = [sys.executable, "-c", script, "extract", "--detector-backend", "skip"]
    command += [str(package_pictures()[0]), "-o", "o.jsonl"]
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *command],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    files = [path for path in tmp_path.iterdir() if path.is_file()]
    assert files and not any("said" in path.read_text() for path in files)


def test_a_dash_is_stdout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    picture = package_pictures()[0]
    plain = run("extract", picture, "--detector-backend", "skip")
    named = run("extract", picture, "--detector-backend", "skip", "-o", "-")
    assert plain.exit_code == named.exit_code == 0, named.stderr
    assert named.stdout == plain.stdout != ""
    assert not list(tmp_path.iterdir())
    refused = run("represent", picture, "-o", "-", "--resume")
    assert refused.exit_code == 2 and "stdout cannot be gone on with" in refused.stderr
