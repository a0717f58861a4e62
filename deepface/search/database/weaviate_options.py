"""How a Weaviate server is reached: the published options and environment variables."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import weaviate
from weaviate.classes.config import Configure
from weaviate.classes.init import AdditionalConfig, Auth, Timeout

from deepface import __version__
from deepface.arguments import means_yes
from deepface.errors import DatabaseError
from deepface.logger import get_logger

_CLOUD = (".weaviate.cloud", ".weaviate.network")
_kinds = Configure.VectorIndex.Quantizer
#: The version of the server that knows a kind of compression, and what asks for it.
QUANTIZERS: dict[str, tuple[str, Callable[[], Any]]] = {
    "rq": ("1.32", partial(_kinds.rq, bits=8)),
    "rq-8": ("1.32", partial(_kinds.rq, bits=8)),
    "rq-1": ("1.33", partial(_kinds.rq, bits=1)),
    "bq": ("1.24", _kinds.bq),
    "sq": ("1.26", _kinds.sq),
    "pq": ("1.23", _kinds.pq),
}
_LOCAL = ("localhost", "127.0.0.1", "::1")


@dataclass
class WeaviateOptions:
    """What ``connection_details`` of Weaviate may hold, as published.

    ``timeout`` are seconds: a number, ``[init, query, insert]``, such a text, or a dict.
    ``auth`` is a dict of ``api_key``; of ``access_token``, ``expires_in``, ``refresh_token``; of
    ``client_secret``, ``scope``; or of ``username``, ``password``, ``scope``.
    """

    url: str | None = None
    deployment: str | None = None
    api_key: str | None = None
    auth: Any = None
    headers: dict[str, str] | None = None
    http_host: str | None = None
    http_port: int | None = None
    http_secure: bool | None = None
    grpc_host: str | None = None
    grpc_port: int | None = None
    grpc_secure: bool | None = None
    skip_init_checks: bool | None = None
    timeout: Any = None
    proxies: Any = None
    trust_env: bool = False
    connection_config: Any = None
    grpc_config: Any = None
    additional_config: Any = None
    tenant: str | None = None
    quantization: str = "none"

    @classmethod
    def of(cls, details: Any) -> WeaviateOptions:
        """From a URL, a dict or its JSON text, and the variables.

        Raises:
            DatabaseError: there are others, or values that cannot be.
        """
        if not isinstance(details, dict):
            details = {"url": str(details)}
        known = [field.name for field in fields(cls)]
        if unknown := sorted(set(details) - set(known)):
            raise DatabaseError(
                f"Unknown Weaviate connection option(s): {unknown}. Valid options are: {known}"
            )
        found = cls(**details)
        prefix = "DEEPFACE_WEAVIATE_"
        for name, variable, kind in (
            ("api_key", "WEAVIATE_API_KEY", str),
            ("grpc_port", f"{prefix}GRPC_PORT", int),
            ("timeout", f"{prefix}TIMEOUT", str),
            ("skip_init_checks", f"{prefix}SKIP_INIT_CHECKS", means_yes),
            ("tenant", f"{prefix}TENANT", str),
            ("quantization", f"{prefix}QUANTIZATION", str),
        ):
            given = os.environ.get(variable)
            if given and name not in details and not (name == "api_key" and found.auth):
                setattr(found, name, kind(given))
        found._check()
        return found

    def _check(self) -> None:
        if self.deployment not in (None, "custom", "cloud", "local"):
            raise DatabaseError(
                f"deployment must be 'custom', 'cloud' or 'local', not {self.deployment!r}"
            )
        if self.api_key and self.auth:
            raise DatabaseError("pass one of api_key and auth")
        if self.tenant is not None and not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", self.tenant):
            raise DatabaseError("tenant must be 1 to 64 of the characters A-Z a-z 0-9 _ -")
        known = ("none", *QUANTIZERS)
        if self.quantization not in known:
            raise DatabaseError(
                f"quantization must be one of {', '.join(known)}, not {self.quantization!r}"
            )

    def credentials(self) -> Any:
        """As the client takes them; ``None`` for nobody."""
        if self.api_key:
            return Auth.api_key(self.api_key)
        if not isinstance(self.auth, dict):
            return self.auth
        for key, make in (
            ("api_key", Auth.api_key),
            ("access_token", Auth.bearer_token),
            ("client_secret", Auth.client_credentials),
            ("username", Auth.client_password),
        ):
            if key in self.auth:
                return make(**self.auth)
        raise DatabaseError("auth needs api_key, access_token, client_secret or username")

    def seconds(self) -> Timeout:
        """How long to wait for the server."""
        given = self.timeout
        try:
            if isinstance(given, str):
                numbers = [float(part) for part in given.split(",")]
                given = numbers if len(numbers) > 1 else numbers[0]
            if given is None:
                return Timeout()
            if isinstance(given, dict):
                return Timeout(**given)
            if isinstance(given, (int, float)):
                return Timeout(query=given, insert=given)
            init, query, insert = given
            return Timeout(init=init, query=query, insert=insert)
        except (TypeError, ValueError) as error:
            raise DatabaseError(
                "timeout must be seconds, [init, query, insert] or a dict of these"
            ) from error

    def config(self) -> AdditionalConfig:
        """The other options, as the client takes them."""
        values = {"connection": self.connection_config, "grpc_config": self.grpc_config}
        given = {name: value for name, value in values.items() if value is not None}
        return AdditionalConfig(  # old clients lack grpc_config
            timeout=self.seconds(), proxies=self.proxies, trust_env=self.trust_env, **given
        )


def connected(options: WeaviateOptions) -> Any:
    """A client that has reached its server."""
    url = options.url or ("http://localhost:8080" if options.deployment == "local" else "")
    parts = urlsplit(url if "://" in url else f"//{url}")
    host = options.http_host or parts.hostname
    if not host or parts.scheme not in ("", "http", "https"):
        raise DatabaseError("Weaviate's address is like http://host:8080: pass it as url")
    credentials = options.credentials()
    same: dict[str, Any] = {
        "auth_credentials": credentials,
        "headers": {
            "X-Weaviate-Client-Integration": f"deepface/{__version__}",
            **(options.headers or {}),
        },
        "additional_config": options.additional_config or options.config(),
        "skip_init_checks": bool(options.skip_init_checks),
    }
    if options.deployment == "cloud" or (options.deployment is None and host.endswith(_CLOUD)):
        if credentials is None:
            raise DatabaseError("Weaviate Cloud needs api_key or auth")
        return weaviate.connect_to_weaviate_cloud(host, **same)
    secure = parts.scheme == "https" if options.http_secure is None else options.http_secure
    if credentials is not None and not secure and host not in _LOCAL:
        get_logger().warning("the credentials for Weaviate go to %s without encryption", host)
    default = (443 if secure else 80) if parts.scheme else 8080
    return weaviate.connect_to_custom(
        http_host=host,
        http_port=options.http_port or parts.port or default,
        http_secure=secure,
        grpc_host=options.grpc_host or host,
        grpc_port=options.grpc_port or 50051,
        grpc_secure=secure if options.grpc_secure is None else options.grpc_secure,
        **same,
    )
