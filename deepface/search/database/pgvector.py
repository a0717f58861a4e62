"""PostgreSQL with the extension pgvector: a table per criteria, which finds neighbours itself."""

from __future__ import annotations

from typing import Any, ClassVar

from deepface.logger import get_logger
from deepface.search.database.base import Criteria, Id, Vectors
from deepface.search.database.postgres import Postgres
from deepface.search.index import SEARCH_EFFORT

#: Longest vectors that pgvector can index.
_LONGEST = 2000
#: Most candidates that a search of the index can keep.
_MOST = 1000


class PgVector(Postgres):
    """A PostgreSQL server with pgvector; arguments as for :class:`Postgres`.

    Vectors are kept in float32. Those of more than 2,000 numbers have no index: the server then
    compares with all of them.
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
        if dimensions <= _LONGEST:
            name, operators = (
                ("cosine", "cosine") if criteria.l2_normalized else ("euclidean", "l2")
            )
            self.run(
                f"CREATE INDEX {table}_{name}_idx ON {table} "
                f"USING hnsw (embedding vector_{operators}_ops)"
            )

    def neighbours(self, criteria: Criteria, queries: Vectors, k: int) -> list[list[Id]]:
        table = self.table(criteria)
        if not self.has_table(table):
            return [[] for _ in queries]
        operator = "<=>" if criteria.l2_normalized else "<->"
        found = []
        with self._connection.transaction():
            if k > _MOST:
                self.run("SET LOCAL enable_indexscan = off")
            else:
                self.run(f"SET LOCAL hnsw.ef_search = {max(k, SEARCH_EFFORT)}")
            for query in queries:
                rows = self.run(
                    f"SELECT id FROM {table} ORDER BY embedding {operator} "  # noqa: S608
                    f"{self.vector_parameter} LIMIT ?",
                    [self.to_vector(query), k],
                )
                found.append([row[0] for row in rows])
        return found

    def build_index(self, criteria: Criteria, max_neighbors_per_node: int, size: int) -> None:
        get_logger().info("pgvector keeps its indexes itself: there is nothing to build")

    @classmethod
    def explain(cls, error: Exception, details: Any) -> Exception:
        found = super().explain(error, details)
        if '"vector"' in str(error) and "extension" in str(error):
            return type(found)(
                f"the server lacks the extension pgvector: install it there (e.g. the package "
                f"postgresql-17-pgvector), or use database_type='postgres'. ({error})"
            )
        return found
