"""The faces of a folder of pictures, as columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from deepface.errors import DimensionMismatchError
from deepface.matching.ranking import Ranking


class Face(NamedTuple):
    """A face of a picture: ``x, y, w, h`` in pixels, and its vector ``(d,)``."""

    area: tuple[int, int, int, int]
    embedding: NDArray[Any]


class GalleryPicture(NamedTuple):
    """A picture file, what tells whether it has changed, and its faces: none where none is found.

    ``identity`` is the path as the caller's ``db_path`` leads to it.
    """

    identity: str
    hash: str
    faces: Sequence[Face]


@dataclass(frozen=True, eq=False)
class Gallery:
    """Pictures by their faces, one row each; a picture without a face has a row, too.

    ``identity`` and ``hash`` are ``(n,)`` texts, ``area`` is ``(n, 4)`` int64, ``embedding``
    ``(n, d)`` float (float32 where that loses nothing), with zeros where ``has_embedding`` ``(n,)``
    is false.
    """

    identity: NDArray[np.str_]
    hash: NDArray[np.str_]
    area: NDArray[np.int64]
    embedding: NDArray[Any]
    has_embedding: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.identity)

    @classmethod
    def of(cls, pictures: Sequence[GalleryPicture]) -> Gallery:
        """The rows of some pictures.

        Raises:
            DimensionMismatchError: their vectors differ in length.
        """
        rows = [(p, face) for p in pictures for face in (p.faces or [None])]  # type: ignore[list-item]
        vectors = [face.embedding for _, face in rows if face is not None]
        length = _one_length({len(vector) for vector in vectors})
        embedding = np.zeros((len(rows), length))
        has_embedding = np.array([face is not None for _, face in rows], dtype=bool)
        if vectors:
            embedding[has_embedding] = vectors
        return cls(
            identity=np.array([picture.identity for picture, _ in rows], dtype=np.str_),
            hash=np.array([picture.hash for picture, _ in rows], dtype=np.str_),
            area=np.array(
                [(0, 0, 0, 0) if face is None else face.area for _, face in rows], dtype=np.int64
            ).reshape(-1, 4),
            embedding=compact(embedding),
            has_embedding=has_embedding,
        )

    @classmethod
    def joined(cls, parts: Sequence[Gallery]) -> Gallery:
        """The rows of several galleries, one after the other.

        Raises:
            DimensionMismatchError: their vectors differ in length.
        """
        length = _one_length({part.dimensions for part in parts if part.has_embedding.any()})
        of_one_length = [
            part
            if part.has_embedding.any()
            else replace(part, embedding=np.zeros((len(part), length), np.float32))
            for part in parts
        ]
        columns = zip(*(part._columns for part in of_one_length), strict=True)
        return cls(*map(np.concatenate, columns))

    def rows(self, positions: NDArray[np.intp]) -> Gallery:
        """Some of the rows."""
        return Gallery(*(column[positions] for column in self._columns))

    @property
    def _columns(self) -> tuple[NDArray[Any], ...]:
        return self.identity, self.hash, self.area, self.embedding, self.has_embedding

    @property
    def dimensions(self) -> int:
        """Length of the vectors."""
        return int(self.embedding.shape[1])

    @cached_property
    def hashes(self) -> dict[str, str]:
        """The pictures: identity -> hash."""
        return dict(zip(self.identity.tolist(), self.hash.tolist(), strict=True))

    @cached_property
    def ranking(self) -> Ranking:
        """The vectors, ready to be compared with others."""
        return Ranking(self.embedding, self.has_embedding)


def compact(embedding: NDArray[Any]) -> NDArray[Any]:
    """As float32 where that loses nothing: what networks give is float32, what is stored is not."""
    with np.errstate(over="ignore"):
        smaller = embedding.astype(np.float32)
    return smaller if np.array_equal(smaller, embedding) else embedding


def _one_length(lengths: set[int]) -> int:
    if len(lengths) > 1:
        raise DimensionMismatchError(
            f"the gallery has vectors of {' and of '.join(map(str, sorted(lengths)))} dimensions: "
            "its datastore was made by another model under this name. Delete the datastore to "
            "have it built anew."
        )
    return lengths.pop() if lengths else 0
