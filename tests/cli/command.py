"""The command line in this process and in one of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from click.testing import CliRunner, Result

from deepface.cli.app import app

ROOT = Path(__file__).parents[2]


def run(*arguments: str | Path, stdin: str | bytes | None = None) -> Result:
    """``deepface ARGUMENTS`` in this process."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments], input=stdin)


def lines(result: Result) -> list[dict[str, Any]]:
    """The JSON lines on stdout; there is nothing else there."""
    return [json.loads(line) for line in result.stdout.splitlines()]


def process(
    *arguments: str | Path, module: str = "deepface.cli", log: Path | None = None, **options: Any
) -> subprocess.Popen[str]:
    """``deepface ARGUMENTS`` in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", module, *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, "SLOW_LOG": str(log)},
        stdout=options.pop("stdout", subprocess.PIPE),
        stderr=options.pop("stderr", subprocess.PIPE),
        text=True,
        **options,
    )


def grey_pictures(folder: Path, count: int) -> Path:
    """A folder of small pictures of different grey."""
    folder.mkdir()
    for number in range(count):
        grey = np.full((80, 80, 3), 40 + 2 * (number % 100), np.uint8)
        assert cv2.imwrite(str(folder / f"{number:03}.png"), grey)
    return folder
