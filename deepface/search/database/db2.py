"""IBM Db2, through ibm_db, in the published tables."""

from __future__ import annotations

from typing import Any

import ibm_db_dbi

from deepface.search.database.dbapi import DbApiDatabase, Dialect
from deepface.search.database.server import Server

_DIALECT = Dialect(
    server=Server(
        "Db2",
        "DEEPFACE_DB2_URI",
        "DATABASE=...;HOSTNAME=host;PORT=50000;PROTOCOL=TCPIP;UID=...;PWD=...;",
    ),
    id="BIGINT NOT NULL GENERATED ALWAYS AS IDENTITY",
    index_id="INTEGER NOT NULL GENERATED ALWAYS AS IDENTITY",
    text="VARCHAR",
    name="VARCHAR(2048) NOT NULL",
    flag="SMALLINT",
    face="BLOB(64M)",
    embedding="BLOB(16M)",
    index="BLOB(1G)",
    number="INTEGER",
    moment="TIMESTAMP DEFAULT CURRENT TIMESTAMP",
    refused=r"SQL30082N|SQLSTATE=08004",
    forbidden=r"SQL055[12]N|SQLSTATE=42(501|502|727)",
    unreachable=r"SQL(30081|1013|1024|1224|1531)N|SQLSTATE=(08|40003|57019)|CLI0106E",
    find_table="SELECT 1 FROM SYSCAT.TABLES WHERE TABSCHEMA = CURRENT SCHEMA AND TABNAME = ?",
)


class Db2(DbApiDatabase):
    """A Db2 server (LUW), version 11.1 or later. Names have 2,048 bytes at most."""

    driver_errors = (ibm_db_dbi.Error, ibm_db_dbi.Warning)
    dialect = _DIALECT
    tables = _DIALECT.tables
    longest_name = 2048

    @staticmethod
    def connect(details: str | dict[str, Any]) -> Any:
        return ibm_db_dbi.connect(**(details if isinstance(details, dict) else {"dsn": details}))

    def to_parameter(self, value: Any) -> Any:
        if isinstance(value, bytes):
            return ibm_db_dbi.Binary(value)
        return super().to_parameter(value)

    def place(self) -> str:
        ((server, schema),) = self.run(
            "SELECT CURRENT SERVER, CURRENT SCHEMA FROM SYSIBM.SYSDUMMY1"
        )
        return f"db2 {server} {schema} {self._connection.server_info()}"
