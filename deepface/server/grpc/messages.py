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
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, struct_pb2

assert struct_pb2.DESCRIPTOR  # the file below imports it
_FILES = descriptor_pb2.FileDescriptorSet.FromString(
    files(__package__).joinpath("deepface.binpb").read_bytes()
)
_POOL = descriptor_pool.Default()
for _file in _FILES.file:
    _POOL.AddSerializedFile(_file.SerializeToString())

SERVICE = _POOL.FindServiceByName("deepface.DeepFaceService")


def message(name: str) -> Any:
    """The class of a message."""
    descriptor = _POOL.FindMessageTypeByName(f"deepface.{name}")
    return message_factory.GetMessageClass(descriptor)


Image = message("Image")
RepresentRequest = message("RepresentRequest")
VerifyRequest = message("VerifyRequest")
AnalyzeRequest = message("AnalyzeRequest")
RegisterRequest = message("RegisterRequest")
SearchRequest = message("SearchRequest")
BuildIndexRequest = message("BuildIndexRequest")
DeepFaceResponse = message("DeepFaceResponse")
StreamRequest = message("StreamRequest")
StreamResponse = message("StreamResponse")
Failure = message("Failure")


class DeepFaceServiceStub:
    """A client: a method per call of the service, over a channel."""

    def __init__(self, channel: grpc.Channel) -> None:
        for method in SERVICE.methods:
            streams = method.client_streaming
            make = channel.stream_stream if streams else channel.unary_unary
            call = make(
                f"/{SERVICE.full_name}/{method.name}",
                request_serializer=message(method.input_type.name).SerializeToString,
                response_deserializer=message(method.output_type.name).FromString,
            )
            setattr(self, method.name, call)


def add_DeepFaceServiceServicer_to_server(  # noqa: N802 - a published name
    servicer: Any, server: grpc.Server
) -> None:
    """Let a server answer the service's calls by the methods of ``servicer``."""
    handlers = {}
    for method in SERVICE.methods:
        streams = method.client_streaming
        make = (
            grpc.stream_stream_rpc_method_handler
            if streams
            else grpc.unary_unary_rpc_method_handler
        )
        handlers[method.name] = make(
            getattr(servicer, method.name),
            request_deserializer=message(method.input_type.name).FromString,
            response_serializer=message(method.output_type.name).SerializeToString,
        )
    handler = grpc.method_handlers_generic_handler(SERVICE.full_name, handlers)
    server.add_generic_rpc_handlers((handler,))
