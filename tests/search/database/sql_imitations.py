"""Connections of Oracle's, Microsoft's and IBM's drivers whose server is a SQLite file.

What these databases need and SQLite has otherwise is translated, word by word: whatever else is in
a statement is an error, as is what the servers refuse. None of these servers can be had for tests.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Words = dict[str, str]

_COMMON: Words = {
    r"OFFSET 0 ROWS FETCH NEXT (\d+) ROWS ONLY": r"LIMIT \1",
    r"GENERATED (?:BY DEFAULT ON NULL|ALWAYS) AS IDENTITY|IDENTITY\(1,1\)": "",
    r"\bid \S+(?: NOT NULL)? +PRIMARY KEY": "id INTEGER PRIMARY KEY AUTOINCREMENT",
}
_TABLES = "(SELECT {} AS {}, name AS plain FROM sqlite_master WHERE type = 'table')"


@dataclass
class Server:
    """A dialect, its driver, and what it refuses."""

    driver: Any
    words: Words
    #: The words of other dialects.
    foreign: str
    numbered: bool = False
    booleans: bool = False
    empty_is_null: bool = False
    tables_end_transactions: bool = False
    statements: list[str] = field(default_factory=list)

    def translated(self, statement: str) -> str:
        """In SQLite's words."""
        if found := re.search(self.foreign, statement):
            raise self.driver.ProgrammingError(f"{found[0]} is of another dialect")
        for word, replacement in {**self.words, **_COMMON}.items():
            statement = re.sub(word, replacement, statement)
        return statement

    def value(self, value: Any) -> Any:
        """A parameter as the server takes it."""
        if isinstance(value, bool) and not self.booleans:
            raise self.driver.NotSupportedError("there are no booleans")
        if value == "" and self.empty_is_null:
            return None
        if isinstance(value, str) and "\0" in value:
            raise self.driver.DataError("zeros end texts")
        return value


def oracle() -> Server:
    """Oracle 19."""
    import oracledb

    words = {
        r"user_tables": _TABLES.format("UPPER(name)", "table_name"),
        r"DBMS_LOB\.GETLENGTH": "length",
        r"TIMESTAMP WITH TIME ZONE DEFAULT SYSTIMESTAMP": "TEXT DEFAULT CURRENT_TIMESTAMP",
        r"VARCHAR2\((\d+)\)": r"VARCHAR(\1)",
    }
    foreign = r"LIMIT|ON CONFLICT|\?|MAX\)|BOOLEAN|\bTEXT\b|DATALENGTH|AUTOINCREMENT"
    return Server(
        *(oracledb, words, foreign),
        numbered=True,
        empty_is_null=True,
        tables_end_transactions=True,
    )


def mssql() -> Server:
    """SQL Server 2022."""
    import pyodbc

    words = {
        r"INFORMATION_SCHEMA\.TABLES": _TABLES.format("name", "TABLE_NAME"),
        r"TABLE_SCHEMA = SCHEMA_NAME\(\)": "1",
        r"DATALENGTH": "length",
        r"DATETIME2 DEFAULT SYSUTCDATETIME\(\)": "TEXT DEFAULT CURRENT_TIMESTAMP",
        r"\(MAX\)": "",
        r"EXEC sp_getapplock .*@LockOwner = 'Transaction'": "LOCK",
    }
    foreign = r"LIMIT|ON CONFLICT|BLOB|BOOLEAN|\blength\(|AUTOINCREMENT|LOCK TABLE"
    return Server(pyodbc, words, foreign, booleans=True)


def db2() -> Server:
    """Db2 11.5."""
    import ibm_db_dbi

    words = {
        r"SYSCAT\.TABLES": _TABLES.format("UPPER(name)", "TABNAME"),
        r"TABSCHEMA = CURRENT SCHEMA": "1",
        r"CURRENT SERVER, CURRENT SCHEMA FROM SYSIBM\.SYSDUMMY1": "'server', 'schema'",
        r"TIMESTAMP DEFAULT CURRENT TIMESTAMP": "TEXT DEFAULT CURRENT_TIMESTAMP",
        r"BLOB\(\d+[MG]\)": "BLOB",
    }
    foreign = r"LIMIT|ON CONFLICT|MAX\)|BOOLEAN|\bTEXT\b|DATALENGTH|AUTOINCREMENT|sp_getapplock"
    return Server(ibm_db_dbi, words, foreign)


SERVERS: dict[str, Callable[[], Server]] = {"oracle": oracle, "mssql": mssql, "db2": db2}


class Connection:
    """What the drivers have in common."""

    dsn = username = "imitation"
    autocommit = False

    def __init__(self, path: Path, server: Server) -> None:
        self.server = server
        self._sqlite = sqlite3.connect(
            path, isolation_level=None, timeout=60, check_same_thread=False
        )
        self._sqlite.execute("PRAGMA synchronous = OFF")

    def cursor(self) -> Cursor:
        return Cursor(self, self._sqlite)

    def commit(self) -> None:
        if self._sqlite.in_transaction:
            self._sqlite.execute("COMMIT")

    def rollback(self) -> None:
        if self._sqlite.in_transaction:
            self._sqlite.execute("ROLLBACK")

    def close(self) -> None:
        self._sqlite.close()  # which undoes what was not committed

    def getinfo(self, what: int) -> str:
        return f"imitation {what}"

    def server_info(self) -> tuple[str, ...]:
        return ("imitation",)


class Cursor:
    """The rows of one statement at a time."""

    outputtypehandler: Any = None

    def __init__(self, connection: Connection, sqlite: sqlite3.Connection) -> None:
        self._connection, self._server, self._sqlite = connection, connection.server, sqlite
        self._found: Any = None
        self._sizes: tuple[Any, ...] = ()

    @property
    def description(self) -> Any:
        return self._found.description

    def setinputsizes(self, *sizes: Any) -> None:
        self._sizes = sizes

    def execute(self, statement: str, parameters: list[Any]) -> None:
        server, driver = self._server, self._server.driver
        server.statements.append(statement)
        values = [server.value(value) for value in parameters]
        if server.numbered:
            for number, value in enumerate(values):
                is_large = isinstance(value, bytes) and len(value) > 32767
                if is_large and self._sizes[number] is not driver.DB_TYPE_BLOB:
                    raise driver.DatabaseError("ORA-01461: can bind a LONG value only for LONG")
            assert re.findall(r":\d+", statement) == [f":{n + 1}" for n in range(len(values))]
        translated = server.translated(statement)
        try:
            self._run(translated, values)
        except sqlite3.IntegrityError as error:
            raise driver.IntegrityError(str(error)) from error
        except sqlite3.Error as error:
            raise driver.DatabaseError(f"{error} ({translated})") from error

    def _run(self, statement: str, values: list[Any]) -> None:
        sqlite = self._sqlite
        kind = statement.split()[0]
        if kind == "CREATE" and self._server.tables_end_transactions and sqlite.in_transaction:
            sqlite.execute("COMMIT")
        elif kind != "SELECT" and not (sqlite.in_transaction or self._connection.autocommit):
            sqlite.execute("BEGIN IMMEDIATE")
        if kind == "LOCK":
            statement = "SELECT 1 WHERE 0"
        if self._server.numbered:
            statement = re.sub(r":(\d+)", r"?\1", statement)
        self._found = sqlite.execute(statement, values)

    def fetchall(self) -> Any:
        return self._found.fetchall()

    def close(self) -> None:
        self._found = None
