"""Signatures of a datastore, by a ``lightdsa.LightDSA`` object, in a file beside it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import IO, Any

from deepface.errors import DeepFaceError


class Signatures:
    """The file ``DATASTORE.ldsa``.

    It holds two signatures, of the datastore that is about to be put in place and of the one that
    is there, so that a process which is killed between the two files leaves a valid pair.
    """

    def __init__(self, datastore: Path, credentials: Any) -> None:
        self._datastore = datastore
        self._path = datastore.with_name(datastore.name + ".ldsa")
        self._credentials = credentials
        self._valid: Any = None  # the signature of the datastore that is there

    def sign(self, file: IO[bytes]) -> None:
        """Sign the content of the file that will become the datastore.

        Raises:
            ValueError: the credentials have no private key.
        """
        signatures = [self._credentials.sign(_digest(file)), self._valid]
        temporary = self._path.with_name(self._path.name + ".tmp")
        temporary.write_text(json.dumps(signatures))
        temporary.replace(self._path)

    def verify(self, file: IO[bytes]) -> None:
        """Check the datastore before it is read.

        Raises:
            DeepFaceError: it is not signed, or not with these credentials, or was changed since.
        """
        digest = _digest(file)
        file.seek(0)
        signatures = self._read()
        self._valid = next((s for s in signatures if self._is_valid(digest, s)), None)
        if self._valid is None:
            state = "no longer fits its signature" if signatures else "has no signature"
            raise DeepFaceError(
                f"datastore {self._datastore} {state} by these credentials, so it is not used. "
                "Delete it to have it built anew, if that is what you want."
            )

    def refuse_unsigned(self) -> None:
        """Without credentials: raise an error rather than replace a datastore that is signed."""
        if self._path.exists() and self._datastore.exists():
            raise DeepFaceError(
                f"datastore {self._datastore} is signed, and the pictures have changed: pass the "
                "credentials, or refresh_database=False to use it as it is"
            )

    def _is_valid(self, digest: str, signature: Any) -> bool:
        try:
            return bool(self._credentials.verify(digest, signature))
        except (ValueError, TypeError, ArithmeticError):  # what it raises for a wrong signature
            return False

    def _read(self) -> list[Any]:
        try:
            signatures = json.loads(self._path.read_text())
        except (FileNotFoundError, ValueError):
            return []
        return signatures if isinstance(signatures, list) else []


def _digest(file: IO[bytes]) -> str:
    """SHA-256 of a file, as text: what is signed, since signing takes long for large numbers."""
    file.seek(0)
    digest = hashlib.sha256()
    while block := file.read(1 << 20):
        digest.update(block)
    return digest.hexdigest()
