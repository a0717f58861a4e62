"""gRPC: the published service and messages, a stream, health and reflection."""

from deepface.server.grpc.server import create_server, serve, serve_beside

__all__ = ["create_server", "serve", "serve_beside"]
