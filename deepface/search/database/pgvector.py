"""PostgreSQL with the extension pgvector: a table per criteria, which finds neighbours itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
from packaging.version import Version
from psycopg.errors import InsufficientPrivilege

from deepface.errors import DatabaseError
from deepface.matching.ranking import ROUNDING, key_limit
from deepface.search.database.base import PAGE, Criteria, Database, Id, NearestQuery, Page, Vectors
from deepface.search.database.postgres import Postgres
from deepface.search.database.sql import CRITERIA, values_of
from deepface.search.index import SEARCH_EFFORT

#: Longest vectors that pgvector can index, and longest in half precision (pgvector 0.7).
_LONGEST, _LONGEST_HALF = 2000, 4000
#: Of what an index of half vectors names, so many times as many as asked for are compared exactly.
_CANDIDATES = 4
#: Most candidates that a search of the index can keep.
_MOST = 1000
#: The server compares with all for so many probes at a time; for more it takes longer than reading.
_FEW = 4
#: Lengths of vectors whose distances it computes without overflow, or loss of all digits.
_SHORTEST, _LARGEST = 1e-3, 1e15
_UNIT_ROUNDOFF = 2.0**-24


class PgVector(Postgres):
    """A PostgreSQL server with pgvector; arguments as for :class:`Postgres`.

    Vectors are kept in float32. Those of more than 2,000 numbers (VGG-Face, DeepFace) are indexed
    in half precision, by their first 4,000 numbers; of what that names the distances are computed
    from the whole vectors. pgvector before 0.7 compares with all of them.
    """

    vector_parameter: ClassVar[str] = "?::float8[]::vector"
    vector_column: ClassVar[str] = "embedding::real[]::float8[]"

    def table(self, criteria: Criteria) -> str:
        return criteria.collection

    def prepare(self, criteria: Criteria, dimensions: int) -> None:
        table = self.table(criteria)
        if self.has_table(table):
            return
        if not self.run("SELECT 1 FROM pg_extension WHERE extname = 'vector'"):
            self.run("CREATE EXTENSION vector")
        self.run(
            f"""CREATE TABLE {table} (
                id SERIAL PRIMARY KEY,
                img_name TEXT NOT NULL,
                face BYTEA NOT NULL,
                face_shape INT[] NOT NULL,
                model_name TEXT NOT NULL,
                detector_backend TEXT NOT NULL,
                aligned BOOLEAN DEFAULT true,
                l2_normalized BOOLEAN DEFAULT false,
                embedding VECTOR({dimensions}) NOT NULL,
                created_at TIMESTAMPTZ DEFAULT now(),
                face_hash TEXT NOT NULL,
                embedding_hash TEXT NOT NULL,
                UNIQUE (face_hash, embedding_hash)
            )"""
        )
        self.try_index(criteria, dimensions)

    def make_index(self, criteria: Criteria, dimensions: int) -> None:
        expression = self._indexed(dimensions)
        if expression is None:
            raise DatabaseError(
                f"vectors of {dimensions:,} numbers need pgvector 0.7, but the server has "
                f"{self._extension()}: ALTER EXTENSION vector UPDATE"
            )
        table = self.table(criteria)
        name, operators = ("cosine", "cosine") if criteria.l2_normalized else ("euclidean", "l2")
        kind = "vector" if expression == "embedding" else "halfvec"
        if self.has_table(f"{table}_{name}_idx"):
            return  # before asking for the right
        with self._connection.transaction():  # a part of the one that is open
            self.run(
                f"CREATE INDEX {table}_{name}_idx ON {table} "
                f"USING hnsw (({expression}) {kind}_{operators}_ops)"
            )

    def _indexed(self, dimensions: int, vector: str = "embedding") -> str | None:
        """What of a vector is indexed; ``None`` where that cannot be."""
        if dimensions <= _LONGEST:
            return vector
        if self._extension() < Version("0.7"):
            return None
        if dimensions <= _LONGEST_HALF:
            return f"{vector}::halfvec({dimensions})"
        return f"subvector({vector}, 1, {_LONGEST_HALF})::halfvec({_LONGEST_HALF})"

    def _extension(self) -> Version:
        ((version,),) = self.run("SELECT extversion FROM pg_extension WHERE extname = 'vector'")
        return Version(version)

    def neighbours(self, criteria: Criteria, queries: Vectors, k: int) -> list[list[Id]]:
        table = self.table(criteria)
        if not self.has_table(table):
            return [[] for _ in queries]
        operator = "<=>" if criteria.l2_normalized else "<->"
        source, wanted, times = table, k, 1
        indexed = self._indexed(queries.shape[1])
        if indexed not in ("embedding", None):
            wanted, times = min(_CANDIDATES * k, max(k, _MOST)), 2
            parameter = self._indexed(queries.shape[1], f"({self.vector_parameter})")
            source = (
                f"(SELECT id, embedding FROM {table} "
                f"ORDER BY ({indexed}) {operator} ({parameter}) LIMIT {wanted}) AS candidates"
            )
        nearest = f"SELECT id FROM {{}} ORDER BY (embedding {operator} {self.vector_parameter})"
        found: list[list[Id]] = []
        with self._settings(self._effort(wanted)):
            for query in queries if wanted <= _MOST else ():
                parameters = [self.to_vector(query)] * times
                rows = self.run(f"{nearest.format(source)} LIMIT {k}", parameters)
                found.append([row[0] for row in rows])
        for number, query in enumerate(queries):
            # The index may name fewer: it keeps what was deleted until the server cleans up.
            if number == len(found) or len(found[number]) < k:
                # Of a sum there is no index.
                rows = self.run(f"{nearest.format(table)} + 0 LIMIT {k}", [self.to_vector(query)])
                found[number:] = [[row[0] for row in rows], *found[number + 1 :]]
        return found

    def _effort(self, wanted: int) -> dict[str, Any]:
        """Settings with which the server asks its index, and long enough.

        By itself it compares with all of 100,000 vectors: what reading them takes it leaves out.
        """
        effort = max(min(wanted, _MOST), SEARCH_EFFORT)
        settings = {"enable_seqscan": "off", "hnsw.ef_search": effort}
        if self._extension() >= Version("0.8"):
            settings["hnsw.iterative_scan"] = "strict_order"
        return settings

    def candidates(
        self, criteria: Criteria, query: NearestQuery, size: int = PAGE
    ) -> Iterator[Page]:
        """See the base class. The server compares in float32, in any order of summation.

        The bounds of that error are Higham's (Accuracy and Stability of Numerical Algorithms, 3.1):
        once for the record, and twice for that which is the ``k``-th.
        """
        probes, metric, limit, k = query
        k = k if k is not None and 0 < k <= _MOST else None
        farthest = limit if metric == "euclidean" else key_limit(metric, limit) + 1
        norms = np.linalg.norm(probes, axis=1)
        if (
            len(probes) > _FEW
            or (k is None and farthest == np.inf)
            or not ((norms >= _SHORTEST) & (norms <= _LARGEST)).all()
            or self.dimensions(criteria) != probes.shape[1]
        ):
            return self.pages(criteria, size)
        error = (probes.shape[1] + 8) * _UNIT_ROUNDOFF
        known = f"vector_norm(embedding) BETWEEN {_SHORTEST} AND {_LARGEST}"
        operator = "<->" if metric == "euclidean" else "<=>"
        distance = f"(embedding {operator} {self.vector_parameter})"
        nearest = "NULL"
        if k is not None:
            nearest = (
                f"(SELECT {distance} FROM {self.table(criteria)} WHERE {CRITERIA} AND {known} "
                f"ORDER BY {distance} + 0 LIMIT 1 OFFSET {k - 1})"
            )
        conditions, values = [f"NOT {known}"], []
        for probe, norm in zip(probes, norms, strict=True):
            if metric == "euclidean":
                more, times = 4 * (_UNIT_ROUNDOFF * float(norm) + ROUNDING), (1 + error) ** 2
            else:
                more, times = 6 * error + 8 * ROUNDING, 1.0
            conditions.append(f"{distance} <= ? + ? * LEAST(?::float8, {nearest})")
            vector = self.to_vector(probe)
            values += [vector, more, times, farthest]
            values += [] if k is None else [vector, *values_of(criteria), vector]
        condition = f" AND ({' OR '.join(conditions)})"
        return self._pages_where(criteria, size, condition=condition, values=values)

    def build_index(self, criteria: Criteria, max_neighbors_per_node: int, size: int) -> None:
        """See the base class of all: unlike its own, this index is the server's."""
        Database.build_index(self, criteria, max_neighbors_per_node, size)

    @classmethod
    def explain(cls, error: Exception, details: Any) -> Exception:
        found = super().explain(error, details)
        if '"vector"' not in str(error) or "extension" not in str(error):
            return found
        if isinstance(error, InsufficientPrivilege):
            return DatabaseError(
                "the PostgreSQL user may not add the extension pgvector to this database: let an "
                f"administrator run CREATE EXTENSION vector in it, once. ({found})"
            )
        return DatabaseError(
            "the server lacks the extension pgvector: install it there (e.g. the package "
            f"postgresql-17-pgvector), or use database_type='postgres'. ({found})"
        )
