"""Files that installed packages bring, found without importing the package."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path


def package_file(package: str, relative: str) -> Path | None:
    """The path of a package's file; ``None`` without the package or the file."""
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin).parent / relative
    return path if path.is_file() else None
