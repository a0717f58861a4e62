"""OpenCV's import, and the names it can be given.

It is imported without a trace that programs started later could follow.

Its import puts folders before ``LD_LIBRARY_PATH``, and an empty entry behind them where the
variable was not set: a child process would then load libraries from the current folder. Nothing
here needs that. (Its ``QT_...`` variables stay: without them its windows do not open.)
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType

from deepface.errors import DeepFaceError
from deepface.logger import is_encodable

_VARIABLE = "LD_LIBRARY_PATH"


class _Finder(MetaPathFinder):
    """Steps in once: at the first import of ``cv2``."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != "cv2":
            return None
        sys.meta_path.remove(self)  # cv2 imports itself a second time
        spec = find_spec(fullname)
        if spec is None or spec.loader is None:
            return spec
        execute = spec.loader.exec_module

        def execute_and_restore(module: ModuleType) -> None:
            before = os.environ.get(_VARIABLE)
            try:
                execute(module)
            finally:
                if before is None:
                    os.environ.pop(_VARIABLE, None)
                else:
                    os.environ[_VARIABLE] = before

        spec.loader.exec_module = execute_and_restore  # type: ignore[method-assign]
        return spec


def install() -> None:
    """Watch for the import of OpenCV, unless it is there already."""
    if "cv2" not in sys.modules:
        sys.meta_path.insert(0, _Finder())


def path_for_opencv(path: str | os.PathLike[str]) -> str:
    """The path of a file that OpenCV, or another library written in C++, opens.

    On Linux a name can be any bytes. At those that are not UTF-8 OpenCV ends the whole process.

    Raises:
        DeepFaceError: it has such bytes.
    """
    name = os.fspath(path)
    if not is_encodable(name):
        raise DeepFaceError(
            f"{name} cannot be opened: this name (or that of a folder in it) is not UTF-8, as the "
            "library that reads it needs. Rename it"
        )
    return name
