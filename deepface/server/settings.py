"""What a server can be told: fields here, options of ``deepface serve``, environment variables.

A field ``max_body`` is the option ``--max-body`` and the variable ``DEEPFACE_SERVER_MAX_BODY``;
some have a variable that the published server knows, too. Limits hold for what comes from outside
and are checked while reading.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, cast

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, NonNegativeFloat, PositiveInt

from deepface.errors import UnimplementedError
from deepface.runtime.execution.device import check_device_name
from deepface.search.database.registry import DEFAULT, known_databases

_PREFIX = "DEEPFACE_SERVER_"
#: Variables of the published server.
_PUBLISHED = {
    "database_type": "DEEPFACE_DATABASE_TYPE",
    "connection_details": "DEEPFACE_CONNECTION_DETAILS",
    "recognition_models": "DEEPFACE_FACE_RECOGNITION_MODELS",
    "detection_models": "DEEPFACE_FACE_DETECTION_MODELS",
    "grpc_port": "DEEPFACE_GRPC_PORT",
}


def _split(value: Any) -> Any:
    """A comma list in text, as a tuple without blanks."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


def _folders(value: Any) -> Any:
    """``name=folder`` texts as a dict."""
    value = _split(value)
    if isinstance(value, Mapping):
        return value
    pairs = [text.partition("=") for text in value]
    if not all(equals and name for name, equals, _ in pairs):
        raise ValueError("write each as name=folder")
    return {name: folder for name, _, folder in pairs}


Lower = Annotated[str, BeforeValidator(lambda value: str(value).lower())]
Names = Annotated[tuple[str, ...], BeforeValidator(_split)]
Folders = Annotated[dict[str, Path], BeforeValidator(_folders)]


class Settings(BaseModel):
    """All that a server can be told."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str = Field("127.0.0.1", description="Address to listen on; 0.0.0.0 for all.")
    port: int = Field(5005, ge=0, le=65535, description="Port of the REST service.")
    grpc_port: int | None = Field(None, ge=0, le=65535, description="Serve gRPC, too, on it.")
    tokens: Names = Field((), description="Bearer tokens that are let in; none lets all in.")
    cors_origins: Names = Field((), description="Origins that browsers may call from; * for all.")
    root: Path | None = Field(None, description="Folder whose pictures may be named by path.")
    urls: bool = Field(False, description="Fetch pictures by URL, from public addresses.")
    galleries: Folders = Field(
        default_factory=dict, description="Folders for /find, as name=folder."
    )
    database_type: Lower = Field(DEFAULT, description="Database of registered faces.")
    connection_details: str | None = Field(None, description="Where that database is.")
    database_connections: PositiveInt = Field(32, description="Most connections to it at a time.")
    recognition_models: Names = Field((), description="Recognition models to build at start.")
    detection_models: Names = Field((), description="Detectors to build at start.")
    attribute_models: Names = Field((), description="Attribute models to build at start.")
    devices: Names = Field((), description="A worker for each, e.g. cuda:0,cuda:1.")
    batch_size: PositiveInt = Field(32, description="Most pictures per batch.")
    max_wait_ms: NonNegativeFloat = Field(
        5, description="Most time that a picture waits for others, where others are on the way."
    )
    max_queue: PositiveInt = Field(512, description="Most pictures that wait.")
    max_requests: PositiveInt = Field(256, description="Most requests at a time.")
    timeout: float = Field(60, gt=0, description="Seconds for a request that asks for no less.")
    body_timeout: float = Field(30, gt=0, description="Seconds for a request's head, and its body.")
    drain: float = Field(30, gt=0, description="Seconds to finish requests when stopped.")
    max_body: PositiveInt = Field(64 << 20, description="Most bytes of a request.")
    max_bodies: PositiveInt = Field(1 << 30, description="Most bytes of all requests together.")
    max_file: PositiveInt = Field(32 << 20, description="Most bytes of an encoded picture.")
    max_pixels: PositiveInt = Field(64_000_000, description="Most pixels of a picture.")
    max_items: PositiveInt = Field(64, description="Most pictures per request.")
    max_faces: PositiveInt = Field(1000, description="Most faces per picture.")

    @classmethod
    def load(cls, **given: Any) -> Settings:
        """What is ``given``, else the environment, else the defaults.

        Raises:
            ValueError: a value that cannot be; pydantic's message names the field.
            UnimplementedError: an unknown database, device or model.
        """
        values: dict[str, Any] = {}
        for name in cls.model_fields:
            for variable in (variable_of(name), _PUBLISHED.get(name, "")):
                if os.environ.get(variable):
                    values.setdefault(name, os.environ[variable])
        # A published token is one token whatever it is made of.
        if token := os.environ.get("DEEPFACE_AUTH_TOKEN"):
            values["tokens"] = (*_split(values.get("tokens", ())), token)
        settings = cls(**values | {k: v for k, v in given.items() if v is not None})
        settings._check_names()
        return settings

    def _check_names(self) -> None:
        from deepface.modeling import TASKS

        if self.database_type not in known_databases():
            raise UnimplementedError(f"Unsupported database type: {self.database_type}")
        for task, names in self.models.items():
            for name in names:
                TASKS[task].check(name)
        for device in self.devices:
            check_device_name(device)
        for name, folder in self.galleries.items():
            if not folder.is_dir():
                raise ValueError(f"the gallery {name} is no folder: {folder}")
        if self.root is not None and not self.root.is_dir():
            raise ValueError(f"root is no folder: {self.root}")

    @property
    def models(self) -> dict[str, tuple[str, ...]]:
        """What to build at start, by task."""
        return {
            "facial_recognition": self.recognition_models,
            "face_detector": self.detection_models,
            "facial_attribute": self.attribute_models,
        }

    @property
    def workers(self) -> tuple[str | None, ...]:
        """A device per worker."""
        return cast("tuple[str | None, ...]", self.devices) or (None,)


def variable_of(field: str) -> str:
    """The environment variable of a field."""
    return _PREFIX + field.upper()
