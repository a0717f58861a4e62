"""Files that installed packages bring, found without importing the package."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path


def package_file(package: str, relative: str) -> Path | None:
    """The path of a package's file; ``None`` without the package or the file.

    In a frozen program a package may be a folder of files only, without code.
    """
    spec = find_spec(package)
    folders = (spec and spec.submodule_search_locations) or ()
    paths = (Path(folder, relative) for folder in folders)
    return next((path for path in paths if path.is_file()), None)
