"""The contract of databases of faces, and the values that go in and out."""

from __future__ import annotations

import hashlib
import json
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, ClassVar, TypeAlias

import numpy as np
from numpy.typing import NDArray

from deepface.errors import (
    DatabaseError,
    DimensionMismatchError,
    DuplicateEntryError,
    EmptyDatasource,
)

#: What a database calls a record: a number, or a UUID's text.
Id: TypeAlias = int | str
Vectors: TypeAlias = NDArray[np.float64]

#: Rows that are read at a time.
PAGE = 1000


@dataclass(frozen=True)
class Criteria:
    """How embeddings were made: only those that were made in the same way are compared."""

    model_name: str
    detector_backend: str
    aligned: bool
    l2_normalized: bool

    def __str__(self) -> str:
        return (
            f"model_name={self.model_name!r}, detector_backend={self.detector_backend!r}, "
            f"align={self.aligned}, l2_normalize={self.l2_normalized}"
        )

    @property
    def columns(self) -> dict[str, Any]:
        """As in the published tables."""
        return asdict(self)

    @property
    def collection(self) -> str:
        """The published name of the table where a database has one per criteria."""
        parts = (
            "embeddings",
            self.model_name,
            self.detector_backend,
            "aligned" if self.aligned else "unaligned",
            "norm" if self.l2_normalized else "raw",
        )
        return re.sub(r"[^a-z0-9_]", "", "_".join(parts).lower())


@dataclass(frozen=True)
class Record:
    """A face to be stored.

    ``face`` is the network's input ``(H, W, 3)`` float32, ``embedding`` its vector ``(d,)``.
    """

    img_name: str
    face: NDArray[np.float32]
    embedding: Vectors

    @cached_property
    def face_hash(self) -> str:
        """SHA-256 of the pixels' JSON text, as published."""
        return hashlib.sha256(json.dumps(self.face.tolist()).encode()).hexdigest()

    @cached_property
    def embedding_hash(self) -> str:
        """SHA-256 of the vector's little-endian float64 bytes, as published."""
        return hashlib.sha256(self.embedding.astype("<f8").tobytes()).hexdigest()


@dataclass(frozen=True)
class Stored:
    """A record of a database: how it was made, its name and its vector ``(d,)``."""

    id: Id
    criteria: Criteria
    img_name: str
    embedding: Vectors


@dataclass(frozen=True)
class Page:
    """Some records of one criteria; ``embeddings`` is ``(n, d)``."""

    ids: list[Id]
    names: list[str]
    embeddings: Vectors

    @classmethod
    def of(cls, rows: Sequence[tuple[Id, str, NDArray[Any]]]) -> Page:
        """A page of ``(id, name, vector)``.

        Raises:
            DimensionMismatchError: the vectors differ in length.
        """
        if len({len(row[2]) for row in rows}) > 1:
            lengths = {len(row[2]): row[0] for row in rows}
            raise DimensionMismatchError(
                "the database holds embeddings of different lengths for the same model: "
                + ", ".join(f"record {id_} has {length}" for length, id_ in lengths.items())
                + ". Delete those of the wrong length."
            )
        vectors = np.array([row[2] for row in rows], dtype=np.float64)
        return cls([row[0] for row in rows], [row[1] for row in rows], vectors)


class Database(ABC):
    """A database of faces.

    A connection serves one thread. Nothing is created until something is written: reading from a
    database without tables finds nothing.

    Args:
        details: where the database is; what it may be is the adapter's to say.
        connection: a connection that the caller opened and closes; ``details`` is then not used.
    """

    #: What the driver raises; :meth:`explain` makes errors of ours of it.
    driver_errors: ClassVar[tuple[type[Exception], ...]] = ()
    #: Type of the ids of its records.
    id_type: ClassVar[type] = int

    @abstractmethod
    def __init__(self, details: Any, connection: Any = None) -> None: ...

    @abstractmethod
    def close(self) -> None:
        """Close the connection. Not called for a connection of the caller's."""

    @abstractmethod
    def insert(self, criteria: Criteria, records: Sequence[Record]) -> None:
        """Store records of one criteria: all of them, or none when this raises.

        Raises:
            DuplicateEntryError: some of them are there already, or twice among them.
            DimensionMismatchError: vectors of another length are stored for these criteria.
        """

    @abstractmethod
    def pages(self, criteria: Criteria, size: int = PAGE) -> Iterator[Page]:
        """All records, at most ``size`` at a time. No page is empty."""

    @abstractmethod
    def fetch(self, criteria: Criteria, ids: Sequence[Id]) -> Page:
        """The records of these ids that exist, in any order."""

    @abstractmethod
    def get(self, criteria: Criteria, identity: Any) -> Stored | None:
        """The record ``identity``. Databases with a table per criteria look into that one."""

    @abstractmethod
    def neighbours(self, criteria: Criteria, queries: Vectors, k: int) -> list[list[Id]]:
        """Ids of about the ``k`` nearest records of each query ``(m, d)``, nearest first.

        Nearest by cosine where vectors are L2-normalised, else by Euclidean distance.

        Raises:
            DeepFaceError: there is no index and this database does not keep one by itself.
        """

    @abstractmethod
    def build_index(self, criteria: Criteria, max_neighbors_per_node: int, size: int) -> None:
        """Make :meth:`neighbours` fast for all records, reading ``size`` at a time.

        Raises:
            EmptyDatasource: there are none.
        """

    @classmethod
    def explain(cls, error: Exception, details: Any) -> Exception:
        """An error of the driver in words that say what to do, without secrets."""
        return DatabaseError(f"{cls.__name__} failed: {error}")


def nothing_registered(criteria: Criteria, function: str) -> EmptyDatasource:
    """The error of a database that holds nothing of these criteria."""
    return EmptyDatasource(
        f"No embeddings found in the database for the criteria {criteria}. You must call register "
        f"before {function}, with the same arguments."
    )


def refuse_duplicates(records: Sequence[Record], stored: set[str]) -> None:
    """Raise ``DuplicateEntryError`` for records whose ``face_hash`` is stored or occurs twice.

    A face counts as registered whatever its vector's last bits are, which depend on the batch that
    it was embedded in.
    """
    seen = set(stored)
    names = []
    for record in records:
        if record.face_hash in seen:
            names.append(record.img_name)
        seen.add(record.face_hash)
    if names:
        shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
        raise DuplicateEntryError(
            f"Duplicate detected for extracted face and embedding: {shown} is registered already"
        )


def refuse_other_length(stored: int | None, records: Sequence[Record]) -> None:
    """Raise ``DimensionMismatchError`` for records that cannot stand beside what is stored."""
    lengths = {len(record.embedding) for record in records} | ({stored} if stored else set())
    if len(lengths) > 1:
        raise DimensionMismatchError(
            f"embeddings of {', '.join(map(str, sorted(lengths)))} dimensions cannot be stored "
            "together: was another network registered under the same model name?"
        )
