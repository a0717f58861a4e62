"""The OpenAPI description: what cannot be told from handlers that read bodies of three kinds."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

_REFUSALS = {
    400: "The request or a picture is wrong; the text says which and what.",
    401: "The bearer token is missing or unknown.",
    408: "The body did not arrive in time.",
    413: "More bytes, pixels, pictures or faces than the server takes.",
    429: "The queue is full; `Retry-After` says when to come again.",
    500: "A fault of the server, or no database is set up.",
    501: "An optional package is not installed on the server.",
    503: "The database or a model's weights cannot be used now, or the server is stopping.",
    504: "The deadline has passed.",
}
_PICTURES = ("img", "img1", "img2")
_REFUSAL = {
    "type": "object",
    "properties": {
        "error": {"type": "string"},
        "exception": {"type": "string", "description": "instead of `error`: no usable picture"},
        "message": {"type": "string", "description": "instead of `error`: tokens"},
        "code": {"type": "string"},
        "request_id": {"type": "string"},
    },
    "required": ["code", "request_id"],
}
_UPLOAD = {"type": "string", "format": "binary"}


def describe(app: FastAPI, routes: Iterable[Any]) -> None:
    """Let ``app.openapi`` tell of these routes, too."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            schema = get_openapi(title=app.title, version=app.version, routes=app.routes)
            for route in routes:
                operation = schema["paths"][route.path][route.method.lower()]
                _complete(operation, route.parameters, in_body=route.method == "POST")
            for path in ("/models", "/metrics"):
                _refusals(schema["paths"][path]["get"], (401,))
            metrics = schema["paths"]["/metrics"]["get"]["responses"]["200"]
            metrics["content"] = {"text/plain": {"schema": {"type": "string"}}}
            ready = schema["paths"]["/readyz"]["get"]["responses"]
            ready["503"] = {
                "description": "Not yet, or not any more.",
                "content": {"application/json": {"schema": {"type": "object"}}},
            }
            components = schema.setdefault("components", {})
            components["schemas"] = {"Refusal": _REFUSAL}
            components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
            schema["security"] = [{}, {"token": []}]
            app.openapi_schema = schema
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def _complete(operation: dict[str, Any], parameters: type[Any], in_body: bool) -> None:
    schema = parameters.model_json_schema()
    required = [name for name in _PICTURES if name in schema["properties"]]
    schema["required"] = [*schema.get("required", ()), *required]
    form = {**schema, "properties": dict(schema["properties"])}
    for name in required:
        form["properties"][name] = {
            "anyOf": [_UPLOAD, {"type": "array", "items": _UPLOAD}, {"type": "string"}]
        }
    operation["summary"] = form["title"]
    operation["description"] = schema.pop("description")
    operation["operationId"] = form["title"]
    operation["parameters"] = [
        {
            "name": "X-Request-Timeout",
            "in": "header",
            "required": False,
            "description": "Seconds after which the answer is not wanted any more.",
            "schema": {"type": "number", "minimum": 0},
        }
    ]
    if in_body:
        operation["requestBody"] = {
            "required": True,
            "content": {
                "application/json": {"schema": schema},
                "multipart/form-data": {"schema": form},
                "application/x-www-form-urlencoded": {"schema": schema},
            },
        }
    else:
        operation["parameters"] += [
            {"name": name, "in": "query", "required": False, "schema": field}
            for name, field in schema["properties"].items()
        ]
    operation["responses"] = {
        "200": {
            "description": "The answer.",
            "content": {
                "application/json": {"schema": {"type": "object"}},
                "application/msgpack": {"schema": _UPLOAD},
            },
        }
    }
    _refusals(operation, _REFUSALS)


def _refusals(operation: dict[str, Any], statuses: Iterable[int]) -> None:
    schema = {"application/json": {"schema": {"$ref": "#/components/schemas/Refusal"}}}
    for status in statuses:
        operation["responses"][str(status)] = {"description": _REFUSALS[status], "content": schema}
