"""Files that libraries in C++ open: on some damaged ones these end the process that opens them.

So a file whose hash is not known is opened in a process of its own first.
"""

from __future__ import annotations

import subprocess
import sys
from functools import cache
from pathlib import Path

from deepface.runtime.weights.damage import damaged
from deepface.runtime.weights.store import has_known_hash
from deepface.runtime.weights.table import WeightFile

_SECONDS = 60
_REFUSED = 3
_PROGRAM = """
import sys
try:
    {imports}
except ImportError:  # it is found in another way here
    sys.exit(0)
path = sys.argv[1]
try:
    {use}
except Exception as error:
    print(error, file=sys.stderr)
    sys.exit({refused})
"""


def check_by_trial(path: Path, file: WeightFile | None, imports: str, use: str) -> None:
    """Open a file elsewhere, unless its hash is known.

    Args:
        path: the file on disk.
        file: what is known of it.
        imports: a statement that imports what opens it.
        use: a statement that opens and uses ``path``.

    Raises:
        WeightsError: it was refused there, or that process crashed.
    """
    if file is not None and has_known_hash(file, path):
        return
    # A frozen program's executable is the program.
    if sys.executable and not getattr(sys, "frozen", False):
        status = path.stat()
        program = _PROGRAM.format(imports=imports, use=use, refused=_REFUSED)
        _try(path, program, status.st_size, status.st_mtime_ns)


@cache  # nothing is cached for a file that is refused
def _try(path: Path, program: str, _size: int, _modified: int) -> None:
    try:
        done = subprocess.run(  # noqa: S603 - the program is ours
            [sys.executable, "-c", program, str(path)],
            capture_output=True,
            timeout=_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise damaged(path, f"it was not opened within {_SECONDS} s") from None
    except OSError:  # no processes here
        return
    if done.returncode == _REFUSED:
        reason = done.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2]
        raise damaged(path, f"it is refused: {reason}")
    if not 0 <= done.returncode < 256:
        raise damaged(path, "the library that opens it crashes on it")
