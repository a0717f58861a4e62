"""A cluster of Cassandra that is a SQLite file; there is no server for tests.

It knows the few statements that are used, and refuses what Cassandra refuses: a query that does
not name the whole partition key, tables that are not there, values of another type.
"""

from __future__ import annotations

import re
import sqlite3
import uuid
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from cassandra import InvalidRequest

_TYPES: dict[str, type | tuple[type, ...]] = {
    "bigint": int,
    "int": int,
    "text": str,
    "blob": bytes,
    "boolean": bool,
    "timestamp": datetime,
    "uuid": uuid.UUID,
}
_SQLITE_TYPES = {"bigint": "INTEGER", "int": "INTEGER", "blob": "BLOB"}


_READ: dict[str, Any] = {"boolean": bool, "uuid": uuid.UUID}


class Table:
    """Columns with their types, and the two halves of the key."""

    def __init__(self, body: str) -> None:
        columns, _, key = " ".join(body.split()).partition(", PRIMARY KEY ")
        self.columns = dict(column.strip().split(" ") for column in columns.split(","))
        partition = re.match(r"\(\((.*?)\)", key) or re.match(r"\((\w+)", key)
        assert partition
        self.partition = re.findall(r"\w+", partition[1])
        self.key = re.findall(r"\w+", key)


class Rows(list[Any]):
    was_applied = True


class Session:
    """What is used of ``cassandra.cluster.Session``; a keyspace per file."""

    keyspace = None

    def __init__(self, path: Path) -> None:
        self._sqlite = sqlite3.connect(
            path, isolation_level=None, timeout=60, check_same_thread=False
        )
        self._sqlite.execute("PRAGMA synchronous = OFF")
        self._known: dict[str, Table] = {}
        self._sqlite.execute("CREATE TABLE IF NOT EXISTS made (name TEXT PRIMARY KEY, body TEXT)")
        self.cluster = SimpleNamespace(
            metadata=SimpleNamespace(cluster_name=str(path)), shutdown=self._sqlite.close
        )

    def prepare(self, statement: str) -> str:
        if not statement.startswith(("SELECT", "INSERT", "UPDATE", "DELETE")):
            raise InvalidRequest(statement)
        self._table(statement)
        return statement

    def execute_async(self, statement: str, values: Sequence[Any]) -> Any:
        found = self.execute(statement, values)
        return SimpleNamespace(result=lambda: found)

    def execute(self, statement: str, values: Sequence[Any] = ()) -> Rows:
        if statement.startswith("CREATE"):
            return self._create(statement)
        if statement.startswith("DROP TABLE "):
            name = statement.removeprefix("DROP TABLE ")
            self._sqlite.execute(f"DROP TABLE {_own(name)}")
            self._sqlite.execute("DELETE FROM made WHERE name = ?", [name])
            return Rows()
        if "system_schema.keyspaces" in statement:
            found = self._sqlite.execute("SELECT name FROM made WHERE body = ''")
            return Rows(found.fetchall())
        if "system_schema.tables" in statement:
            rows = self._sqlite.execute("SELECT name FROM made WHERE body != ''").fetchall()
            owned = [row[0].split(".") for row in rows]
            return Rows([(name,) for keyspace, name in owned if keyspace == values[0]])
        return self._run(statement, values)

    def _create(self, statement: str) -> Rows:
        if keyspace := re.fullmatch(
            r"CREATE KEYSPACE IF NOT EXISTS (\w+) WITH replication = "
            r"\{'class': '\w+', 'replication_factor': \d\}",
            statement,
        ):
            self._sqlite.execute("INSERT OR IGNORE INTO made VALUES (?, '')", [keyspace[1]])
            return Rows()
        made = re.fullmatch(r"CREATE TABLE IF NOT EXISTS (\w+\.\w+) \((.*)\)", statement, re.DOTALL)
        if made is None:
            raise InvalidRequest(statement)
        table = Table(made[2])
        columns = [f"{name} {_SQLITE_TYPES.get(kind, '')}" for name, kind in table.columns.items()]
        name, key = _own(made[1]), ", ".join(table.key)
        self._sqlite.execute(
            f"CREATE TABLE IF NOT EXISTS {name} ({', '.join(columns)}, PRIMARY KEY ({key}))"
        )
        self._sqlite.execute("INSERT OR IGNORE INTO made VALUES (?, ?)", [made[1].lower(), made[2]])
        return Rows()

    def _table(self, statement: str) -> tuple[str, Table]:
        found = re.search(r"(?:FROM|INTO|UPDATE) (\w+\.\w+)", statement)
        assert found
        if found[1].startswith("system_schema."):
            return found[1], Table("keyspace_name text, PRIMARY KEY (keyspace_name)")
        name = found[1].lower()
        if name not in self._known:
            rows = self._sqlite.execute("SELECT body FROM made WHERE name = ?", [name])
            body = rows.fetchone()
            if body is None:
                raise InvalidRequest(f"table {found[1]} does not exist")
            self._known[name] = Table(body[0])
        return found[1], self._known[name]

    def _run(self, statement: str, values: Sequence[Any]) -> Rows:
        name, table = self._table(statement)
        condition = " IF " in statement
        self._check(statement, table, values, condition)
        text = re.sub(r" USING TTL \d+", "", statement.replace(name, _own(name), 1))
        if text.startswith("INSERT"):
            text = text.replace("INSERT", "INSERT OR IGNORE" if condition else "INSERT OR REPLACE")
            text = text.replace(" IF NOT EXISTS", "")
        text = text.replace(" IF ", " AND ")
        kept = [v if isinstance(v, (int, str, bytes)) else str(v) for v in values]
        cursor = self._sqlite.execute(text, kept)
        rows = Rows(cursor.fetchall())
        if statement.startswith("SELECT"):
            names = statement[len("SELECT ") :].partition(" FROM ")[0].split(", ")
            types = [_READ.get(table.columns[name], lambda value: value) for name in names]
            return Rows(tuple(map(_call, types, row)) for row in rows)
        rows.was_applied = not condition or cursor.rowcount > 0
        return rows

    def _check(self, statement: str, table: Table, values: Sequence[Any], condition: bool) -> None:
        places = re.findall(r"(\w+) (?:=|>) \?", statement)
        if statement.startswith("INSERT"):
            names = re.findall(r"\w+", statement.partition("(")[2].partition(")")[0])
            marks = statement.partition("VALUES (")[2].partition(")")[0].split(", ")
            places = [n for n, mark in zip(names, marks, strict=True) if mark == "?"]
            given = set(names)
            assert set(table.key) <= given
        else:
            where = statement.partition(" WHERE ")[2].partition(" IF ")[0]
            given = set(re.findall(r"(\w+) = ", where))
            if not set(table.partition) <= given or set(re.findall(r"(\w+) [=>] ", where)) > set(
                table.key
            ):
                raise InvalidRequest(f"needs ALLOW FILTERING: {statement}")
        assert len(places) == len(values), statement
        for place, value in zip(places, values, strict=True):
            if type(value) is not _TYPES[table.columns[place]]:
                raise TypeError(f"{place} of {statement} takes no {type(value).__name__}")


def _call(read: Any, value: Any) -> Any:
    return read(value)


def _own(name: str) -> str:
    return name.lower().replace(".", "__")


class Cluster:
    """Takes the place of ``cassandra.cluster.Cluster``."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def connect(self) -> Session:
        return Session(self._path)
