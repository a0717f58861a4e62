"""Runs a script as ``python SCRIPT ARGUMENTS`` does, in a process that is there already."""

from __future__ import annotations

import os
import runpy
import sys
from pathlib import Path


def run(script: Path, arguments: list[str], errors: Path) -> None:
    """What it says of errors goes to a file."""
    with errors.open("w") as file:
        os.dup2(file.fileno(), 2)
    sys.argv = [str(script), *arguments]
    sys.path.insert(0, str(script.parent))
    runpy.run_path(str(script), run_name="__main__")
