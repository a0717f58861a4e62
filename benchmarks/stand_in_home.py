"""A home for weights in which one recognition model has made ones."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import mock

from benchmarks.stand_ins import write_recognition
from deepface.runtime.home import weights_folder


@contextmanager
def recognition_stand_in(writer: Path | None, model: str) -> Iterator[bool]:
    """``DEEPFACE_HOME`` for the block: links to all weights there are, and made ones of ``model``.

    Without ``writer`` (``reference_weights.py``), or for a model that it does not know, nothing
    changes. Yields whether weights were made.
    """
    if writer is None or model in ("Dlib", "SFace", "Buffalo_L"):
        yield False
        return
    with TemporaryDirectory(prefix="benchmarks-") as home:
        folder = Path(home, ".deepface", "weights")
        folder.mkdir(parents=True)
        for path in weights_folder().glob("*"):
            if path.is_file():
                (folder / path.name).symlink_to(path.resolve())
        write_recognition(writer, model, folder, False)
        with mock.patch.dict(os.environ, {"DEEPFACE_HOME": home}):
            yield True
