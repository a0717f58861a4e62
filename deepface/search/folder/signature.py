"""Signatures of a datastore, by a ``lightdsa.LightDSA`` object, in a file beside it."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from deepface.errors import DataTypeError, DeepFaceError, MissingPackageError
from deepface.runtime import safe_files

#: Bytes of a file of signatures, which have some thousand.
_LONGEST = 1 << 20


class SignatureError(DeepFaceError):
    """A datastore is not signed as it should be."""


def signer(credentials: Any) -> Any:
    """What signs and verifies: ``credentials`` itself, or made of a dict of its arguments.

    Raises:
        DataTypeError: it cannot sign.
        DeepFaceError: a dict that is not enough for a ``lightdsa.LightDSA`` object.
        MissingPackageError: a dict, and ``lightdsa`` is not installed.
    """
    if not isinstance(credentials, Mapping):
        able = all(callable(getattr(credentials, name, None)) for name in ("sign", "verify"))
        if credentials is None or able:
            return credentials
        raise DataTypeError(
            "credentials must be a lightdsa.LightDSA object, or a dict of what makes one, but is "
            f"{type(credentials).__name__}"
        )
    if "algorithm_name" not in credentials:
        raise DeepFaceError(
            "credentials lack algorithm_name: pass a lightdsa.LightDSA object, or a dict with "
            "algorithm_name, public_key, private_key, and form_name and curve_name where the "
            "algorithm has them"
        )
    most_digits = getattr(sys, "get_int_max_str_digits", int)()  # before 3.10.7 there is none
    try:
        from lightdsa import LightDSA
    except ModuleNotFoundError as error:
        raise MissingPackageError(
            f"credentials need lightdsa ({error}): pip install lightdsa"
        ) from error
    finally:  # that import lifts a limit that protects the whole process
        getattr(sys, "set_int_max_str_digits", int)(most_digits)
    made = {k: credentials.get(k) for k in ("algorithm_name", "form_name", "curve_name")}
    keys = credentials.get("keys", {k: v for k, v in credentials.items() if k.endswith("_key")})
    if not keys:
        raise DeepFaceError("credentials lack public_key, and private_key for those who sign")
    try:
        return LightDSA(**made, keys=keys)
    except Exception as error:  # whatever a library makes of keys that are none
        raise DeepFaceError(f"credentials make no key: {error!r}") from error


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
        signatures = [self._credentials.sign(safe_files.digest(file)), self._valid]
        safe_files.write(self._path, json.dumps(signatures).encode())

    def delete(self) -> None:
        """Remove the signatures, if there are any."""
        self._path.unlink(missing_ok=True)

    def verify(self, file: IO[bytes]) -> None:
        """Check the datastore before it is read.

        Raises:
            SignatureError: it is not signed, or not with these credentials, or was changed since.
        """
        # Not the file itself: signing takes long for large numbers.
        digest = safe_files.digest(file)
        file.seek(0)
        signatures = self._read()
        self._valid = next((s for s in signatures if self._is_valid(digest, s)), None)
        if self._valid is None:
            state = "no longer fits its signature" if signatures else "has no signature"
            raise SignatureError(
                f"datastore {self._datastore} {state} by these credentials, so it is not used. "
                "Delete it to have it built anew, if that is what you want."
            )

    def refuse_unsigned(self) -> None:
        """Without credentials: raise ``SignatureError`` for a datastore that is signed."""
        if self._path.exists() and self._datastore.exists():
            raise SignatureError(
                f"Credentials not provided, but datastore {self._datastore} is signed "
                f"({self._path.name} exists): pass the credentials. If the datastore is not to be "
                "signed any more, delete both files; it is then built anew."
            )

    def _is_valid(self, digest: str, signature: Any) -> bool:
        try:
            return bool(self._credentials.verify(digest, signature))
        except Exception:  # whatever it makes of a signature that is none
            return False

    def _read(self) -> list[Any]:
        try:
            with self._path.open("rb") as file:
                signatures = json.loads(file.read(_LONGEST))
        except (OSError, ValueError, RecursionError):
            return []
        return signatures if isinstance(signatures, list) else []
