"""The gRPC server: the functions of the service behind the published calls."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial, partialmethod
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from deepface.logger import get_logger
from deepface.server.failures import GONE, PictureRefused, Refused, refusal, request_id_of
from deepface.server.grpc import messages
from deepface.server.pictures import Body, Upload
from deepface.server.routes import ROUTES, Route
from deepface.server.service import Answer, Service, exact
from deepface.server.settings import Settings
from deepface.server.tokens import Tokens

#: Most bytes of a message, both ways, as published.
_MESSAGE = 100 << 20
#: Requests of one stream that are being worked on.
_WINDOW = 64
_CODES = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    401: grpc.StatusCode.UNAUTHENTICATED,
    413: grpc.StatusCode.INVALID_ARGUMENT,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    GONE: grpc.StatusCode.CANCELLED,
    500: grpc.StatusCode.INTERNAL,
    501: grpc.StatusCode.FAILED_PRECONDITION,
    503: grpc.StatusCode.UNAVAILABLE,
    504: grpc.StatusCode.DEADLINE_EXCEEDED,
}
_BY_PATH = {route.path: route for route in ROUTES}


class Calls:
    """The calls of the service."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._tokens = Tokens(service.settings.tokens)
        self._threads = ThreadPoolExecutor(service.settings.max_requests, "deepface-grpc-stream")

    def Stream(self, requests: Iterator[Any], context: Any) -> Iterator[Any]:  # noqa: N802
        """Answers in the order of the requests, as soon as each is there."""
        try:
            self._tokens.check(_metadata(context).get("authorization"))
        except Refused as refused:
            _abort(context, refused)
        answers: queue.Queue[Future[Any] | None] = queue.Queue(_WINDOW)
        over = threading.Event()

        def end() -> None:
            over.set()
            with suppress(queue.Full):
                answers.put_nowait(None)  # wakes who waits below

        if not context.add_callback(end):
            return  # it has ended already

        def read() -> None:
            try:
                for request in requests:
                    work = self._threads.submit(self._stream_answer, request, context)
                    if not _put(answers, work, over):
                        return
            except Exception as error:  # the caller has gone away
                get_logger().info("a stream ended early: %s", type(error).__name__)
            _put(answers, None, over)

        threading.Thread(target=read, daemon=True, name="deepface-grpc-reader").start()
        while not over.is_set() and (work := answers.get()) is not None:
            yield work.result()

    def _stream_answer(self, request: Any, context: Any) -> Any:
        answer = messages.StreamResponse(id=request.id)
        kind = request.WhichOneof("request")
        try:
            if kind is None:
                raise Refused(400, "the request is empty: fill in one of its calls")
            with self._asked(_BY_PATH[f"/{kind}"], request_id_of(None)) as route:
                answer.result.update(self._perform(route, getattr(request, kind), context))
        except Refused as refused:
            answer.error.code = _code(refused).value[0]
            answer.error.message = refused.text
        return answer

    def _answer(self, path: str, request: Any, context: Any) -> Any:
        metadata = _metadata(context)
        request_id = request_id_of(metadata.get("x-request-id"))
        context.set_trailing_metadata((("x-request-id", request_id),))
        try:
            with self._asked(_BY_PATH[path], request_id) as route:
                self._tokens.check(metadata.get("authorization"))
                result = self._perform(route, request, context)
        except Refused as refused:
            _abort(context, refused)
        answer = messages.DeepFaceResponse()
        answer.result.update(result)
        return answer

    Represent = partialmethod(_answer, "/represent")
    Verify = partialmethod(_answer, "/verify")
    Analyze = partialmethod(_answer, "/analyze")
    Register = partialmethod(_answer, "/register")
    Search = partialmethod(_answer, "/search")
    BuildIndex = partialmethod(_answer, "/build/index")

    @contextmanager
    def _asked(self, route: Route, request_id: str) -> Iterator[Route]:
        """A request: what goes wrong within is raised as ``Refused``, and the metrics know."""
        begun, code = time.perf_counter(), grpc.StatusCode.OK
        try:
            yield route
        except Exception as error:
            refused = refusal(error, route.doing, request_id)
            code = _code(refused)
            raise refused from None
        finally:
            seconds = time.perf_counter() - begun
            self._service.metrics.answered(f"grpc {route.path}", code.name, seconds)
            get_logger().info(
                "%s grpc %s %s %.0f ms", request_id, route.path, code.name, seconds * 1000
            )

    def _perform(self, route: Route, request: Any, context: Any) -> Answer:
        with self._service.call(context.time_remaining()) as call:
            if not context.add_callback(call.cancel):
                call.cancel()
            answer: Answer = exact(route.perform(self._service, call, _body(request)))
            return answer


def _body(request: Any) -> Body:
    """The fields that were set; what is absent has its default, as in REST."""
    fields: dict[str, Any] = {}
    for descriptor, value in request.ListFields():
        if descriptor.message_type is not None:
            value = _picture(value)
        elif not isinstance(value, (str, bool, int)):
            value = list(value)
        fields[descriptor.name] = value
    for descriptor in request.DESCRIPTOR.fields:
        if descriptor.message_type is not None and descriptor.name not in fields:
            raise PictureRefused(f"image is not set in the request: {descriptor.name}")
    return Body(fields)


def _picture(image: Any) -> Any:
    source = image.WhichOneof("source")
    if source is None:
        raise PictureRefused("image is not set in the request")
    if source == "content":
        return Upload("", image.content)
    if not image.path:
        raise PictureRefused("empty image path passed")
    return image.path


def _metadata(context: Any) -> dict[str, str]:
    return {key: value for key, value in context.invocation_metadata() if isinstance(value, str)}


def _code(refused: Refused) -> Any:
    if refused.code == "not_configured":
        return grpc.StatusCode.FAILED_PRECONDITION
    return _CODES[refused.status]


def _abort(context: Any, refused: Refused) -> None:
    context.abort(_code(refused), refused.text)


def _put(answers: queue.Queue[Any], entry: Any, over: threading.Event) -> bool:
    """Wait for room, as long as the stream lives."""
    while not over.is_set():
        with suppress(queue.Full):
            answers.put(entry, timeout=1)
            return True
    return False


def create_server(port: int = 50051, max_workers: int | None = None) -> tuple[grpc.Server, int]:
    """A server of its own, told by the environment; see :class:`Settings`.

    Args:
        port: where it listens, on all addresses as published; 0 for a free one.
        max_workers: most calls at a time; the default is ``DEEPFACE_SERVER_MAX_REQUESTS``.

    Returns:
        The server, not yet started, and its port.
    """
    given: dict[str, Any] = {"grpc_port": port, "max_requests": max_workers, "host": "[::]"}
    service = Service(Settings.load(**given))
    threading.Thread(target=service.prepare, daemon=True).start()
    return _server(service)


def serve_beside(service: Service) -> grpc.Server:
    """Serve gRPC with the functions and the queue of a REST server."""
    return _started(*_server(service))


def serve() -> None:
    """Serve until interrupted: ``python -m deepface.api.src.grpc_server``."""
    _started(*create_server(Settings.load().grpc_port or 50051)).wait_for_termination()


def _started(server: grpc.Server, port: int) -> grpc.Server:
    server.start()
    get_logger().info("gRPC on port %d", port)
    return server


def _server(service: Service) -> tuple[grpc.Server, int]:
    settings = service.settings
    server = grpc.server(
        ThreadPoolExecutor(settings.max_requests, "deepface-grpc"),
        maximum_concurrent_rpcs=settings.max_requests,
        options=[
            ("grpc.max_receive_message_length", _MESSAGE),
            ("grpc.max_send_message_length", _MESSAGE),
            ("grpc.so_reuseport", 0),
        ],
    )
    messages.add_DeepFaceServiceServicer_to_server(Calls(service), server)
    checks = health.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(checks, server)
    name = messages.SERVICE.full_name

    def tell(status: Any) -> None:
        for checked in ("", name):
            checks.set(checked, status)

    tell(health_pb2.HealthCheckResponse.NOT_SERVING)
    service.when_ready(partial(tell, health_pb2.HealthCheckResponse.SERVING))
    names = (name, health.SERVICE_NAME, reflection.SERVICE_NAME)
    reflection.enable_server_reflection(names, server)
    port = server.add_insecure_port(f"{settings.host}:{settings.grpc_port}")
    return server, port
