"""Where files of this package live: ``$DEEPFACE_HOME/.deepface``, as in the published library."""

from __future__ import annotations

import os
from pathlib import Path

from deepface.errors import InvalidArgument


def get_deepface_home() -> str:
    """``$DEEPFACE_HOME``, or the user's home directory. The variable is read at each call.

    A ``~`` that no shell has replaced (in a service's file, say) means the home directory.

    Raises:
        InvalidArgument: the user has none: without an account, as in some containers, and ``HOME``.
    """
    home = path_from_env("DEEPFACE_HOME") or os.path.expanduser("~")  # noqa: PTH111
    if Path(home).parts[0] == "~":
        raise InvalidArgument("this user has no home directory: set DEEPFACE_HOME to a folder")
    return home


def path_from_env(variable: str) -> str | None:
    """A path or URL in an environment variable, a leading ``~`` expanded; ``None`` if unset."""
    # Not Path.expanduser: the variables of databases may hold URLs.
    return os.path.expanduser(os.environ.get(variable, "")) or None  # noqa: PTH111


def weights_folder() -> Path:
    """The folder of weight files. It is made when a file is first downloaded, not here."""
    return Path(get_deepface_home(), ".deepface", "weights")


def initialize_folder() -> None:
    """Make the folder of weight files. Nothing here needs it; published scripts call it."""
    weights_folder().mkdir(parents=True, exist_ok=True)
