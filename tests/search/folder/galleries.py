"""Folders of files that look like pictures, and a stand-in for what embeds them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from deepface.search.folder import Datastore, Face, Gallery

DIMENSIONS = 8
NAME = "ds_model_standin"


def write_picture(path: Path, text: str) -> None:
    """A file with a JPEG's first bytes; the number that ``text`` begins with is that of faces."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"\xff\xd8\xff\xe0" + text.encode())


def faces_of(content: bytes) -> list[Face]:
    """As many faces as the content says, each with a vector that depends on the content."""
    count = int(content[4:5])
    seed = int.from_bytes(hashlib.sha256(content).digest()[:4], "big")
    vectors = np.random.default_rng(seed).standard_normal((count, DIMENSIONS)).astype(np.float32)
    return [Face((n, seed % 100, 10, 20), vector) for n, vector in enumerate(vectors)]


class Embedder:
    """Embeds files, remembers which, and stops after ``limit`` of them as if it was cut off."""

    def __init__(self, limit: int | None = None) -> None:
        self.done: list[str] = []
        self.limit = limit

    def __call__(self, files: list[str]) -> Iterator[tuple[str, list[Face]]]:
        for file in files:
            if self.limit is not None and len(self.done) >= self.limit:
                raise KeyboardInterrupt
            self.done.append(file)
            yield file, faces_of(Path(file).read_bytes())


def store(folder: Path | str, kind: str = "npz", **options: Any) -> Datastore:
    """The datastore of a folder."""
    return Datastore(str(folder), NAME, kind, DIMENSIONS, **options)


def same(first: Gallery, second: Gallery) -> None:
    """Raise AssertionError when two galleries differ."""
    assert first.identity.tolist() == second.identity.tolist()
    assert first.hash.tolist() == second.hash.tolist()
    np.testing.assert_array_equal(first.area, second.area)
    np.testing.assert_array_equal(first.has_embedding, second.has_embedding)
    np.testing.assert_array_equal(
        first.embedding[first.has_embedding], second.embedding[second.has_embedding]
    )


class Credentials:
    """Signs as ``lightdsa.LightDSA`` does: anything JSON can hold, an error where it is wrong."""

    def __init__(self, key: str, private: bool = True) -> None:
        self._key = key
        self._private = private

    def sign(self, message: str) -> list[int]:
        if not self._private:
            raise ValueError("You must have private key to sign a message")
        return list(hashlib.sha256(json.dumps([self._key, message]).encode()).digest())

    def verify(self, message: str, signature: list[int]) -> bool:
        if Credentials(self._key).sign(message) != signature:
            raise ValueError("Signature is invalid")
        return True
