"""PostgreSQL with the extension pgvector: a table per criteria, which finds neighbours itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from packaging.version import Version
from psycopg.errors import InsufficientPrivilege

from deepface.errors import DatabaseError
from deepface.matching.ranking import ROUNDING, key_limit
from deepface.search.database.base import PAGE, Criteria, Database, Id, NearestQuery, Page, Vectors
from deepface.search.database.postgres import EMBEDDINGS, Postgres
from deepface.search.database.proven import LARGEST, SHORTEST, UNIT_ROUNDOFF, is_countable
from deepface.search.database.sql import CRITERIA
from deepface.search.index import SEARCH_EFFORT

#: Longest vectors that pgvector can index, and longest in half precision (pgvector 0.7).
_LONGEST, _LONGEST_HALF = 2000, 4000
#: Of what an index of half vectors names, so many times as many as asked for are compared exactly.
_CANDIDATES = 4
#: Most candidates that a search of the index can keep.
_MOST = 1000
#: The server compares with all for so many probes at a time; for more it takes longer than reading.
_FEW = 4


class PgVector(Postgres):
    """A PostgreSQL server with pgvector; arguments as for :class:`Postgres`.

    Vectors are kept in float32. Those of more than 2,000 numbers (VGG-Face, DeepFace) are indexed
    in half precision, by their first 4,000 numbers; of what that names the distances are computed
    from the whole vectors. pgvector before 0.7 compares with all of them.
    """

    vector_parameter = "?::float8[]::vector"
    vector_column = "embedding::real[]::float8[]"

    def table(self, criteria: Criteria) -> str:
        return criteria.collection

    def prepare(self, criteria: Criteria, dimensions: int) -> None:
        table = self.table(criteria)
        if self.has_table(table):
            return
        if not self.run("SELECT 1 FROM pg_extension WHERE extname = 'vector'"):
            self.run("CREATE EXTENSION vector")
        self.run(EMBEDDINGS.format(table, "SERIAL", f"VECTOR({dimensions})"))
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
        table, vectors = self.table(criteria), [self.to_vector(query) for query in queries]
        operator = "<=>" if criteria.l2_normalized else "<->"
        nearest = f"ORDER BY (embedding {operator} {self.vector_parameter})"
        every = f"SELECT id FROM {table} {nearest} + 0 LIMIT {k}"  # of a sum there is no index
        wanted, times, named = k, 1, f"SELECT id FROM {table} {nearest} LIMIT {k}"
        indexed = self._indexed(queries.shape[1])
        if indexed not in ("embedding", None):  # half of each: those that it names are compared
            wanted, times = min(_CANDIDATES * k, max(k, _MOST)), 2
            parameter = self._indexed(queries.shape[1], f"({self.vector_parameter})")
            named = (
                f"SELECT id FROM (SELECT id, embedding FROM {table} ORDER BY ({indexed}) "
                f"{operator} ({parameter}) LIMIT {wanted}) AS candidates {nearest} LIMIT {k}"
            )
        found: list[list[Id]] = [[]] * len(vectors)
        if wanted <= _MOST:
            with self._settings(self._effort(wanted)):
                found = [self._ids(named, [vector] * times) for vector in vectors]
        # The index may name fewer: it keeps what was deleted until the server cleans up.
        return [
            ids if len(ids) == k else self._ids(every, [vector])
            for ids, vector in zip(found, vectors, strict=True)
        ]

    def _ids(self, statement: str, parameters: Sequence[Any]) -> list[Id]:
        return [row[0] for row in self.run(statement, parameters)]

    def _effort(self, wanted: int) -> dict[str, Any]:
        """Settings with which the server asks its index, and long enough.

        By itself it compares with all of 100,000 vectors: what reading them takes it leaves out.
        """
        settings = {"enable_seqscan": "off", "hnsw.ef_search": max(wanted, SEARCH_EFFORT)}
        if self._extension() >= Version("0.8"):
            settings["hnsw.iterative_scan"] = "strict_order"
        return settings

    def candidates(
        self, criteria: Criteria, query: NearestQuery, size: int = PAGE
    ) -> Iterator[Page]:
        """See the base class. The server compares in float32, in any order of summation."""
        probes, metric, limit, k = query
        if k is not None and not 0 < k <= _MOST:
            k = None
        farthest = limit if metric == "euclidean" else key_limit(metric, limit) + 1
        if (
            (k is None and farthest == np.inf)
            or len(probes) > _FEW
            or not is_countable(np.linalg.norm(probes, axis=1)).all()
            or self.dimensions(criteria) != probes.shape[1]
        ):
            yield from self.pages(criteria, size)
            return
        condition, values = self._is_near(criteria, query._replace(limit=farthest, k=k))
        rows = self.rows_in_pages(criteria, self._columns, size, -1, condition, values)
        yield from (Page.of(some, self.from_vector) for some in rows)

    def _is_near(self, criteria: Criteria, query: NearestQuery) -> tuple[str, list[Any]]:
        """The condition of records that may be within ``limit`` of the server's distances, and
        among the ``k`` nearest of a probe; and its parameters.

        The bounds of the server's error are Higham's (Accuracy and Stability of Numerical
        Algorithms, 3.1): once for the record, and twice for that which is the ``k``-th.
        """
        probes, metric, limit, k = query
        error = (probes.shape[1] + 8) * UNIT_ROUNDOFF
        known = f"vector_norm(embedding) BETWEEN {SHORTEST} AND {LARGEST}"
        operator = "<->" if metric == "euclidean" else "<=>"
        distance = f"(embedding {operator} {self.vector_parameter})"
        nearest = (
            "NULL"
            if k is None
            else (
                f"(SELECT {distance} FROM {self.table(criteria)} WHERE {CRITERIA} AND {known} "
                f"ORDER BY {distance} + 0 LIMIT 1 OFFSET {k - 1})"
            )
        )
        conditions, values = [f"NOT {known}"], []
        for probe in probes:
            if metric == "euclidean":
                norm = float(np.linalg.norm(probe))
                more, times = 4 * (UNIT_ROUNDOFF * norm + ROUNDING), (1 + error) ** 2
            else:
                more, times = 6 * error + 8 * ROUNDING, 1.0
            conditions.append(f"{distance} <= ? + ? * LEAST(?::float8, {nearest})")
            vector = self.to_vector(probe)
            values += [vector, more, times, limit]
            values += [] if k is None else [vector, *criteria.values, vector]
        return f" AND ({' OR '.join(conditions)})", values

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
