"""The messages and the client's stub, made from ``deepface.binpb`` when this is imported.

Generated modules would work with the versions of protobuf and grpcio that generated them only.
``deepface.binpb`` is what ``deepface.proto`` says, for machines::

    python -m grpc_tools.protoc -I. --descriptor_set_out=deepface/server/grpc/deepface.binpb \\
        deepface/server/grpc/deepface.proto
"""

from __future__ import annotations

from importlib.resources import files
from typing import Any

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, struct_pb2
from google.protobuf.message_factory import GetMessageClass

assert struct_pb2.DESCRIPTOR  # the file below imports it
_FILES = descriptor_pb2.FileDescriptorSet.FromString(
    files(__package__).joinpath("deepface.binpb").read_bytes()
)
_POOL = descriptor_pool.Default()
for _file in _FILES.file:
    _POOL.AddSerializedFile(_file.SerializeToString())

SERVICE = _POOL.FindServiceByName("deepface.DeepFaceService")


def __getattr__(name: str) -> Any:
    """The class of a message, e.g. ``RepresentRequest``."""
    try:
        return GetMessageClass(_POOL.FindMessageTypeByName(f"deepface.{name}"))
    except KeyError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None


class DeepFaceServiceStub:
    """A client: a method per call of the service, over a channel."""

    def __init__(self, channel: grpc.Channel) -> None:
        for method in SERVICE.methods:
            make = channel.stream_stream if method.client_streaming else channel.unary_unary
            call = make(
                f"/{SERVICE.full_name}/{method.name}",
                request_serializer=GetMessageClass(method.input_type).SerializeToString,
                response_deserializer=GetMessageClass(method.output_type).FromString,
            )
            setattr(self, method.name, call)


def add_DeepFaceServiceServicer_to_server(  # noqa: N802 - a published name
    servicer: Any, server: grpc.Server
) -> None:
    """Let a server answer the service's calls by the methods of ``servicer``."""
    handlers = {}
    for method in SERVICE.methods:
        kind = "stream_stream" if method.client_streaming else "unary_unary"
        handlers[method.name] = getattr(grpc, f"{kind}_rpc_method_handler")(
            getattr(servicer, method.name),
            request_deserializer=GetMessageClass(method.input_type).FromString,
            response_serializer=GetMessageClass(method.output_type).SerializeToString,
        )
    handler = grpc.method_handlers_generic_handler(SERVICE.full_name, handlers)
    server.add_generic_rpc_handlers((handler,))
