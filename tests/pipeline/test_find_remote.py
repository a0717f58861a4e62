"""``find`` in stores: in memory, in S3 (an imitation of its server), on an FTP server."""

from __future__ import annotations

import logging
import os
import secrets
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from deepface.errors import DeepFaceError, EmptyDatasource, PathNotFound
from deepface.search.folder import datastore
from tests.database_servers import free_port, running
from tests.pipeline.test_find import StandIn, find, model, names, picture

__all__ = ["model"]

Store = Any
NAMES = [*(f"{number}.png" for number in range(4)), "sub/near.png"]


def content(number: int) -> bytes:
    return cv2.imencode(".png", picture(number))[1].tobytes()


class Memory:
    """A store of fsspec's own."""

    def __init__(self) -> None:
        import fsspec

        self._files = fsspec.filesystem("memory")
        self.url = f"memory://{secrets.token_hex(8)}"

    def put(self, name: str, data: bytes) -> None:
        self._files.pipe_file(f"{self.url}/{name}", data)

    def delete(self, name: str) -> None:
        self._files.rm_file(f"{self.url}/{name}")

    def close(self) -> None:
        self._files.rm(self.url, recursive=True)


class S3:
    """A bucket on a server of ``moto``."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        pytest.importorskip("s3fs", reason="pip install s3fs")
        server = pytest.importorskip("moto.server", reason="pip install 'moto[s3,server]'")
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self._server = server.ThreadedMotoServer("127.0.0.1", port=0)
        self._server.start()
        host, port = self._server.get_host_and_port()
        for name, value in {
            "AWS_ACCESS_KEY_ID": "id",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        }.items():
            monkeypatch.setenv(name, value)
        import boto3

        self._client = boto3.client("s3")
        self._bucket = f"b{secrets.token_hex(8)}"
        self._client.create_bucket(Bucket=self._bucket)
        self.url = f"s3://{self._bucket}/people"

    def put(self, name: str, data: bytes) -> None:
        self._client.put_object(Bucket=self._bucket, Key=f"people/{name}", Body=data)

    def delete(self, name: str) -> None:
        self._client.delete_object(Bucket=self._bucket, Key=f"people/{name}")

    def close(self) -> None:
        self._server.stop()


class Ftp:
    """A folder behind ``pyftpdlib``."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        pytest.importorskip("pyftpdlib", reason="pip install pyftpdlib")
        folder.mkdir()
        port, password = free_port(), secrets.token_hex(4)
        command = [sys.executable, "-m", "pyftpdlib", "-i", "127.0.0.1", "-p", str(port)]
        self._running = running([*command, "-d", str(folder), "-u", "tester", "-P", password], port)
        self._running.__enter__()
        self._folder = folder / "people"
        monkeypatch.setenv("DEEPFACE_FTP_USER", "tester")
        monkeypatch.setenv("DEEPFACE_FTP_PASSWORD", password)
        self.url = f"ftp://127.0.0.1:{port}/people"

    def put(self, name: str, data: bytes) -> None:
        path = self._folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        before = path.stat().st_mtime if path.exists() else 0
        path.write_bytes(data)
        if before:  # FTP tells times to the second
            os.utime(path, (before + 2, before + 2))

    def delete(self, name: str) -> None:
        (self._folder / name).unlink()

    def close(self) -> None:
        self._running.__exit__(None, None, None)


@pytest.fixture(params=["memory", "s3", "ftp"])
def store(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    model: StandIn,
) -> Iterator[Store]:
    monkeypatch.setenv("DEEPFACE_HOME", str(tmp_path / "home"))
    made: Store
    if request.param == "memory":
        made = Memory()
    else:
        made = S3(monkeypatch) if request.param == "s3" else Ftp(tmp_path / "ftp", monkeypatch)
    for number in range(4):
        made.put(f"{number}.png", content(number))
    near = np.clip(picture(0).astype(int) + 3, 0, 255).astype(np.uint8)
    made.put("sub/near.png", cv2.imencode(".png", near)[1].tobytes())
    yield made
    made.close()


def test_as_in_a_folder(store: Store, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    (folder / "sub").mkdir(parents=True)
    for number in range(4):
        (folder / f"{number}.png").write_bytes(content(number))
    near = np.clip(picture(0).astype(int) + 3, 0, 255).astype(np.uint8)
    cv2.imwrite(str(folder / "sub/near.png"), near)
    for url in (store.url, f"{store.url}/"):
        (found,) = find(picture(0), url, similarity_search=True)
        (expected,) = find(picture(0), folder, similarity_search=True)
        assert [row.pop("identity").removeprefix(f"{store.url}/") for row in found] == [
            row.pop("identity").removeprefix(f"{folder}/") for row in expected
        ]
        for row in (*found, *expected):
            assert len(row.pop("hash")) == 40
        assert found == expected


def test_only_changes_are_fetched(store: Store, model: StandIn) -> None:
    find(picture(0), store.url)
    assert model.count == 6
    store.put("1.png", content(0))
    store.put("new.png", content(9))
    store.delete("2.png")
    datastore.forget()
    (rows,) = find(picture(0), store.url)
    assert model.count == 9
    assert sorted(names(rows)) == ["0.png", "1.png", "near.png"]
    assert find(picture(0), store.url, refresh_database=False) == [rows]


def test_what_is_no_picture(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    store.put("empty.jpg", b"")
    store.put("webp.jpg", b"RIFF\x24\0\0\0WEBPVP8 ")
    store.put("photo.webp", b"RIFF")
    store.put("readme.txt", b"hello")
    for _ in range(2):
        (rows,) = find(picture(0), store.url)
        assert sorted(names(rows)) == ["0.png", "near.png"]
    assert caplog.text.count("they are empty") == 1
    assert caplog.text.count("neither JPEG nor PNG") == 1
    assert caplog.text.count("photo.webp") == 1


def test_a_store_that_is_away_for_a_moment(
    store: Store, model: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = find(picture(0), store.url)
    count = model.count
    import fsspec

    files = fsspec.get_filesystem_class(store.url.partition("://")[0])

    def fail(*_: Any, **__: Any) -> Any:
        raise ConnectionError("the line is dead")

    with monkeypatch.context() as patched:
        patched.setattr(files, "find", fail)
        patched.setattr(files, "ls", fail)
        with pytest.raises(PathNotFound, match="the line is dead"):
            find(picture(0), store.url)
        assert find(picture(0), store.url, refresh_database=False) == expected
    store.put("new.png", content(0))
    with monkeypatch.context() as patched:  # it goes while pictures are fetched
        patched.setattr(files, "open", fail)
        with pytest.raises(ValueError, match="the line is dead"):
            find(picture(0), store.url)
    (rows,) = find(picture(0), store.url)
    assert sorted(names(rows)) == ["0.png", "near.png", "new.png"]
    assert model.count == count + 3, "only what is new is embedded, once"


def test_a_place_where_nothing_is(store: Store) -> None:
    with pytest.raises((EmptyDatasource, PathNotFound), match="nowhere"):
        find(picture(0), f"{store.url}/nowhere")


def test_passwords_are_not_kept(store: Store, tmp_path: Path) -> None:
    if not store.url.startswith("ftp"):
        pytest.skip("only addresses of FTP have them")
    password = os.environ.pop("DEEPFACE_FTP_PASSWORD")
    url = store.url.replace("ftp://", f"ftp://tester:{password}@")
    (rows,) = find(picture(0), url)
    assert rows[0]["identity"] == f"{store.url}/0.png"
    for file in tmp_path.rglob("*"):
        assert not file.is_file() or password.encode() not in file.read_bytes()
    with pytest.raises(PathNotFound) as caught:
        find(picture(0), url.replace(password, "wrong123"))
    assert "wrong123" not in str(caught.value)


def test_a_wrong_password(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: StandIn) -> None:
    monkeypatch.setenv("DEEPFACE_HOME", str(tmp_path / "home"))
    ftp = Ftp(tmp_path / "ftp", monkeypatch)
    monkeypatch.setenv("DEEPFACE_FTP_PASSWORD", "wrong")
    with pytest.raises(PathNotFound, match=r"530.*Check .*DEEPFACE_FTP_PASSWORD"):
        find(picture(0), ftp.url)
    ftp.close()


def test_an_address_of_a_file(store: Store) -> None:
    with pytest.raises(DeepFaceError, match=r"0\.png is a file"):
        find(picture(0), f"{store.url}/0.png")


def test_a_folder_of_this_machine_by_its_address(
    tmp_path: Path,
    model: StandIn,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """What is in it beside files is left out: who opens a pipe waits for ever."""
    monkeypatch.setenv("DEEPFACE_HOME", str(tmp_path / "home"))
    folder = tmp_path / "people"
    folder.mkdir()
    (folder / "a.png").write_bytes(content(0))
    os.mkfifo(folder / "pipe.png")
    (folder / "folder.png").mkdir()
    (folder / "link.png").symlink_to("a.png")
    (folder / "dangling.png").symlink_to("nowhere")
    (rows,) = find(picture(0), f"file://{folder}")
    assert sorted(names(rows)) == ["a.png", "link.png"]
    assert "pipe.png" in caplog.text


def test_a_part_of_a_store_that_is_away_for_a_moment(
    tmp_path: Path, model: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder below that cannot be listed is not one that is empty."""
    monkeypatch.setenv("DEEPFACE_HOME", str(tmp_path / "home"))
    folder = tmp_path / "people"
    (folder / "sub").mkdir(parents=True)
    for name in ("a.png", "sub/b.png"):
        (folder / name).write_bytes(content(0))
    expected = find(picture(0), f"file://{folder}")
    assert len(expected[0]) == 2
    count, scandir = model.count, os.scandir

    def scandir_but(path: Any) -> Any:
        if Path(path).name == "sub":
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    with monkeypatch.context() as patched:
        patched.setattr(os, "scandir", scandir_but)
        with pytest.raises(PathNotFound, match="Permission denied"):
            find(picture(0), f"file://{folder}")
    assert find(picture(0), f"file://{folder}") == expected
    assert model.count == count + 1, "of the gallery nothing is embedded again"
