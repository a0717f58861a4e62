"""Connections to the database, kept open from one request to the next."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import TypeAlias

from deepface.search.database.base import Database
from deepface.server.batching import DeadlineExceeded

#: Connections that wait for the next request; what is beyond is closed.
_IDLE = 8
#: A database, and the context that opened it.
_Connection: TypeAlias = tuple[AbstractContextManager[Database], Database]


class ConnectionPool:
    """Lends connections, each to one thread at a time.

    Those that can be used again are, after they were asked whether they are alive: a database that
    went and came back costs nobody an error. Files are opened anew each time.

    Args:
        connect: opens the database, see :func:`deepface.search.database.registry.open_database`.
        max_connections: at a time; who comes then waits.
    """

    def __init__(
        self, connect: Callable[[], AbstractContextManager[Database]], max_connections: int
    ) -> None:
        self._connect = connect
        self._free = threading.Semaphore(max_connections)
        self._idle: list[_Connection] = []

    @contextmanager
    def borrow(self, deadline: float) -> Iterator[Database]:
        """A connection for a ``with`` block; one with which something went wrong is closed.

        Args:
            deadline: until when, by ``time.monotonic``, to wait for one.

        Raises:
            DeadlineExceeded: none was free in time.
            DatabaseError: it cannot be reached, opened, read or written.
        """
        left = max(0, min(deadline - time.monotonic(), threading.TIMEOUT_MAX))
        if not self._free.acquire(timeout=left):
            raise DeadlineExceeded("no connection to the database was free in time")
        try:
            connection = manager, database = self._take() or self._open()
            try:
                yield database
            except BaseException:
                if not manager.__exit__(*sys.exc_info()):  # which makes driver's errors ours
                    raise
            else:
                self._keep(connection)
        finally:
            self._free.release()

    def close(self) -> None:
        """Close those that nobody uses."""
        while self._idle:
            _close(self._idle.pop())

    def _open(self) -> _Connection:
        manager = self._connect()
        return manager, manager.__enter__()

    def _take(self) -> _Connection | None:
        while True:
            try:
                connection = self._idle.pop()  # atomic, as is append
            except IndexError:
                return None
            if _is_alive(connection[1]):
                return connection
            _close(connection)

    def _keep(self, connection: _Connection) -> None:
        if connection[1].reusable and len(self._idle) < _IDLE:
            self._idle.append(connection)
        else:
            _close(connection)


def _is_alive(database: Database) -> bool:
    with suppress(*database.driver_errors, OSError):
        database.ping()
        return True
    return False


def _close(connection: _Connection) -> None:
    manager, database = connection
    with suppress(*database.driver_errors, OSError):
        manager.__exit__(None, None, None)
