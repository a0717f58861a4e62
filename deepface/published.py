"""Small helpers of the published library that scripts import; nothing here uses them."""

from __future__ import annotations

from importlib.util import find_spec
from os import PathLike
from pathlib import Path
from typing import Any

from deepface.runtime import safe_files

__all__ = [
    "PACKAGE_FOLDER",
    "PARENT_FOLDER",
    "find_file_hash",
    "is_flat_embedding",
    "is_package_installed",
]

PACKAGE_FOLDER = str(Path(__file__).parent)
PARENT_FOLDER = str(Path(__file__).parent.parent)


def is_flat_embedding(x: Any) -> bool:
    """Whether ``x`` is one embedding (a list of numbers) and not a list of embeddings."""
    return isinstance(x, list) and all(isinstance(value, (int, float)) for value in x)


def find_file_hash(file_path: str | PathLike[str], hash_algorithm: str = "sha256") -> str:
    """The hash of a file's bytes in hexadecimal digits."""
    with Path(file_path).open("rb") as file:
        return safe_files.digest(file, hash_algorithm)


def is_package_installed(package_name: str) -> bool:
    """Whether ``package_name`` can be imported."""
    return find_spec(package_name) is not None
