"""Microsoft SQL Server, through pyodbc, in the published tables."""

from __future__ import annotations

from typing import Any

import pyodbc

from deepface.search.database.dbapi import DbApiDatabase, Dialect
from deepface.search.database.server import PATIENCE, Server

_DIALECT = Dialect(
    server=Server(
        "SQL Server",
        "DEEPFACE_MSSQL_URI",
        "DRIVER={ODBC Driver 18 for SQL Server};SERVER=host,1433;DATABASE=...;UID=...;PWD=..., "
        "with the name of a driver that is installed",
    ),
    id="BIGINT IDENTITY(1,1)",
    index_id="INT IDENTITY(1,1)",
    text="NVARCHAR",
    name="NVARCHAR(MAX) NOT NULL",
    flag="BIT",
    face="VARBINARY(MAX)",
    embedding="VARBINARY(MAX)",
    index="VARBINARY(MAX)",
    number="INT",
    moment="DATETIME2 DEFAULT SYSUTCDATETIME()",
    refused=r"28000|\(18456\)",
    forbidden=r"\((262|229|297|2760)\)",
    unreachable=r"08\w{3}|HYT0[01]|IM00\w|01000|\(4060\)|closed",
    find_table="SELECT 1 FROM INFORMATION_SCHEMA.TABLES "
    "WHERE TABLE_SCHEMA = SCHEMA_NAME() AND TABLE_NAME = ?",
    folds=False,
    lock="EXEC sp_getapplock @Resource = 'deepface', @LockMode = 'Exclusive', "
    "@LockOwner = 'Transaction'",
)


class MsSql(DbApiDatabase):
    """A SQL Server, version 2012 or later.

    The driver needs Microsoft's "ODBC Driver 18 for SQL Server" beside it.
    """

    driver_errors = (pyodbc.Error,)
    dialect = _DIALECT
    tables = _DIALECT.tables
    length = "DATALENGTH"

    @staticmethod
    def connect(details: str | dict[str, Any]) -> Any:
        if isinstance(details, dict):
            return pyodbc.connect(**{"timeout": PATIENCE, **details})
        return pyodbc.connect(details, timeout=PATIENCE)

    def place(self) -> str:
        names = (pyodbc.SQL_SERVER_NAME, pyodbc.SQL_DATABASE_NAME)
        return " ".join(["mssql", *(str(self._connection.getinfo(name)) for name in names)])
