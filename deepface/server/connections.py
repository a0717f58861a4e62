"""Connections that send the head of a request too slowly, or do not take its answer, are closed.

Uvicorn waits for either for ever, and a few thousand such connections are all that a process may
have; answers that nobody takes fill its memory. Bodies have their own limit; see
:mod:`deepface.server.bodies`.
"""

from __future__ import annotations

import asyncio
import math
from typing import ClassVar

import h11
import orjson
from uvicorn.protocols.http.h11_impl import H11Protocol

from deepface.logger import get_logger
from deepface.server.failures import request_id_of


class PatientProtocol(H11Protocol):
    """HTTP/1.1 with a limit on the time from a request's first byte to the end of its head.

    The same limit holds for the rest of a body after its answer: a refused request ends, too. And
    for a caller who takes nothing of an answer.
    """

    seconds: ClassVar[float] = 30
    _timer: asyncio.TimerHandle | None = None
    _taking: asyncio.TimerHandle | None = None

    @classmethod
    def within(cls, seconds: float) -> type[PatientProtocol]:
        """A protocol with this limit."""
        return type(cls.__name__, (cls,), {"seconds": seconds})

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the time of the first head."""
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Stop the time where the head is complete; start it where the next one begins."""
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        """Start the time of what is still to come of the body."""
        super().on_response_complete()
        if self.conn.their_state is h11.SEND_BODY:
            self._watch()
        self._watch_taking()

    def send_400_response(self, msg: str) -> None:
        """What is no HTTP gets JSON, as all errors do."""
        request_id = request_id_of(None)
        get_logger().info("%s %s", request_id, msg)
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            body = {"code": "bad_request", "error": msg, "request_id": request_id}
            headers = {
                "content-type": "application/json",
                "connection": "close",
                "x-request-id": request_id,
            }
            events = (
                h11.Response(status_code=400, headers=[*headers.items()], reason=b"Bad Request"),
                h11.Data(data=orjson.dumps(body)),
                h11.EndOfMessage(),
            )
            self.transport.write(b"".join(self.conn.send(event) or b"" for event in events))
        self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the time."""
        self._forget()
        if self._taking is not None:
            self._taking.cancel()
        super().connection_lost(exc)

    def _watch(self) -> None:
        answered = self.conn.our_state is h11.DONE and self.conn.their_state is h11.SEND_BODY
        if not answered and self.conn.their_state is not h11.IDLE:
            self._forget()
        elif self._timer is None and not self.transport.is_closing():
            self._timer = self.loop.call_later(self.seconds, self.transport.abort)

    def _watch_taking(self, before: float = math.inf) -> None:
        """Look from time to time whether any of what is written was taken."""
        if self._taking is not None:
            self._taking.cancel()
            self._taking = None
        left = self.transport.get_write_buffer_size()
        if left >= before:
            self.transport.abort()
        elif left:
            self._taking = self.loop.call_later(self.seconds, self._watch_taking, left)

    def _forget(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
