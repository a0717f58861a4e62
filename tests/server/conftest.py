"""A server with the test pictures as its root folder, and a client of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np
import pytest
import uvicorn
from fastapi.testclient import TestClient

from deepface.server.app import create_app
from deepface.server.command import configuration
from deepface.server.service import Service
from deepface.server.settings import Settings
from tests.data import data
from tests.stand_ins import ColorModel, cached

#: Without certificates of others: to read them takes longer than most answers.
get, post = partial(httpx.get, verify=False), partial(httpx.post, verify=False)


@contextmanager
def client_of(**given: Any) -> Iterator[TestClient]:
    """A client of a server that is told this."""
    with TestClient(create_app(Settings.load(**given)), raise_server_exceptions=False) as client:
        yield client


@contextmanager
def live(**given: Any) -> Iterator[tuple[str, Service]]:
    """A server on a socket of its own: its address, and the service behind it."""
    service = Service(Settings.load(port=0, **given))
    service.prepare()
    server = uvicorn.Server(configuration(service))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}", service
    finally:
        server.should_exit = True
        thread.join(60)
        service.close()


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a.jpg, b.jpg (one person), c.jpg (another), noface.png and text.jpg."""
    folder = tmp_path_factory.mktemp("pictures")
    for name, person, number in (
        ("a.jpg", "Abel_Pacheco", 1),
        ("b.jpg", "Abel_Pacheco", 2),
        ("c.jpg", "Anders_Fogh_Rasmussen", 1),
    ):
        lfw = data("images", "lfw")
        (found,) = lfw.rglob(f"{person}_{number:04}.jpg")
        (folder / name).write_bytes(found.read_bytes())
    cv2.imwrite(str(folder / "noface.png"), np.full((200, 200, 3), 128, np.uint8))
    (folder / "text.jpg").write_text("no picture")
    return folder


@pytest.fixture
def colors() -> Iterator[ColorModel]:
    """The model ``colors``, without weights."""
    model = ColorModel()
    with cached("facial_recognition", "colors", model):
        yield model


@pytest.fixture
def client(
    pictures: Path, tmp_path: Path, colors: ColorModel, monkeypatch: pytest.MonkeyPatch
) -> Iterator[TestClient]:
    """A client of a server that opens the pictures by path; its database is empty."""
    monkeypatch.setenv("DEEPFACE_SQLITE_PATH", str(tmp_path / "faces.db"))
    monkeypatch.delenv("DEEPFACE_POSTGRES_URI", raising=False)
    with client_of(root=pictures, galleries={"people": pictures}) as made:
        yield made
