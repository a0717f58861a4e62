"""What a build has done so far, one picture per line, so that one that is cut off goes on.

A line is the CRC-32 of the rest, and JSON. A line that was cut off, and what follows it, counts as
not written.
"""

from __future__ import annotations

import base64
import contextlib
import io
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np

from deepface.logger import get_logger
from deepface.runtime import safe_files
from deepface.search.folder.gallery import Face, GalleryPicture

#: Bytes of a line: a picture of a thousand faces has less, and nobody's zeros fill the memory.
_LONGEST = 256 << 20


class Journal:
    """A file to which pictures are appended. Paths in it are relative to ``prefix``.

    A build goes on without it: where the file cannot be used that is told, once.
    """

    def __init__(self, path: Path, prefix: str) -> None:
        self._path = path
        self._prefix = prefix
        self._file: IO[bytes] | None = None
        self._is_usable = True

    def read(self) -> list[GalleryPicture]:
        """The pictures that an earlier build has left; a damaged end is cut off."""
        pictures: list[GalleryPicture] = []
        with self._telling(), contextlib.suppress(FileNotFoundError):
            raw = safe_files.open_existing(self._path, "r+b")
            intact = 0
            with raw, io.BufferedReader(raw) as file:
                while line := file.readline(_LONGEST):
                    picture = self._parse(line)
                    if picture is None:
                        break
                    pictures.append(picture)
                    intact += len(line)
                raw.truncate(intact)
        return pictures

    def append(self, picture: GalleryPicture) -> None:
        """Add a picture; it is in the file, for other processes to see, when this returns."""
        if not self._is_usable:
            return
        with self._telling():
            if self._file is None:
                self._file = safe_files.open_to_append(self._path)
            self._file.write(self._line(picture))

    @contextlib.contextmanager
    def _telling(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self._is_usable = False
            get_logger().warning(
                "what is done for %s is not noted (%s): a build that is cut off starts over",
                self._path.with_suffix(""),
                error,
            )

    def close(self) -> None:
        """Close the file; another :meth:`append` opens it again."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def delete(self) -> None:
        """Remove the file, when what is in it has been kept elsewhere."""
        self.close()
        with contextlib.suppress(OSError):  # it is of no more use, and in nobody's way
            self._path.unlink()

    def _line(self, picture: GalleryPicture) -> bytes:
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

    def _parse(self, line: bytes) -> GalleryPicture | None:
        checksum, _, text = line.partition(b" ")
        if not line.endswith(b"\n") or checksum != b"%08x" % zlib.crc32(text[:-1]):
            return None
        try:
            record = json.loads(text)
            path, digest = record["path"], record["hash"]
            if not (isinstance(path, str) and isinstance(digest, str)):
                return None
            return GalleryPicture(self._prefix + path, digest, list(_faces(record["faces"])))
        except Exception:  # a whole line, but not one of ours, whatever it is
            return None


def _faces(records: list[Any]) -> Iterator[Face]:
    for *area, vector in records:
        x, y, w, h = (int(np.int64(value)) for value in area)
        yield Face((x, y, w, h), np.frombuffer(base64.b64decode(vector), dtype="<f8"))
