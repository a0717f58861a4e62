"""The logger: whose level counts, and that a line is a line."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

SAY = """
from deepface.logger import get_logger
for level in ("debug", "info", "warning", "error"):
    getattr(get_logger(), level)(level)
"""


def shown(code: str, level: str | None = None, **environment: str) -> str:
    """What a process shows whose ``DEEPFACE_LOG_LEVEL`` is this; nothing else is on stderr."""
    known = {k: v for k, v in os.environ.items() if k != "DEEPFACE_LOG_LEVEL"}
    if level is not None:
        known["DEEPFACE_LOG_LEVEL"] = level
    done = subprocess.run(
        [sys.executable, "-c", code], env={**known, **environment}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


def test_an_import_says_nothing_whatever_the_variables_are() -> None:
    package = Path(__file__).resolve().parents[1] / "deepface"
    sources = "\n".join(file.read_text("utf-8") for file in package.rglob("*.py"))
    variables = set(re.findall(r"DEEPFACE_[A-Z_]*[A-Z]", sources)) - {"DEEPFACE_LOG_LEVEL"}
    assert "DEEPFACE_BACKEND_ENGINE" in variables
    odd = dict.fromkeys(variables, "onnx")
    assert shown("from deepface import DeepFace", level="10", **odd) == ""


def levels(output: str) -> list[str]:
    return [line.rsplit(maxsplit=1)[-1] for line in output.splitlines()]


def test_without_set_up_info_is_shown() -> None:
    assert levels(shown(SAY)) == ["info", "warning", "error"]


@pytest.mark.parametrize(
    ("set_up", "expected"),
    [
        ("logging.basicConfig(level=logging.WARNING)", ["warning", "error"]),
        ("logging.basicConfig()", ["warning", "error"]),
        ("logging.basicConfig(level=logging.ERROR)", ["error"]),
        ("logging.basicConfig(level=logging.DEBUG)", ["debug", "info", "warning", "error"]),
        ("logging.getLogger('deepface').setLevel(logging.ERROR)", ["error"]),
        (
            "logging.basicConfig(); logging.getLogger('deepface').setLevel(logging.INFO)",
            ["info", "warning", "error"],
        ),
    ],
)
@pytest.mark.parametrize("when", ["before", "after"])
def test_the_programs_logging_counts(set_up: str, expected: list[str], when: str) -> None:
    use = "from deepface.logger import get_logger; get_logger()"
    first, then = (set_up, use) if when == "before" else (use, set_up)
    output = shown(f"import logging\n{first}\n{then}\n{SAY}")
    assert [line.rsplit(":", 1)[-1].split()[-1] for line in output.splitlines()] == expected


@pytest.mark.parametrize(
    ("level", "expected"),
    [
        ("WARNING", ["warning", "error"]),
        ("warn", ["warning", "error"]),
        (" 40 ", ["error"]),
        ("10", ["debug", "info", "warning", "error"]),
        ("0", ["debug", "info", "warning", "error"]),
        ("NOTSET", ["debug", "info", "warning", "error"]),
        ("999999999", []),
        ("", ["info", "warning", "error"]),
        ("  ", ["info", "warning", "error"]),
    ],
)
def test_levels_of_the_variable(level: str, expected: list[str]) -> None:
    assert levels(shown(SAY, level)) == expected
    strict = f"import logging\nlogging.basicConfig(level=logging.CRITICAL)\n{SAY}"
    if level.strip():
        assert len(shown(strict, level).splitlines()) == len(expected)


@pytest.mark.parametrize(
    "level",
    ["\u00b2", "\u0663", "-5", "1.5", "0x10", "9" * 5000, "loud", "a\nb\x1b[2J", "\udcff", "None"],
)
def test_what_is_no_level_is_told(level: str) -> None:
    lines = shown(SAY, level).splitlines()
    assert len(lines) == 4
    assert "DEEPFACE_LOG_LEVEL=" in lines[0] and "is no level; using 20 (INFO)" in lines[0]
    assert levels("\n".join(lines[1:])) == ["info", "warning", "error"]


def test_a_message_that_does_not_fit_its_arguments_ends_nothing() -> None:
    code = "from deepface.logger import get_logger\nget_logger().error('%d of %d', 3)\nprint('on')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "on\n"


@pytest.mark.parametrize("set_up", ["", "import logging; logging.basicConfig(level=10)"])
@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_a_file_name_is_on_one_line(set_up: str, encoding: str) -> None:
    names = [
        "a\nWARNING: forged",
        "\x1b[2J",
        "\r",
        "\u202egpj.exe",
        "\udcff",
        "\x00",
        "\u2028",
        "ü",
    ]
    code = f"""
{set_up}
from deepface.logger import get_logger
for name in {names!a}:
    get_logger().warning("%s is left out: %s", name, {{"why": name}})
    get_logger().warning(f"{{name}} is left out")
"""
    output = shown(code, PYTHONIOENCODING=encoding)
    lines = output.splitlines()
    assert len([line for line in lines if "is left out" in line]) == 2 * len(names)
    assert not {c for c in output if not c.isprintable()} - {"\n"}
