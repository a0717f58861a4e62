"""The contract of databases of faces, and the values that go in and out."""

from __future__ import annotations

import hashlib
import json
import os
import re
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from functools import cached_property, lru_cache
from typing import Any, ClassVar, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from deepface.errors import (
    DatabaseError,
    DataTypeError,
    DimensionMismatchError,
    DuplicateEntryError,
    EmptyDatasource,
)
from deepface.logger import get_logger, is_encodable
from deepface.runtime.execution.batching import chunks

#: What a database calls a record: a number, or a UUID's text.
Id: TypeAlias = int | str
Vectors: TypeAlias = NDArray[np.float64]

#: Rows that are read at a time.
PAGE = 1000
#: Ids or names in one statement: SQLite takes no more than 999 parameters in old versions.
PORTION = 500
_HIGHEST_ID = 2**63 - 1
#: Characters in the name of a table: PostgreSQL takes 63, also for an index with a longer name.
_LONGEST_NAME = 61


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

    @classmethod
    def of(cls, model: Any, detector: Any, aligned: Any, normalized: Any) -> Criteria:
        """From the columns of a row."""
        return cls(str(model), str(detector), bool(aligned), bool(normalized))

    @property
    def columns(self) -> dict[str, Any]:
        """As in the published tables."""
        return asdict(self)

    @property
    def values(self) -> list[Any]:
        """Those of :attr:`columns`."""
        return list(self.columns.values())

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
        whole = "_".join(parts).lower()
        name = re.sub(r"[^a-z0-9_]", "", whole)
        if len(name) > _LONGEST_NAME:  # of a model of the user's own
            name = f"{name[: _LONGEST_NAME - 17]}_{hashlib.sha256(whole.encode()).hexdigest()[:16]}"
        return name


@dataclass(frozen=True)
class Record:
    """A face to be stored.

    ``face`` is the network's input ``(H, W, 3)`` float32, ``embedding`` its vector ``(d,)``. The
    name is stored as :func:`storable` makes it.
    """

    img_name: str
    face: NDArray[np.float32]
    embedding: Vectors

    def __post_init__(self) -> None:
        object.__setattr__(self, "img_name", storable(self.img_name))

    @cached_property
    def face_hash(self) -> str:
        """SHA-256 of the pixels' JSON text, as published."""
        return hashlib.sha256(json.dumps(self.face.tolist()).encode()).hexdigest()

    @cached_property
    def embedding_hash(self) -> str:
        """SHA-256 of the vector's little-endian float64 bytes, as published."""
        return hashlib.sha256(packed(self.embedding)).hexdigest()

    @property
    def pixels(self) -> bytes:
        """The face's float32 bytes, as published."""
        return np.ascontiguousarray(self.face, dtype=np.float32).tobytes()

    def columns(self, criteria: Criteria) -> dict[str, Any]:
        """As in the published tables: ``face`` are bytes."""
        return {
            "img_name": self.img_name,
            "face": self.pixels,
            "face_shape": list(self.face.shape),
            **criteria.columns,
            "embedding": self.embedding.tolist(),
            "face_hash": self.face_hash,
            "embedding_hash": self.embedding_hash,
        }

    @property
    def pair(self) -> str:
        """What the published library makes ids of. Ours are made of the face alone: the last bits
        of a vector depend on the batch that it was embedded in.
        """
        return f"{self.face_hash}:{self.embedding_hash}"


@dataclass(frozen=True)
class Stored:
    """A record of a database: how it was made, its name and its vector ``(d,)``."""

    id: Id
    criteria: Criteria
    img_name: str
    embedding: Vectors


class NearestQuery(NamedTuple):
    """The records that are nearest to each of ``probes`` ``(m, d)``.

    Those up to ``limit``, itself included, by one of :data:`deepface.matching.distance.METRICS`; at
    most ``k`` per probe, ``None`` for all.
    """

    probes: Vectors
    metric: str
    limit: float
    k: int | None


@dataclass(frozen=True)
class Page:
    """Some records of one criteria; ``embeddings`` is ``(n, d)``."""

    ids: list[Id]
    names: list[str]
    embeddings: Vectors

    @classmethod
    def of(
        cls,
        rows: Iterable[tuple[Any, Any, Any]],
        decode: Callable[[Any], NDArray[Any]] = np.asarray,
    ) -> Page:
        """A page of ``(id, name, vector)``, where ``decode`` makes ``(d,)`` of what a vector is.

        Raises:
            DatabaseError: a record is broken; the message has its id.
            DimensionMismatchError: the vectors differ in length.
        """
        ids: list[Id] = []
        names: list[str] = []
        vectors: list[Vectors] = []
        for id_, name, value in rows:
            vectors.append(_vector(id_, value, decode))
            ids.append(id_)
            names.append(name_of(name))
        if len({len(vector) for vector in vectors}) > 1:
            lengths = {len(vector): id_ for id_, vector in zip(ids, vectors, strict=True)}
            raise DimensionMismatchError(
                "the database holds embeddings of different lengths for the same model: "
                + ", ".join(f"record {id_} has {length}" for length, id_ in lengths.items())
                + ". Delete those of the wrong length."
            )
        return cls(ids, names, np.array(vectors, dtype=np.float64))


def _vector(id_: Any, value: Any, decode: Callable[[Any], NDArray[Any]]) -> Vectors:
    try:
        vector = np.asarray(decode(value), dtype=np.float64)
        why = "it is no list of numbers" if vector.ndim != 1 or not vector.size else ""
        if not why and not np.isfinite(vector).all():
            why = "it has values that are not finite"
    except Exception as error:  # whatever comes of what somebody else has stored
        why = str(error)
    if why:
        raise DatabaseError(
            f"the vector of record {id_} is broken ({why}): delete the record, e.g. with "
            f"DeepFace.unregister(identity_id={id_!r}, ...)"
        )
    return vector


class Database(ABC):
    """A database of faces: what is the same for all is here, an adapter fills in the rest.

    A connection serves one thread. Nothing is created until something is written: reading from a
    database without tables finds nothing. Criteria and names go into statements as parameters, and
    names of tables are those of :attr:`Criteria.collection`.

    Args:
        details: where the database is; what it may be is the adapter's to say. It is connected to
            here: what cannot be reached is an error at once.
        connection: a connection that the caller opened and closes; ``details`` is then not used.
    """

    #: Whether :meth:`writing` undoes what an error leaves half done.
    transactions: ClassVar[bool] = False
    #: What the driver raises; :meth:`explain` makes errors of ours of it.
    driver_errors: ClassVar[tuple[type[Exception], ...]] = ()
    #: What a connection of the driver can do, by which it is known.
    connection_method: ClassVar[str] = "cursor"
    #: Type of the ids of its records.
    id_type: ClassVar[type] = int
    #: Whether a connection may serve one thread after the other, after a :meth:`ping`.
    reusable: ClassVar[bool] = False
    #: What it was opened with, which :meth:`explain` may name.
    given: Any = None
    _connection: Any

    @abstractmethod
    def __init__(self, details: Any, connection: Any = None) -> None: ...

    def close(self) -> None:
        """Close the connection. Not called for a connection of the caller's."""
        self._connection.close()

    def ping(self) -> None:
        """Raise one of :attr:`driver_errors` if the database does not answer any more."""
        return

    def insert(self, criteria: Criteria, records: Sequence[Record]) -> None:
        """Store records of one criteria; see :meth:`insert_all`."""
        self.insert_all(criteria, [records])

    def insert_all(self, criteria: Criteria, portions: Iterable[Sequence[Record]]) -> int:
        """Store records of one criteria: all of them, or none when this raises.

        Without transactions (:attr:`transactions`) what was stored before an error is deleted
        again; where that fails, too, the error says what stays.

        Returns:
            How many there were.

        Raises:
            DuplicateEntryError: some of them are there already, or twice among them.
            DimensionMismatchError: vectors of another length are stored for these criteria.
            DataTypeError: a vector has values that are not finite.
        """
        count = 0
        stored: list[Id] = []
        with self.writing():
            try:
                for records in portions:
                    if not count and records:
                        refuse_vectors(records)
                        self.prepare(criteria, len(records[0].embedding))
                    self.check(criteria, records)
                    stored += self.store(criteria, records)
                    count += len(records)
            except BaseException as error:
                if not self.transactions:
                    self._take_out(criteria, stored, error)
                raise
        return count

    def check(self, criteria: Criteria, records: Sequence[Record]) -> None:
        """Raise what :meth:`insert_all` would, as far as that can be known."""
        refuse_vectors(records, self.dimensions(criteria))
        refuse_duplicates(records, self.registered(criteria, records))

    def dimensions(self, criteria: Criteria) -> int | None:
        """Length of the vectors that are stored, ``None`` where there are none."""
        page = next(self.pages(criteria, 1), None)
        return None if page is None else int(page.embeddings.shape[1])

    def _take_out(self, criteria: Criteria, ids: Sequence[Id], error: BaseException) -> None:
        """Delete what was stored before an error.

        Raises:
            DatabaseError: it cannot be deleted.
        """
        for start in range(0, len(ids), PORTION):
            try:
                self.remove(criteria, ids[start : start + PORTION])
            except Exception:
                why = self.reason(error) if isinstance(error, Exception) else error
                stored = (
                    f"Of this call {len(ids) - start} faces stay stored, those with the ids "
                    f"{ids[start]} to {ids[-1]}; the others are not: delete them with unregister"
                )
                failed = DatabaseError(f"{why}. {stored}")
                failed.stored = stored
                raise failed from error

    def delete(self, criteria: Criteria, ids: Iterable[Any]) -> int:
        """Delete records: all of them, or none when this raises. Those that are not there do not
        count.

        Returns:
            How many there were.
        """
        wanted = {id_ for identity in ids if (id_ := self.parse_id(identity)) is not None}
        with self.writing():
            return sum(self.remove(criteria, some) for some in chunks(list(wanted), PORTION))

    def get(self, criteria: Criteria, identity: Any) -> Stored | None:
        """The record ``identity``. Databases with a table per criteria look into that one."""
        id_ = self.parse_id(identity)
        if id_ is None:
            return None
        page = self.fetch(criteria, [id_])
        if not page.ids:
            return None
        made = self.how_made(criteria, page.ids[0])
        return Stored(page.ids[0], made, page.names[0], page.embeddings[0])

    def how_made(self, criteria: Criteria, id_: Id) -> Criteria:
        """Of which criteria a record is that was looked for among these; it may tell by itself."""
        return criteria

    def parse_id(self, identity: Any) -> Id | None:
        """An id as the caller wrote it; ``None`` for what no record is called."""
        text = str(identity)  # of which int() would take the digits of all scripts
        number = int(text) if re.fullmatch("[0-9]{1,19}", text) else _HIGHEST_ID + 1
        return number if number <= _HIGHEST_ID else None

    def entries(self, criteria: Criteria) -> Iterator[tuple[Id, str]]:
        """Ids and names of all records."""
        for page in self.pages(criteria):
            yield from zip(page.ids, page.names, strict=True)

    def ids_of_names(self, criteria: Criteria, names: Sequence[str]) -> list[Id]:
        """The records that have one of these names, to the letter."""
        wanted = {storable(name) for name in names}
        return [id_ for id_, name in self.entries(criteria) if name in wanted]

    def build_index(self, criteria: Criteria, max_neighbors_per_node: int, size: int) -> None:
        """Make :meth:`neighbours` fast for all records, reading ``size`` at a time.

        Where the engine keeps an index itself, makes the one that is missing.

        Raises:
            EmptyDatasource: there are none, where the index is made here.
        """
        dimensions = self.dimensions(criteria)
        if dimensions is not None:
            with self.writing():
                self.try_index(criteria, dimensions)
        get_logger().info(
            "%s keeps its indexes itself: there is nothing else to build", type(self).__name__
        )

    def make_index(self, criteria: Criteria, dimensions: int) -> None:
        """Make the engine's own index where it is missing; an error leaves nothing behind."""
        return

    def try_index(self, criteria: Criteria, dimensions: int) -> None:
        """:meth:`make_index`; within :meth:`writing`. Faces are stored and found without one, too:
        what keeps the server from making it is told.
        """
        expected: tuple[type[Exception], ...] = (DatabaseError, *self.driver_errors)
        try:
            self.make_index(criteria, dimensions)
        except expected as error:
            tell_once(
                f"No index was made for {criteria}, so search_method='ann' compares with every "
                f"record: {self.reason(error)}. Mend that, then call build_index"
            )

    def reason(self, error: Exception) -> str:
        """What an error of the driver, or of ours, says to the user."""
        known = isinstance(error, self.driver_errors)
        return str(self.explain(error, self.given) if known else error).rstrip(".")

    def writing(self) -> AbstractContextManager[Any]:
        """One transaction, while which nobody else writes, where the engine has them."""
        return nullcontext()

    def prepare(self, criteria: Criteria, dimensions: int) -> None:
        """Make the tables that are missing; within :meth:`writing`."""
        return

    @abstractmethod
    def registered(self, criteria: Criteria, records: Sequence[Record]) -> set[str]:
        """Which ``face_hash`` of these records cannot be stored again."""

    @abstractmethod
    def store(self, criteria: Criteria, records: Sequence[Record]) -> Sequence[Id]:
        """Write records that were checked, all or none; within :meth:`writing`.

        Returns:
            Their ids, where there are no :attr:`transactions`.
        """

    @abstractmethod
    def remove(self, criteria: Criteria, ids: Sequence[Id]) -> int:
        """Delete :data:`PORTION` records at most and give how many were there; within
        :meth:`writing`.
        """

    @abstractmethod
    def pages(self, criteria: Criteria, size: int = PAGE) -> Iterator[Page]:
        """All records, at most ``size`` at a time. No page is empty."""

    def candidates(
        self, criteria: Criteria, query: NearestQuery, size: int = PAGE
    ) -> Iterator[Page]:
        """:meth:`pages`, in the same order: where the engine can say so, without records that are
        farther from each probe than the query's limit, or than ``k`` others are.
        """
        return self.pages(criteria, size)

    @abstractmethod
    def fetch(self, criteria: Criteria, ids: Sequence[Id]) -> Page:
        """The records of these ids that exist, in any order."""

    @abstractmethod
    def ids_of_faces(self, criteria: Criteria, records: Sequence[Record]) -> list[Id]:
        """The stored records of the same faces: those with the same pixels."""

    @abstractmethod
    def neighbours(self, criteria: Criteria, queries: Vectors, k: int) -> list[list[Id]]:
        """Ids of about the ``k`` nearest records of each query ``(m, d)``, nearest first; asked
        where there are records.

        Nearest by cosine where vectors are L2-normalised, else by Euclidean distance.

        Raises:
            DeepFaceError: there is no index and this database does not keep one by itself.
        """

    @classmethod
    def explain(cls, error: Exception, details: Any) -> Exception:
        """An error of the driver in words that say what to do, without secrets."""
        return DatabaseError(f"{cls.__name__} failed: {error}")


@lru_cache(maxsize=256)
def tell_once(text: str) -> None:
    """Warn, but of the same thing only once per process."""
    get_logger().warning("%s", text)


def parse_uuid(identity: Any) -> str | None:
    """A UUID as the caller wrote it; ``uuid.UUID`` takes more for one."""
    text = str(identity)
    is_one = re.fullmatch(r"[0-9a-fA-F]{8}(-?[0-9a-fA-F]{4}){3}-?[0-9a-fA-F]{12}", text)
    return str(uuid.UUID(text)) if is_one else None


def packed(vector: Vectors) -> bytes:
    """A vector's little-endian float64 bytes, as published."""
    return vector.astype("<f8").tobytes()


def unpacked(value: Any) -> NDArray[Any]:
    """The vector of what :func:`packed` gives."""
    return np.frombuffer(value, dtype="<f8")


def name_of(value: Any) -> str:
    """The name of a record: whatever else somebody has stored there is none."""
    return value if isinstance(value, str) else ""


def storable(name: str) -> str:
    """A name as every database can hold it: bytes that are no UTF-8, and zeros, become escapes."""
    text = os.fsencode(name).decode(errors="backslashreplace") if not is_encodable(name) else name
    return text.replace("\0", "\\x00")


def refuse_vectors(records: Sequence[Record], stored: int | None = None) -> None:
    """Raise an error for vectors that nothing can be compared with, or that differ in length from
    one another or from those that are ``stored``.
    """
    for record in records:
        if record.embedding.ndim != 1 or not np.isfinite(record.embedding).all():
            raise DataTypeError(
                f"the vector of {record.img_name} has values that are not finite: it is not stored"
            )
    lengths = {len(record.embedding) for record in records} | ({stored} if stored else set())
    if len(lengths) > 1:
        raise DimensionMismatchError(
            f"embeddings of {', '.join(map(str, sorted(lengths)))} dimensions cannot be stored "
            "together: was another network registered under the same model name?"
        )


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


def registered_meanwhile(what: str = "one of these faces") -> DuplicateEntryError:
    """The error where the database refuses what was looked for and not found."""
    return DuplicateEntryError(
        "Duplicate detected for extracted face and embedding: another process has registered "
        f"{what} meanwhile"
    )
