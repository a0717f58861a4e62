"""What other packages add to ours, by entry points of their metadata; what is found by its name."""

from __future__ import annotations

import importlib
from collections.abc import Container
from importlib.metadata import entry_points
from typing import Any, TypeVar

from deepface.errors import DeepFaceError, MissingPackageError, UnimplementedError
from deepface.logger import get_logger

T = TypeVar("T")


def class_at(path: str, what: str) -> type[Any]:
    """The class at ``"package.module:Class"``, which is imported now.

    Raises:
        MissingPackageError: it, or what it imports, is not installed.
        UnimplementedError: there is no class.
    """
    module, _, name = path.partition(":")
    try:
        cls = getattr(importlib.import_module(module), name)
    except DeepFaceError:
        raise
    except ImportError as error:
        raise MissingPackageError(f"{what} cannot be imported: {error}") from error
    except Exception as error:  # it may be somebody else's code
        raise UnimplementedError(f"{what} is not at {path!r}: {error}") from error
    if not isinstance(cls, type):
        raise UnimplementedError(f"{what} is not at {path!r}: that is no class")
    return cls


def additions(group: str, kind: type[T], taken: Container[str]) -> dict[str, T]:
    """Name of the entry point -> what it names. One that is wrong is told, and left out.

    Args:
        group: of entry points, e.g. ``"deepface.detectors"``.
        kind: the class of what they name.
        taken: names that cannot be added.
    """
    found: dict[str, T] = {}
    for point in entry_points(group=group):
        try:
            value = point.load()
            if not isinstance(value, kind):
                raise TypeError(f"it names a {type(value).__name__}, not a {kind.__name__}")
            if (name := getattr(value, "name", point.name)) != point.name:
                raise ValueError(f"its {kind.__name__} has the name {name!r}")
            if name in taken or name in found:
                raise ValueError("there is something of that name already")
            found[name] = value
        except Exception as error:  # it is somebody else's code
            get_logger().warning(
                "entry point %s = %s of %s is left out: %s: %s",
                *(point.name, point.value, group, type(error).__name__, error),
            )
    return found
