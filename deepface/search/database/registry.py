"""Databases by name, and where they are when the caller does not say."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

from deepface.errors import (
    DatabaseError,
    DeepFaceError,
    MissingPackageError,
    UnimplementedError,
    reason_of,
)
from deepface.runtime.additions import additions, class_at
from deepface.runtime.home import path_from_env
from deepface.search.database.base import Database


@dataclass(frozen=True)
class Entry:
    """Where an adapter is, the variable that says where its database is, and its driver."""

    path: str
    variable: str
    driver: str = ""
    #: Another name of the variable, of earlier versions of ours.
    old_variable: str = ""

    def details(self) -> str | None:
        """What the variable says."""
        return path_from_env(self.variable) or path_from_env(self.old_variable) or None


_HERE = "deepface.search.database"
EMBEDDED = "sqlite"
#: The published default. Without connection details anywhere the embedded database takes its place.
DEFAULT = "postgres"
DATABASES = {
    "postgres": Entry(f"{_HERE}.postgres:Postgres", "DEEPFACE_POSTGRES_URI", "psycopg[binary]"),
    "pgvector": Entry(f"{_HERE}.pgvector:PgVector", "DEEPFACE_POSTGRES_URI", "psycopg[binary]"),
    "sqlite": Entry(f"{_HERE}.sqlite:SQLite", "DEEPFACE_SQLITE_PATH"),
    "mysql": Entry(f"{_HERE}.mysql:MySQL", "DEEPFACE_MYSQL_URI", "pymysql"),
    "mongo": Entry(f"{_HERE}.mongo:Mongo", "DEEPFACE_MONGO_URI", "pymongo"),
    "oracle": Entry(f"{_HERE}.oracle:Oracle", "DEEPFACE_ORACLE_URI", "oracledb"),
    "mssql": Entry(f"{_HERE}.mssql:MsSql", "DEEPFACE_MSSQL_URI", "pyodbc"),
    "db2": Entry(f"{_HERE}.db2:Db2", "DEEPFACE_DB2_URI", "ibm_db"),
    "cassandra": Entry(
        f"{_HERE}.cassandra:Cassandra", "DEEPFACE_CASSANDRA_URI", "cassandra-driver"
    ),
    "redis": Entry(f"{_HERE}.redis:Redis", "DEEPFACE_REDIS_URI", "redis"),
    "qdrant": Entry(
        f"{_HERE}.qdrant:Qdrant", "DEEPFACE_QDRANT_URI", "qdrant-client", "DEEPFACE_QDRANT_URL"
    ),
    "milvus": Entry(f"{_HERE}.milvus:Milvus", "DEEPFACE_MILVUS_URI", "pymilvus milvus-lite"),
    "neo4j": Entry(f"{_HERE}.neo4j:Neo4j", "DEEPFACE_NEO4J_URI", "neo4j"),
    "weaviate": Entry(
        f"{_HERE}.weaviate:Weaviate",
        "DEEPFACE_WEAVIATE_URI",
        "weaviate-client",
        "DEEPFACE_WEAVIATE_URL",
    ),
    "pinecone": Entry(f"{_HERE}.pinecone:Pinecone", "DEEPFACE_PINECONE_API_KEY", "pinecone"),
}


@cache
def known_databases() -> dict[str, Entry]:
    """Ours, and those that other packages add as entry points of ``deepface.databases``."""
    return {**DATABASES, **additions("deepface.databases", Entry, DATABASES)}


def _entry(database_type: str) -> Entry:
    entry: Entry | None = None
    if isinstance(database_type, str):
        entry = DATABASES.get(database_type) or known_databases().get(database_type)
    if entry is None:
        raise UnimplementedError(
            f"Unsupported database type: {database_type}. Databases: {', '.join(known_databases())}"
        )
    return entry


@contextmanager
def open_database(
    database_type: str = DEFAULT, details: Any = None, connection: Any = None
) -> Iterator[Database]:
    """A database for the length of a ``with`` block.

    Args:
        database_type: a key of :func:`known_databases`.
        details: where it is; ``None`` takes the type's environment variable. The default type
            without either is the embedded database.
        connection: a connection of the caller's to use instead; it stays open.

    Raises:
        UnimplementedError: an unknown type, or nothing says where the database is.
        MissingPackageError: its driver is not installed.
        DatabaseError: it cannot be reached, opened, read or written.
    """
    entry = _entry(database_type)
    if connection is None:
        if details is None:
            details = entry.details()
        if details is None and database_type == DEFAULT:
            database_type, entry = EMBEDDED, DATABASES[EMBEDDED]
            details = entry.details()
        if details is not None:
            details = _checked(details)
        elif database_type != EMBEDDED:
            raise UnimplementedError(
                f"nothing says where the database {database_type!r} is: pass connection_details or "
                f"set {entry.variable}"
            )
    adapter = _adapter(database_type, entry)
    given = details if connection is None else connection
    database: Database | None = None
    try:
        database = _opened(database_type, entry.driver or "sqlite3", adapter, details, connection)
        database.given = given
        yield database
    except adapter.driver_errors as error:
        raise adapter.explain(error, given) from None
    except OSError as error:
        raise DatabaseError(
            f"the database {database_type!r} cannot be used: {error.filename or 'its place'}: "
            f"{reason_of(error)}. Check that it exists and that you may read and write it."
        ) from error
    finally:
        if database is not None and connection is None:
            database.close()


def _checked(details: Any) -> Any:
    """The same, or the dict whose JSON text it is: a variable and a service have no dicts."""
    if isinstance(details, str) and details.lstrip().startswith("{"):
        try:
            details = json.loads(details)
        except (ValueError, RecursionError) as error:
            raise DatabaseError(f"connection_details is no JSON: {error}") from None
    if isinstance(details, dict):
        is_some = all(isinstance(key, str) for key in details)
    else:
        is_some = isinstance(details, (str, os.PathLike))
    if not is_some:
        raise DatabaseError(
            "connection_details must be either a string or a dict. It is of type "
            f"{type(details).__name__}{', with keys that are no texts' * isinstance(details, dict)}"
        )
    if not details:
        raise DatabaseError("connection_details is empty: say where the database is")
    return details


def _opened(
    database_type: str, driver: str, adapter: type[Database], details: Any, connection: Any
) -> Database:
    """An adapter, or an error of ours for what is no address and no connection."""
    if connection is not None and not hasattr(connection, adapter.connection_method):
        raise DatabaseError(
            f"connection must be an open connection of {driver}, but it is of type "
            f"{type(connection).__name__}"
        )
    try:
        return adapter(details, connection)
    except Exception as error:  # whatever a driver makes of what is no address
        if isinstance(error, (DeepFaceError, OSError, *adapter.driver_errors)):
            raise
        # Others than these may quote a password.
        what = f": {error}" if isinstance(error, TypeError) else ""
        raise DatabaseError(
            f"connection_details of the database {database_type!r} are not what {driver} takes "
            f"({type(error).__name__}{what})"
        ) from None


def _adapter(database_type: str, entry: Entry) -> type[Database]:
    try:
        return class_at(entry.path, f"the database {database_type!r}")
    except MissingPackageError as error:
        if not entry.driver:
            raise
        raise MissingPackageError(
            f"the database {database_type!r} needs {entry.driver} ({error}): pip install "
            + " ".join(f"'{package}'" for package in entry.driver.split())
        ) from error
