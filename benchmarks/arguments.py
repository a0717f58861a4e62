"""Options that several commands have, and the types of their values."""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks.report import RESULTS


def names(text: str) -> list[str]:
    """``"mtcnn,ssd"`` → ``["mtcnn", "ssd"]``."""
    found = [part.strip() for part in text.split(",") if part.strip()]
    if not found:
        raise argparse.ArgumentTypeError("at least one name")
    return found


def numbers(text: str) -> list[int]:
    """``"1,8,32"`` → ``[1, 8, 32]``."""
    try:
        found = [int(part) for part in text.split(",")]
    except ValueError:
        found = [0]
    if min(found) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no list of positive numbers such as 1,8,32")
    return found


def positive(text: str) -> int:
    """A whole number above 0."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no positive number")
    return int(text)


def size(text: str) -> tuple[int, int]:
    """``"1280x720"`` → ``(1280, 720)``: width and height."""
    parts = text.lower().split("x")
    if len(parts) != 2 or not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise argparse.ArgumentTypeError(f"{text!r} is no size such as 1280x720")
    return int(parts[0]), int(parts[1])


def folder(text: str) -> Path:
    """A folder that exists."""
    path = Path(text)
    if not path.is_dir():
        raise argparse.ArgumentTypeError(f"{text} is no folder")
    return path


def add_pictures(parser: argparse.ArgumentParser) -> None:
    """``--images`` and ``--limit``."""
    parser.add_argument(
        "--images",
        type=folder,
        metavar="DIR",
        help="photographs; without it pictures of noise and a portrait are drawn",
    )
    parser.add_argument(
        "--limit",
        type=positive,
        metavar="N",
        help="so many pictures; the folder from the start again when it has fewer",
    )


def add_stand_ins(parser: argparse.ArgumentParser) -> None:
    """``--stand-ins``."""
    parser.add_argument(
        "--stand-ins",
        action="store_true",
        help="random weights for RetinaFace and YOLO detectors whose files are missing",
    )


def add_made_weights(parser: argparse.ArgumentParser) -> None:
    """``--stand-ins FILE``."""
    parser.add_argument(
        "--stand-ins",
        type=Path,
        metavar="FILE",
        help="reference_weights.py, which writes weight files of the published layouts",
    )


def add_rounds(parser: argparse.ArgumentParser, default: int = 5) -> None:
    """``--repeat``."""
    parser.add_argument(
        "--repeat", type=positive, default=default, metavar="R", help=f"rounds (default {default})"
    )


def add_output(parser: argparse.ArgumentParser) -> None:
    """``--out`` and ``--tag``."""
    parser.add_argument(
        "--out", type=Path, default=RESULTS, metavar="DIR", help="default: benchmarks/results"
    )
    parser.add_argument("--tag", help="end of the result files' names, e.g. gpu")
