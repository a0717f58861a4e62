"""PostgreSQL with the extension pgvector: a table per criteria, which finds neighbours itself."""

from __future__ import annotations

from typing import Any, ClassVar

from packaging.version import Version

from deepface.logger import get_logger
from deepface.search.database.base import Criteria, Id, Vectors
from deepface.search.database.postgres import Postgres
from deepface.search.index import SEARCH_EFFORT

#: Longest vectors that pgvector can index, and longest in half precision (pgvector 0.7).
_LONGEST, _LONGEST_HALF = 2000, 4000
#: Of what an index of half vectors names, so many times as many as asked for are compared exactly.
_CANDIDATES = 4
#: Most candidates that a search of the index can keep.
_MOST = 1000


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
        self._make_index(criteria, dimensions)

    def _make_index(self, criteria: Criteria, dimensions: int) -> None:
        expression = self._indexed(dimensions)
        if expression is None:
            return
        table = self.table(criteria)
        name, operators = ("cosine", "cosine") if criteria.l2_normalized else ("euclidean", "l2")
        kind = "vector" if expression == "embedding" else "halfvec"
        self.run(
            f"CREATE INDEX IF NOT EXISTS {table}_{name}_idx ON {table} "
            f"USING hnsw (({expression}) {kind}_{operators}_ops)"
        )

    def _indexed(self, dimensions: int, vector: str = "embedding") -> str | None:
        """What of a vector is indexed; ``None`` where that cannot be."""
        if dimensions <= _LONGEST:
            return vector
        ((version,),) = self.run("SELECT extversion FROM pg_extension WHERE extname = 'vector'")
        if Version(version) < Version("0.7"):
            return None
        if dimensions <= _LONGEST_HALF:
            return f"{vector}::halfvec({dimensions})"
        return f"subvector({vector}, 1, {_LONGEST_HALF})::halfvec({_LONGEST_HALF})"

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
        found = []
        with self._connection.transaction():
            if wanted > _MOST:
                self.run("SET LOCAL enable_indexscan = off")
            else:
                self.run(f"SET LOCAL hnsw.ef_search = {max(wanted, SEARCH_EFFORT)}")
            for query in queries:
                rows = self.run(
                    f"SELECT id FROM {source} ORDER BY embedding {operator} "
                    f"{self.vector_parameter} LIMIT {k}",
                    [self.to_vector(query)] * times,
                )
                found.append([row[0] for row in rows])
        return found

    def build_index(self, criteria: Criteria, max_neighbors_per_node: int, size: int) -> None:
        """See the base class: makes the index that tables of earlier versions lack."""
        page = next(self.pages(criteria, 1), None)
        if page is not None:
            with self.writing():
                self._make_index(criteria, page.embeddings.shape[1])
        get_logger().info("pgvector keeps its indexes itself: there is nothing else to build")

    @classmethod
    def explain(cls, error: Exception, details: Any) -> Exception:
        found = super().explain(error, details)
        if '"vector"' in str(error) and "extension" in str(error):
            return type(found)(
                f"the server lacks the extension pgvector: install it there (e.g. the package "
                f"postgresql-17-pgvector), or use database_type='postgres'. ({error})"
            )
        return found
