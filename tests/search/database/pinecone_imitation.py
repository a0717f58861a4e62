"""Pinecone's HTTP interface on loopback, for its official client."""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np

KEY = "the-right-key"


class Server(ThreadingHTTPServer):
    """Indexes in memory, by name: how they were made, and vectors by id."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.made: dict[str, dict[str, Any]] = {}
        self.vectors: dict[str, dict[str, dict[str, Any]]] = {}

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def index(self, name: str) -> dict[str, Any]:
        return {
            "name": name,
            "host": f"{self.address}/data/{name}",
            "status": {"ready": True, "state": "Ready"},
            "deletion_protection": "disabled",
            **self.made[name],
        }


class _Refused(Exception):
    """A status, and what is said."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # an answer in one piece, else the client's kernel waits for the next
    server: Server

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        try:
            if self.headers["Api-Key"] != KEY:
                raise _Refused(401, "Invalid API Key")
            if len(body) > 2 << 20 or len(self.path) > 8192:
                raise _Refused(400, "too large")
            found, status = self._found(json.loads(body or b"{}")), 200
        except _Refused as refused:
            status, text = refused.args
            found = {"error": {"code": "REFUSED", "message": text}, "status": status}
        answer = json.dumps(found).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_GET = do_POST = do_DELETE = _answer  # noqa: N815

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""

    def _found(self, body: dict[str, Any]) -> dict[str, Any]:
        address = urlsplit(self.path)
        asked = parse_qs(address.query)
        parts = address.path.strip("/").split("/")
        server = self.server
        if parts == ["indexes"] and self.command == "GET":
            return {"indexes": [server.index(name) for name in server.made]}
        if parts == ["indexes"]:
            name = body["name"]
            if not name.replace("-", "").isalnum() or name != name.lower() or len(name) > 45:
                raise _Refused(400, "Name must consist of lower case alphanumeric characters or -")
            server.made[name] = {"schema": body["schema"], "deployment": body["deployment"]}
            server.made[name]["deployment"]["environment"] = "x"
            server.vectors[name] = {}
            return server.index(name)
        name = parts[1]
        if name not in server.made:
            raise _Refused(404, f"Resource {name} not found")
        if parts[0] == "indexes":
            return server.index(name)
        vectors = server.vectors[name]
        return getattr(self, f"_{parts[-1]}")(name, vectors, body, asked)  # type: ignore[no-any-return]

    def _upsert(self, name: str, vectors: Any, body: Any, asked: Any) -> dict[str, Any]:
        (made,) = self.server.made[name]["schema"]["fields"].values()
        for vector in body["vectors"]:
            if len(vector["values"]) != made["dimension"] or len(vector["id"]) > 512:
                raise _Refused(400, "Vector dimension does not match")
            values = np.array(vector["values"], dtype=np.float32).tolist()
            vectors[vector["id"]] = {**vector, "values": values}
        return {"upsertedCount": len(body["vectors"])}

    def _list(self, name: str, vectors: Any, body: Any, asked: Any) -> dict[str, Any]:
        ids = sorted(id_ for id_ in vectors if id_.startswith(asked.get("prefix", [""])[0]))
        start, limit = (
            int(asked.get("paginationToken", ["0"])[0]),
            int(asked.get("limit", [100])[0]),
        )
        token = {"next": str(start + limit)} if start + limit < len(ids) else None
        page = [{"id": id_} for id_ in ids[start : start + limit]]
        return {"vectors": page, "namespace": "", "usage": {"readUnits": 1}, "pagination": token}

    def _fetch(self, name: str, vectors: Any, body: Any, asked: Any) -> dict[str, Any]:
        found = {id_: vectors[id_] for id_ in asked["ids"] if id_ in vectors}
        return {"vectors": found, "namespace": "", "usage": {"readUnits": 1}}

    def _fetch_by_metadata(self, name: str, vectors: Any, body: Any, asked: Any) -> dict[str, Any]:
        ((key, condition),) = body["filter"].items()
        found = {
            id_: vector
            for id_, vector in vectors.items()
            if vector["metadata"].get(key) in condition["$in"]
        }
        assert len(found) <= body["limit"]
        return {"vectors": found, "namespace": "", "usage": {"readUnits": 1}}

    def _delete(self, name: str, vectors: Any, body: Any, asked: Any) -> dict[str, Any]:
        for id_ in body["ids"]:
            vectors.pop(id_, None)
        return {}

    def _query(self, name: str, vectors: Any, body: Any, asked: Any) -> dict[str, Any]:
        (made,) = self.server.made[name]["schema"]["fields"].values()
        query, found = np.array(body["vector"]), []
        for id_, vector in vectors.items():
            values = np.array(vector["values"])
            cosine = query @ values / np.linalg.norm(query) / np.linalg.norm(values)
            distance = float(((query - values) ** 2).sum())
            found.append((1 - cosine if made["metric"] == "cosine" else distance, id_))
        matches = [{"id": id_, "score": score} for score, id_ in sorted(found)[: body["topK"]]]
        return {"matches": matches, "namespace": "", "usage": {"readUnits": 1}}
