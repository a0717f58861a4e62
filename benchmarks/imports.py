"""How long ``import deepface`` takes, and what it loads."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from functools import partial

from benchmarks.arguments import add_output, add_rounds
from benchmarks.measure import Spread, alternate
from benchmarks.report import Report, table

HELP = "import time in fresh processes, and heavy packages that the import loads"
#: What a script waits for, from nothing to everything that it needs before its first call.
STATEMENTS = ("pass", "import cv2", "import deepface", "from deepface import DeepFace")
#: Packages that must wait until they are needed.
HEAVY = (
    "torch",
    "torchvision",
    "pandas",
    "ultralytics",
    "mediapipe",
    "onnxruntime",
    "dlib",
    "h5py",
)
COLUMNS = {"statement": "statement", "ms": "ms (quartiles)", "heavy": "heavy packages loaded"}
_PROGRAM = """
import json, sys, time
start = time.perf_counter()
{statement}
stop = time.perf_counter()
print(json.dumps([1000 * (stop - start), [name for name in {heavy} if name in sys.modules]]))
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    add_rounds(parser, default=11)
    add_output(parser)


def run(args: argparse.Namespace) -> int:
    """Measure, print, save; fails when a heavy package is loaded."""
    report = Report("import", settings={"rounds": args.repeat})
    for statement in STATEMENTS:
        timed_import(statement)  # files into the system's cache, bytecode onto the disk
    answers = alternate({s: partial(timed_import, s) for s in STATEMENTS}, args.repeat)
    for statement, found in answers.items():
        heavy = ", ".join(found[0][1]) or "none"
        spread = Spread.of([ms for ms, _ in found]).columns("ms", 1)
        report.rows.append({"statement": statement, **spread, "heavy": heavy})
    print(f"{table(report.rows, COLUMNS)}\n\nwritten: {report.save(args.out, args.tag)}")
    return 0 if all(row["heavy"] == "none" for row in report.rows) else 1


def timed_import(statement: str) -> tuple[float, list[str]]:
    """Milliseconds of a statement in a new interpreter, and the heavy packages it loaded."""
    program = _PROGRAM.format(statement=statement, heavy=HEAVY)
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    ms, heavy = json.loads(result.stdout.splitlines()[-1])
    return ms, heavy
