"""``deepface serve``: an option for each field of the settings, and the process around the app."""

from __future__ import annotations

import gc
import socket
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import click

from deepface.errors import MissingPackageError
from deepface.logger import get_logger
from deepface.runtime.sigterm import sigterm_interrupts

try:
    import uvicorn
    from dotenv import find_dotenv, load_dotenv

    from deepface.server.app import create_app
    from deepface.server.connections import PatientProtocol
    from deepface.server.service import Service
    from deepface.server.settings import Settings, variable_of
except ImportError as error:
    raise MissingPackageError(
        f'the server needs {error.name}: pip install "deepface[server]"'
    ) from error


def run(settings: Settings) -> None:
    """Serve until SIGTERM or Ctrl-C, then finish what is under way.

    Raises:
        MissingPackageError: gRPC is wanted, and its extra is not installed.
    """
    service = Service(settings)
    grpc_server = None
    if settings.grpc_port is not None:
        from deepface.server.grpc import serve_beside

        grpc_server = serve_beside(service)
    service.when_ready(_spare_collections)
    threading.Thread(target=service.prepare, daemon=True).start()
    get_logger().info("REST on http://%s:%d", settings.host, settings.port)
    server = _Server(configuration(service))
    if grpc_server is not None:
        server.when_stopped = partial(grpc_server.stop, settings.drain)
    try:
        server.run()
    finally:
        if grpc_server is not None:
            grpc_server.stop(settings.drain).wait()  # the shorter time of the two holds
        service.close()


class _Server(uvicorn.Server):
    """What else there is to stop is told when it begins to: REST and gRPC drain together."""

    when_stopped: Callable[[], object] = staticmethod(lambda: None)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """As that of the base class."""
        self.when_stopped()
        await super().shutdown(sockets)


def _spare_collections() -> None:
    """Collections of garbage keep everybody waiting: let them pass over what is there for good."""
    gc.collect()
    gc.freeze()


def configuration(service: Service) -> uvicorn.Config:
    """How uvicorn serves it."""
    settings = service.settings
    return uvicorn.Config(
        create_app(service=service),
        host=settings.host,
        port=settings.port,
        http=PatientProtocol.within(settings.body_timeout),
        ws="none",
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=int(settings.drain),
    )


def _options() -> list[click.Parameter]:
    """An option per field; what is not given is not passed on."""
    options: list[click.Parameter] = []
    for name, field in Settings.model_fields.items():
        default = field.get_default(call_default_factory=True, validated_data={})
        shown = "" if default in (None, (), {}, False) else f"default {default}; "
        help_ = f"{field.description} ({shown}{variable_of(name)})"
        flag = field.annotation is bool
        options.append(
            click.Option([f"--{name.replace('_', '-')}"], help=help_, default=None, is_flag=flag)
        )
    return options


def _serve(**given: Any) -> None:
    load_dotenv(find_dotenv(usecwd=True))
    run(Settings.load(**given))


serve = click.Command(
    "serve",
    params=_options(),
    callback=_serve,
    help="Serve REST, and gRPC with --grpc-port. Options are environment variables, too; lists are "
    "separated by commas.",
)


def main() -> None:
    """``python -m deepface.server``."""
    with sigterm_interrupts():
        serve.main(prog_name="python -m deepface.server")
