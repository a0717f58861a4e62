"""Bearer tokens: kept as hashes, all compared, each in constant time."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable

from deepface.server.failures import Refused


class Tokens:
    """The tokens that are let in; without any, everybody is."""

    def __init__(self, tokens: Iterable[str]) -> None:
        self._digests = [_digest(token.encode()) for token in tokens]

    def check(self, header: str | None) -> None:
        """Raise ``Refused`` unless an ``Authorization`` header has one of them."""
        if not self._digests:
            return
        words = (header or "").encode("latin-1", "replace").split()  # the bytes that were sent
        given = _digest(words[1]) if len(words) == 2 and words[0].lower() == b"bearer" else b""
        if not sum(hmac.compare_digest(given, digest) for digest in self._digests):
            raise Refused(
                401,
                "Invalid or missing authentication token",
                key="message",
                code="unauthorized",
                headers={"WWW-Authenticate": 'Bearer realm="deepface"'},
            )


def _digest(token: bytes) -> bytes:
    return hashlib.sha256(token).digest()
