"""REST: routes, tokens, limits, answers. An ASGI application."""

from __future__ import annotations

import asyncio
import contextlib
import re
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from contextvars import copy_context
from functools import partial
from typing import Any

import msgpack
import orjson
from fastapi import FastAPI, Request
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import Response
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from deepface import __version__
from deepface.logger import get_logger
from deepface.server.batching import Call
from deepface.server.bodies import BodyReader
from deepface.server.failures import GONE, Refused, refusal, request_id_of
from deepface.server.metrics import Metrics
from deepface.server.page import add_page
from deepface.server.pictures import Body
from deepface.server.routes import ROUTES, Route
from deepface.server.schema import describe
from deepface.server.service import Answer, Service, exact
from deepface.server.settings import Settings
from deepface.server.tokens import Tokens

_JSON, _MSGPACK = "application/json", "application/msgpack"
#: An item of the header ``Accept``, and its weight.
_ACCEPTED = re.compile(r"([^\s;,]+)(?:[^,]*;\s*q=(\d\.?\d*))?[^,]*")


def create_app(settings: Settings | None = None, service: Service | None = None) -> FastAPI:
    """The application, for any ASGI server.

    Args:
        settings: what it is told; the default is :meth:`Settings.load`.
        service: share this one, e.g. with gRPC; who made it prepares and closes it.
    """
    settings = settings or (service.settings if service else Settings.load())
    own = service is None
    service = service or Service(settings)
    server = _Server(service)

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        if own:
            threading.Thread(target=service.prepare, daemon=True).start()
        get_logger().info("Welcome to DeepFace API v%s!", __version__)
        yield
        if own:
            await asyncio.to_thread(service.close)
        server.close()

    app = FastAPI(
        title="DeepFace",
        version=__version__,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    server.add_routes(app)
    add_page(app)
    describe(app, ROUTES)
    app.add_exception_handler(Refused, on_refused)
    app.add_exception_handler(HTTPException, on_http_error)
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=["*"],
            allow_headers=["*"],
        )
    app.add_middleware(_Edge, metrics=service.metrics)
    app.state.service = service
    return app


class _Server:
    """Handlers, and what they share."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._settings = service.settings
        self._bodies = BodyReader(service.settings)
        self._tokens = Tokens(service.settings.tokens)
        self._busy = 0
        self._threads = ThreadPoolExecutor(service.settings.max_requests, "deepface-requests")

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def add_routes(self, app: FastAPI) -> None:
        """Everything that is served."""
        for route in ROUTES:
            handler = self._handler(route)
            app.add_api_route(route.path, handler, methods=[route.method], name=route.path)
        app.add_api_route("/models", self._models, methods=["GET"])
        app.add_api_route("/metrics", self._tell_metrics, methods=["GET"])
        app.add_api_route("/healthz", self._healthz, methods=["GET"])
        app.add_api_route("/readyz", self._readyz, methods=["GET"])

    def _handler(self, route: Route) -> Callable[[Request], Awaitable[Response]]:
        """No partial function: of those older FastAPI does not find out the types."""

        async def handle(request: Request) -> Response:
            return await self._serve(route, request)

        return handle

    async def _serve(self, route: Route, request: Request) -> Response:
        with self._let_in(request, route.doing), ExitStack() as held:
            held.enter_context(self._admitted())
            call = held.enter_context(self._service.call(_wanted_seconds(request)))
            if route.method == "POST":
                body = await self._bodies.read(request, held)
            else:
                body = Body(dict(request.query_params))
            body.strict = "handling=strict" in request.headers.get("prefer", "")
            work = partial(_work, route, self._service, call, body, _wants_msgpack(request))
            answer = await self._until_gone(request, call, work, held)
            request.scope["deepface.queued"] = call.queued
            return answer

    @contextlib.contextmanager
    def _let_in(self, request: Request, doing: str) -> Iterator[None]:
        """Check the token; what goes wrong in the block is raised as ``Refused``."""
        try:
            self._tokens.check(request.headers.get("authorization"))
            yield
        except Exception as error:
            raise refusal(error, doing, request.scope["deepface.id"]) from None

    @contextlib.contextmanager
    def _admitted(self) -> Iterator[None]:
        """Refuse at once what would only wait."""
        if self._busy >= self._settings.max_requests or self._service.batcher.is_full():
            raise Refused(
                429,
                "the server is overloaded: try again later",
                code="overloaded",
                headers={"Retry-After": str(self._service.batcher.retry_after())},
            )
        self._busy += 1
        try:
            yield
        finally:
            self._busy -= 1

    async def _until_gone(
        self, request: Request, call: Call, work: Callable[[], Response], held: ExitStack
    ) -> Response:
        """Work in a thread; when the caller hangs up, drop what has not begun.

        What is ``held`` is until the thread is done, whoever has gone: it has its place, and the
        body.
        """
        loop = asyncio.get_running_loop()
        working: asyncio.Future[Response] = loop.run_in_executor(
            self._threads, copy_context().run, work
        )
        working.add_done_callback(partial(_done, held.pop_all()))
        leaving = asyncio.create_task(_disconnected(request))
        try:
            both: set[asyncio.Future[Any]] = {working, leaving}
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            if not working.done():
                raise Refused(GONE, "the caller has gone away", code="gone")
            return working.result()
        finally:
            leaving.cancel()
            call.cancel()

    async def _models(self, request: Request) -> Response:
        """Names of models, by task, and which are in memory."""
        with self._let_in(request, "answering"):
            return _json(self._service.models())

    async def _tell_metrics(self, request: Request) -> Response:
        """Metrics for Prometheus."""
        with self._let_in(request, "answering"):
            text = self._service.metrics.text()
            return Response(text, media_type="text/plain; version=0.0.4")

    async def _healthz(self) -> Response:
        """Whether the server lives."""
        return _json({"status": "ok", "version": __version__})

    async def _readyz(self) -> Response:
        """Whether its models are built and warm."""
        if reason := self._service.waits_for:
            return _json({"status": "not ready", "error": reason}, 503)
        return _json({"status": "ready", "version": __version__})


async def on_refused(request: Request, refused: Exception) -> Response:
    """A request that was refused, as JSON."""
    assert isinstance(refused, Refused)
    body = {
        refused.key: refused.text,
        "code": refused.code,
        "request_id": request.scope["deepface.id"],
    }
    response = _json(body, refused.status)
    response.headers.update(refused.headers)
    return response


async def on_http_error(request: Request, error: Exception) -> Response:
    """Unknown routes and methods, as JSON."""
    assert isinstance(error, HTTPException)
    refused = Refused(
        error.status_code,
        f"{error.detail}: {request.method} {request.url.path}",
        code="not_found" if error.status_code == 404 else "bad_request",
        headers=dict(error.headers or {}),
    )
    return await on_refused(request, refused)


def _done(held: ExitStack, working: asyncio.Future[Response]) -> None:
    held.close()
    if not working.cancelled():
        working.exception()  # or asyncio tells of one that nobody has waited for


def _work(route: Route, service: Service, call: Call, body: Body, packed: bool) -> Response:
    """A request's work and the writing of its answer, in its thread."""
    if packed and "vectors" in route.parameters.model_fields:
        body.fields.setdefault("vectors", "binary")
    if not packed and body.fields.get("vectors") == "binary":
        raise Refused(400, f"vectors: binary needs the header Accept: {_MSGPACK}")
    answer = route.perform(service, call, body)
    return _packed(answer) if packed else _json(answer)


def _json(answer: Any, status: int = 200) -> Response:
    """Keys in alphabetical order and a newline at the end, as published."""
    options = orjson.OPT_SORT_KEYS | orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_APPEND_NEWLINE
    try:
        data = orjson.dumps(answer, option=options | orjson.OPT_STRICT_INTEGER)
    except orjson.JSONEncodeError:
        data = orjson.dumps(exact(answer), option=options)
    return Response(data, status, media_type=_JSON)


def _packed(answer: Answer) -> Response:
    data = msgpack.packb(answer, default=lambda value: value.item())
    return Response(data, media_type=_MSGPACK)


def _wanted_seconds(request: Request) -> float | None:
    text = request.headers.get("x-request-timeout")
    if text is None:
        return None
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1
    if not seconds >= 0:
        raise Refused(400, f"X-Request-Timeout must be a number of seconds; it is {text[:100]!r}")
    return seconds


def _wants_msgpack(request: Request) -> bool:
    accepted = _ACCEPTED.findall(",".join(request.headers.getlist("accept")).lower())
    weights = {kind: float(weight or 1) for kind, weight in accepted}
    return weights.get(_MSGPACK, 0) > 0 and weights[_MSGPACK] >= weights.get(_JSON, 0)


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


class _Edge:
    """Around everything: an id for each request, a line in the log, the metrics."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = request_id_of(Headers(scope=scope).get("x-request-id"))
        method = scope["method"]
        served_as = "GET" if method == "HEAD" else method
        scope = {**scope, "method": served_as, "deepface.id": request_id}
        status, start = 500, time.perf_counter()

        async def tell(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers.update({"x-request-id": request_id, "x-content-type-options": "nosniff"})
            elif method == "HEAD":
                message = {**message, "body": b""}
            await send(message)

        self._metrics.in_flight.inc()
        try:
            await self._app(scope, receive, tell)
        finally:
            seconds = time.perf_counter() - start
            # Only routes that exist: others would make a series for every address tried.
            route = getattr(scope.get("route"), "path", "other")
            self._metrics.in_flight.dec()
            self._metrics.answered(route, status, seconds)
            get_logger().info(
                "%s %s %s %d %.0f ms, queued %.0f ms",
                request_id,
                method,
                scope["path"].encode("ascii", "backslashreplace").decode()[:200],
                status,
                seconds * 1000,
                scope.get("deepface.queued", 0) * 1000,
            )
