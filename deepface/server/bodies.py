"""What a request's body holds: JSON, multipart or form, read within limits of bytes and time."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable
from contextlib import ExitStack
from typing import Any
from urllib.parse import parse_qsl

import anyio
import orjson
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request

from deepface.server.failures import GONE, Refused
from deepface.server.pictures import Body, Fields, Upload
from deepface.server.settings import Settings

_MOST_FIELDS = 200
#: Text parts and forms hold pictures as base64, too.
_FORM = ("", "application/x-www-form-urlencoded")


class _Parser(MultiPartParser):
    """Keeps files in memory: the limit on the body bounds it."""

    spool_max_size = 1 << 62
    ended = False

    def on_headers_finished(self) -> None:
        """As that of the base class, which takes files of old clients for text."""
        part = self._current_part
        part.content_disposition = (part.content_disposition or b"").replace(b"name*=", b"name=")
        super().on_headers_finished()

    def on_end(self) -> None:
        """The last boundary has come; without it, something is missing."""
        self.ended = True


class BodyReader:
    """Reads bodies; those of all requests under way share one budget of bytes."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._held = 0

    async def read(self, request: Request, held: ExitStack) -> Body:
        """The body of a request, whose bytes count until ``held`` ends.

        Raises:
            Refused: too long (413), too slow (408), cut off, no room for it (429), or damaged.
        """
        limit = self._settings.max_body
        if int(request.headers.get("content-length") or 0) > limit:
            raise _too_much(f"the request has more than {limit} bytes")
        stream = _Stream(request, self, limit)
        held.callback(lambda: self.hold(-stream.count))
        try:
            with anyio.fail_after(self._settings.body_timeout):
                return await self._parse(request, stream)
        except TimeoutError:
            text = f"the body did not arrive within {self._settings.body_timeout:g} s"
            raise Refused(408, text, code="timeout", headers={"Connection": "close"}) from None
        except ClientDisconnect:
            raise Refused(GONE, "the caller has gone away", code="gone") from None

    def hold(self, count: int) -> None:
        """So many bytes more (or, if negative, less) are in memory.

        Raises:
            Refused: together they are too many.
        """
        self._held += count
        if count > 0 and self._held > self._settings.max_bodies:
            text = "too many bytes of other requests are in memory: try again later"
            raise Refused(429, text, code="overloaded", headers={"Retry-After": "1"})

    async def _parse(self, request: Request, stream: _Stream) -> Body:
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind == "multipart/form-data":
            return await self._multipart(request, stream)
        data = b"".join([chunk async for chunk in stream])
        is_json = kind == "application/json" or kind.endswith("+json")
        # Command lines send JSON under the type of forms, or under none.
        if is_json or data.lstrip()[:1] in (b"{", b"["):
            return Body(_json(data))
        if kind not in _FORM:
            return Body()
        if data.count(b"&") >= _MOST_FIELDS:
            raise _too_much(f"the form has more than {_MOST_FIELDS} fields")
        try:
            pairs = parse_qsl(data.decode(), keep_blank_values=True)
        except ValueError as error:
            raise Refused(400, f"the form cannot be read: {error}") from None
        return Body(_collected(pairs))

    async def _multipart(self, request: Request, stream: _Stream) -> Body:
        parser = _Parser(
            request.headers,
            stream.chunks(),
            max_files=self._settings.max_items + 1,
            max_fields=_MOST_FIELDS,
            max_part_size=self._settings.max_body,
        )
        try:
            form = await parser.parse()
            if not parser.ended:
                raise MultiPartException("it ends before its last boundary")
        except (MultiPartException, KeyError, UnicodeDecodeError) as error:
            text = f"the multipart body cannot be read: {error}"
            raise (_too_much(text) if "Too many" in text else Refused(400, text)) from None
        pairs: list[tuple[str, Any]] = []
        for name, value in form.multi_items():
            if isinstance(value, str):
                pairs.append((name, value))
            else:
                pairs.append((name, Upload(value.filename or "", await value.read())))
        await form.close()
        has_files = any(isinstance(value, Upload) for _, value in pairs)
        return Body(_collected(pairs), has_files)


class _Stream:
    """A body's chunks, counted."""

    def __init__(self, request: Request, reader: BodyReader, limit: int) -> None:
        self._request, self._reader, self._limit = request, reader, limit
        self.count = 0

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """As they arrive."""
        async for chunk in self._request.stream():
            self.count += len(chunk)
            self._reader.hold(len(chunk))
            if self.count > self._limit:
                raise _too_much(f"the request has more than {self._limit} bytes")
            yield chunk

    def __aiter__(self) -> AsyncGenerator[bytes, None]:
        return self.chunks()


def _too_much(text: str) -> Refused:
    return Refused(413, text, code="too_much", headers={"Connection": "close"})


def _json(data: bytes) -> Fields:
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise Refused(400, f"the body is no valid JSON: {error}") from None
    if not isinstance(value, dict):
        kind = "null" if value is None else type(value).__name__
        raise Refused(400, f"the body must be a JSON object, but it is a {kind}", key="exception")
    return value


def _collected(pairs: Iterable[tuple[str, Any]]) -> Fields:
    """One value per name; a list where a name occurs several times."""
    many: dict[str, list[Any]] = {}
    for name, value in pairs:
        many.setdefault(name, []).append(value)
    return {name: values if len(values) > 1 else values[0] for name, values in many.items()}
