"""The first download of a file whose hash nobody has published decides what it is from then on.

``weights-lock.json`` beside the weights has the hash of each such file. A later download that
differs is refused, and told: as with the keys of SSH servers, somebody has to say that it is right.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path

from deepface.errors import WeightsError
from deepface.runtime import safe_files
from deepface.runtime.home import weights_folder

_NAME = "weights-lock.json"
_LARGEST = 1 << 20


@dataclass(frozen=True)
class Pin:
    """What was first seen of a file; ``modified`` is when it was written here, in nanoseconds."""

    sha256: str
    size: int
    url: str
    first_seen: str
    modified: int


def lock_file() -> Path:
    """Where the pins are."""
    return weights_folder() / _NAME


def pins() -> dict[str, Pin]:
    """The pins by the names of files.

    Raises:
        WeightsError: the file of pins is damaged.
    """
    path = lock_file()
    try:
        with safe_files.open_existing(path, "rb") as file:
            content = json.loads(file.read(_LARGEST))
        return {name: Pin(**fields) for name, fields in content.items()}
    except FileNotFoundError:
        return {}
    except Exception as error:  # whatever bytes it holds
        raise WeightsError(
            f"{path} is damaged ({error}). It has the hashes of weights that were downloaded; "
            "delete it, and the next downloads decide anew"
        ) from error


def pin(name: str, sha256: str, size: int, url: str, modified: int) -> None:
    """Note what was downloaded first."""
    now = datetime.now(timezone.utc).isoformat(timespec="seconds")
    path = lock_file()
    with safe_files.locked(path.with_name(f".{_NAME}.lock")):
        known = pins() | {name: Pin(sha256, size, url, now, modified)}
        content = {name: asdict(known[name]) for name in sorted(known)}
        safe_files.write(path, json.dumps(content, indent=1).encode())


def changed(name: str, pinned: Pin, sha256: str, where: str) -> WeightsError:
    """The error about a file that is not the one that was seen first."""
    return WeightsError(
        f"{where} is not the {name} that was downloaded from {pinned.url} at {pinned.first_seen}: "
        f"it has sha256 {sha256} instead of {pinned.sha256}. No hash of it is published: find out "
        f"why it changed. If it is right, remove its entry from {lock_file()}; if it is a file of "
        f"your own, set the environment variable DEEPFACE_ALLOW_UNKNOWN_WEIGHTS={name}."
    )
