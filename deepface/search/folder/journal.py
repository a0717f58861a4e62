"""What a build has done so far, one picture per line, so that one that is cut off goes on.

A line is the CRC-32 of the rest, and JSON. A line that was cut off, and what follows it, counts as
not written.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np

from deepface.search.folder.faces import Face, Picture


class Journal:
    """A file to which pictures are appended. Paths in it are relative to ``prefix``."""

    def __init__(self, path: Path, prefix: str) -> None:
        self._path = path
        self._prefix = prefix
        self._file: IO[bytes] | None = None

    def read(self) -> list[Picture]:
        """The pictures that an earlier build has left; a damaged end is cut off."""
        if not self._path.exists():
            return []
        pictures = []
        intact = 0
        with self._path.open("rb") as file:
            for line in file:
                picture = self._parse(line)
                if picture is None:
                    break
                pictures.append(picture)
                intact += len(line)
        with self._path.open("r+b") as file:
            file.truncate(intact)
        return pictures

    def append(self, picture: Picture) -> None:
        """Add a picture; it is in the file, for other processes to see, when this returns."""
        if self._file is None:
            self._file = self._path.open("ab", buffering=0)
        self._file.write(self._line(picture))

    def close(self) -> None:
        """Close the file; another :meth:`append` opens it again."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def delete(self) -> None:
        """Remove the file, when what is in it has been kept elsewhere."""
        self.close()
        self._path.unlink(missing_ok=True)

    def _line(self, picture: Picture) -> bytes:
        record = {
            "path": picture.identity.removeprefix(self._prefix),
            "hash": picture.hash,
            "faces": [
                [*face.area, base64.b64encode(face.embedding.astype("<f8").tobytes()).decode()]
                for face in picture.faces
            ],
        }
        text = json.dumps(record).encode()
        return b"%08x %s\n" % (zlib.crc32(text), text)

    def _parse(self, line: bytes) -> Picture | None:
        checksum, _, text = line.partition(b" ")
        if not line.endswith(b"\n") or checksum != b"%08x" % zlib.crc32(text[:-1]):
            return None
        try:
            record = json.loads(text)
            return Picture(
                self._prefix + record["path"], record["hash"], list(_faces(record["faces"]))
            )
        except (ValueError, TypeError, KeyError):  # a whole line, but not one of ours
            return None


def _faces(records: list[Any]) -> Iterator[Face]:
    for x, y, w, h, vector in records:
        yield Face((x, y, w, h), np.frombuffer(base64.b64decode(vector), dtype="<f8"))
