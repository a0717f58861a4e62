"""The page to try the service: files that are served as they are, and nothing from other hosts."""

from __future__ import annotations

from importlib.resources import files

from fastapi import FastAPI
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from deepface import __version__

_TYPES = {"html": "text/html", "css": "text/css", "js": "text/javascript"}
_PARTS = ("page.css", "page.js", "docs.js")
_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob: data:; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


def add_page(app: FastAPI) -> None:
    """Serve it at ``/``, with its parts below ``/page`` and the list of routes at ``/docs``."""
    app.add_api_route("/", lambda: _part("index.html"), include_in_schema=False)
    app.add_api_route("/docs", lambda: _part("docs.html"), include_in_schema=False)
    app.add_api_route("/page/{name}", _asset, include_in_schema=False)


def _asset(name: str) -> Response:
    if name not in _PARTS:
        raise HTTPException(404)
    return _part(name)


def _part(name: str) -> Response:
    text = files(__package__).joinpath(name).read_text("utf-8")
    text = text.replace("{version}", __version__) if name == "index.html" else text
    return Response(text, media_type=_TYPES[name.rpartition(".")[2]], headers=_HEADERS)
