from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import IO, Any

import pytest
import requests
import torch

from deepface.errors import UnimplementedError, WeightsError
from deepface.modeling import TASKS
from deepface.runtime.weights import download, pins
from deepface.runtime.weights import store as weights
from deepface.runtime.weights.store import (
    download_all,
    download_weights_if_necessary,
    ensure_weight,
    first_available,
)
from deepface.runtime.weights.table import WEIGHT_FILES, WeightFile
from tests.data import weight
from tests.interleaved import at_once, interleaved


def checkpoint(seed: int) -> bytes:
    """A file that has the structure of weights."""
    buffer = io.BytesIO()
    generator = torch.Generator().manual_seed(seed)
    torch.save({"weight": torch.randn(75_000, generator=generator)}, buffer)
    return buffer.getvalue()


CONTENT, OWN = checkpoint(1), checkpoint(2)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
NAME = "net.pth"
LOCK = "weights-lock.json"


def zipped(members: dict[str, bytes]) -> bytes:
    """Without the time, which would be in the names of tests: other processes collect others."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


@dataclass
class Site:
    """A web server that misbehaves as the first part of the path says."""

    url: str
    requests: Counter[str] = field(default_factory=Counter)
    bodies: dict[str, bytes] = field(default_factory=dict)

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        path = handler.path
        self.requests[path] += 1
        kind = path.strip("/").split("/")[0]
        body = self.bodies.get(path, CONTENT)
        if kind == "missing":
            handler.send_error(404)
            return
        if kind == "broken" or (kind == "flaky" and self.requests[path] == 1):
            handler.send_error(500)
            return
        if kind == "redirect":
            handler.send_response(302)
            handler.send_header("Location", "/ok")
            handler.end_headers()
            return
        handler.send_response(200)
        handler.send_header("Content-Type", "text/html" if kind == "page" else "application/x")
        if kind == "gzip":
            handler.send_header("Content-Encoding", "gzip")
        if kind != "endless":
            handler.send_header("Content-Length", str(1 << 40 if kind == "huge" else len(body)))
        handler.end_headers()
        if kind == "wrong":
            body = bytes(len(body))
        if kind in ("stall", "truncated") or (kind == "cut-once" and self.requests[path] == 1):
            body = body[: len(body) // 2]
        if kind in ("slow", "very-slow"):
            for start in range(0, len(body), 10_000):
                handler.wfile.write(body[start : start + 10_000])
                time.sleep(0.01 if kind == "slow" else 1.0)
        else:
            handler.wfile.write(body)
        if kind == "stall":
            handler.wfile.flush()
            time.sleep(0.6)


@pytest.fixture(scope="module")
def server() -> Iterator[Site]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            page.answer(self)

        def log_message(self, *args: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, *args: Any) -> None:  # clients that hang up are part of the test
            pass

    http = Server(("127.0.0.1", 0), Handler)
    page = Site(f"http://127.0.0.1:{http.server_port}")
    threading.Thread(target=http.serve_forever, daemon=True).start()
    yield page
    http.shutdown()


@pytest.fixture
def site(server: Site) -> Site:
    server.requests.clear()
    server.bodies.clear()
    return server


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty weights folder, the network on, no waiting."""
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("DEEPFACE_HOME", str(tmp_path))
    monkeypatch.delenv("DEEPFACE_OFFLINE")
    monkeypatch.delenv("DEEPFACE_ALLOW_UNKNOWN_WEIGHTS", raising=False)
    monkeypatch.setattr(download, "TIMEOUT", (2.0, 0.3))
    monkeypatch.setattr(weights, "PAUSE", 0.0)
    return tmp_path / ".deepface" / "weights"


Add = Callable[..., WeightFile]


@pytest.fixture
def add(monkeypatch: pytest.MonkeyPatch, site: Site) -> Add:
    """Puts a file into the table: its URLs are these paths of the site."""

    def add(*paths: str, known: bool = True, name: str = NAME, **more: Any) -> WeightFile:
        if known:
            more = {"size": len(CONTENT), "sha256": SHA256, **more}
        file = WeightFile(name, tuple(site.url + path for path in paths), "MIT", **more)
        monkeypatch.setitem(WEIGHT_FILES, name, file)
        return file

    return add


def visible(folder: Path) -> list[str]:
    """Files of the folder but the empty lock files."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return sorted(
        str(path.relative_to(folder))
        for path in files
        if not (path.name.endswith(".lock") and path.stat().st_size == 0)
    )


# --- what is in the table -----------------------------------------------------------------------


def test_table_is_consistent() -> None:
    cards = [card for registry in TASKS.values() for card in registry.own.values()]
    assert {file.name for card in cards for file in card.weight_files()} <= set(WEIGHT_FILES)
    for name, file in WEIGHT_FILES.items():
        assert name == file.name
        assert file.urls and all(url.startswith("https://") for url in file.urls), name
        assert file.size is None or file.sha256 is not None, name
        branches = [url for url in file.urls if "/master/" in url or "/main/" in url]
        assert not branches or file.sha256, f"{name}: {branches} may give anything"
        assert file.sha256 is None or (len(file.sha256) == 64 and int(file.sha256, 16)), name
        packed = file.urls[0].endswith((".zip", ".bz2"))
        assert packed == (file.archive is not None), name
        if name.endswith(".h5"):  # what download_all leaves out must have a counterpart
            stem = name.removesuffix(".h5").replace("deepid_keras", "deepid")
            assert f"{stem}.pth" in WEIGHT_FILES


@pytest.mark.parametrize(
    "name",
    [
        "face_detection_yunet_2023mar.onnx",
        "2.7_80x80_MiniFASNetV2.pth",
        "4_0_0_80x80_MiniFASNetV1SE.pth",
        "mobilenet0.25_Final.pth",
    ],
)
def test_published_files_are_accepted(folder: Path, name: str) -> None:
    folder.mkdir(parents=True)
    (folder / name).symlink_to(weight(name))
    assert ensure_weight(name) == folder / name


# --- download -----------------------------------------------------------------------------------


def test_missing_file_is_downloaded_once(folder: Path, add: Add, site: Site) -> None:
    add("/ok")
    path = ensure_weight(NAME)
    assert path == folder / NAME
    assert path.read_bytes() == CONTENT
    assert ensure_weight(NAME) == path
    assert site.requests == {"/ok": 1}
    assert visible(folder) == [NAME]


@pytest.mark.parametrize(
    ("paths", "requests"),
    [
        (["/redirect"], {"/redirect": 1, "/ok": 1}),
        (["/endless"], {"/endless": 1}),
        (["/flaky"], {"/flaky": 2}),
        (["/cut-once"], {"/cut-once": 2}),
        (["/missing", "/ok"], {"/missing": 1, "/ok": 1}),
        (["/broken", "/ok"], {"/broken": 1, "/ok": 1}),
        (["/stall", "/ok"], {"/stall": 1, "/ok": 1}),
        (["/truncated", "/ok"], {"/truncated": 1, "/ok": 1}),
        (["/wrong", "/ok"], {"/wrong": 1, "/ok": 1}),
        (["/page", "/ok"], {"/page": 1, "/ok": 1}),
    ],
)
def test_trouble_that_is_overcome(
    folder: Path, add: Add, site: Site, paths: list[str], requests: dict[str, int]
) -> None:
    add(*paths)
    assert ensure_weight(NAME).read_bytes() == CONTENT
    assert site.requests == requests
    assert visible(folder) == [NAME]


@pytest.mark.parametrize(
    ("path", "known", "reason", "tries"),
    [
        ("/missing", True, "HTTP 404", 1),
        ("/broken", True, "HTTP 500", 3),
        ("/stall", False, "timed out", 3),
        ("/truncated", False, "", 3),
        ("/wrong", True, "instead of " + SHA256, 1),
        ("/page", False, "a web page came instead of the file", 1),
    ],
)
def test_trouble_that_is_not(
    folder: Path, add: Add, site: Site, path: str, known: bool, reason: str, tries: int
) -> None:
    file = add(path, "/missing/too", known=known)
    with pytest.raises(WeightsError) as error:
        ensure_weight(NAME)
    message = str(error.value)
    assert f"An exception occurred while downloading {NAME} from {list(file.urls)}" in message
    assert f"{site.url}{path}: " in message and reason in message
    assert f"{site.url}/missing/too: HTTP 404" in message
    assert f"save it as {folder / NAME}" in message
    assert site.requests == {path: tries, "/missing/too": 1}
    assert visible(folder) == []


def test_page_without_a_content_type_is_recognised(add: Add, site: Site) -> None:
    site.bodies["/ok"] = b"\n<!DOCTYPE html><html>please log in</html>"
    add("/ok", known=False)
    with pytest.raises(WeightsError, match="a web page came instead"):
        ensure_weight(NAME)


def test_compressed_transfer_is_undone(folder: Path, add: Add, site: Site) -> None:
    site.bodies["/gzip"] = gzip.compress(CONTENT)
    add("/gzip")
    assert ensure_weight(NAME).read_bytes() == CONTENT


def test_empty_answer_is_no_file(folder: Path, add: Add, site: Site) -> None:
    site.bodies["/ok"] = b""
    add("/ok", known=False)
    with pytest.raises(WeightsError, match="gives 0 bytes"):
        ensure_weight(NAME)
    assert visible(folder) == []


def test_server_that_is_not_there(folder: Path, add: Add, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(WEIGHT_FILES, NAME, WeightFile(NAME, ("http://127.0.0.1:9/x",)))
    with pytest.raises(WeightsError, match=r"downloading net\.pth from http://127\.0\.0\.1:9/x:"):
        ensure_weight(NAME)
    assert visible(folder) == []


def test_google_drive_links_take_their_direct_form() -> None:
    url = WEIGHT_FILES["yolov8n-face.pt"].urls[0]
    assert download.direct(url) == (
        "https://drive.usercontent.google.com/download"
        "?id=1qcr9DbgsX3ryrz2uU8w4Xm3cOrRywXqb&export=download&confirm=t"
    )
    other = "https://example.org/uc?id=1"
    assert download.direct(other) == other


@pytest.mark.parametrize("terminal", [True, False])
def test_progress_bar_only_on_a_terminal(
    add: Add,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    terminal: bool,
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    add("/ok")
    ensure_weight(NAME)
    assert (f"{NAME}: " in capsys.readouterr().err) == terminal


def test_file_in_a_folder_of_its_own(folder: Path, add: Add) -> None:
    add("/ok", name="pack/net.onnx")
    assert ensure_weight("pack/net.onnx") == folder / "pack" / "net.onnx"
    assert visible(folder) == ["pack/net.onnx"]


@pytest.mark.parametrize("name", ["../net.pth", "a/../../net.pth", "/tmp/net.pth"])
def test_names_cannot_lead_out_of_the_folder(folder: Path, site: Site, name: str) -> None:
    with pytest.raises(WeightsError, match="leads out of"):
        download_weights_if_necessary(name, f"{site.url}/ok")
    assert not site.requests


def test_unknown_name() -> None:
    with pytest.raises(WeightsError, match=r"'x\.pth' is no known weight file.*retinaface\.pth"):
        ensure_weight("x.pth")


# --- offline, full disk, no permission ----------------------------------------------------------


def test_offline_refuses_at_once(
    folder: Path, add: Add, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    add("/ok")
    monkeypatch.setenv("DEEPFACE_OFFLINE", "1")
    with pytest.raises(WeightsError) as error:
        ensure_weight(NAME)
    assert "DEEPFACE_OFFLINE is set" in str(error.value)
    assert f"{site.url}/ok" in str(error.value) and str(folder / NAME) in str(error.value)
    assert not site.requests
    assert not folder.exists()


def test_offline_takes_what_is_there(
    folder: Path, add: Add, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    add("/ok")
    ensure_weight(NAME)
    monkeypatch.setenv("DEEPFACE_OFFLINE", "1")
    assert ensure_weight(NAME) == folder / NAME


def test_full_disk(folder: Path, add: Add, site: Site) -> None:
    resource = pytest.importorskip("resource")
    add("/ok", "/ok/backup")
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))  # the file needs 300,000
    try:
        with pytest.raises(WeightsError, match="cannot be read or written") as error:
            ensure_weight(NAME)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    assert str(folder / NAME) in str(error.value)
    assert site.requests == {"/ok": 1}  # another URL would not help
    assert visible(folder) == []


def test_folder_that_cannot_be_made(add: Add, folder: Path) -> None:
    add("/ok")
    folder.parent.parent.joinpath(".deepface").write_text("a file where a folder should be")
    with pytest.raises(WeightsError, match="cannot be read or written"):
        ensure_weight(NAME)


# --- archives -----------------------------------------------------------------------------------


def test_zip_gives_the_wanted_member_only(folder: Path, add: Add, site: Site) -> None:
    members = {"../../evil.pth": b"evil", "README": b"?", f"deep/down/{NAME}": CONTENT}
    site.bodies["/ok"] = zipped(members)
    add("/ok", archive="zip")
    assert ensure_weight(NAME).read_bytes() == CONTENT
    assert visible(folder) == [NAME]
    assert not list(folder.parent.parent.rglob("evil*"))


def test_member_that_leads_out_of_the_zip_stays_in(folder: Path, add: Add, site: Site) -> None:
    site.bodies["/ok"] = zipped({f"../../{NAME}": CONTENT})
    add("/ok", archive="zip")
    assert ensure_weight(NAME) == folder / NAME
    assert [path.name for path in folder.parent.parent.rglob(NAME)] == [NAME]


def test_bz2(folder: Path, add: Add, site: Site) -> None:
    site.bodies["/ok"] = bz2.compress(CONTENT)
    add("/ok", archive="bz2")
    assert ensure_weight(NAME).read_bytes() == CONTENT
    assert visible(folder) == [NAME]


def corrupt(archive: bytes) -> bytes:
    middle = len(archive) // 2
    return archive[:middle] + bytes(64) + archive[middle + 64 :]


@pytest.mark.parametrize(
    ("archive", "body", "reason"),
    [
        ("zip", bytes(3000), "the zip is damaged"),
        ("zip", corrupt(zipped({NAME: CONTENT})), "the zip is damaged"),
        ("zip", corrupt(zipped({NAME: CONTENT[::2].hex().encode()})), "the zip is damaged"),
        ("zip", zipped({"other.pth": CONTENT}), "['other.pth'], but no net.pth"),
        ("bz2", CONTENT, "the bz2 is damaged"),
        ("bz2", bz2.compress(CONTENT)[:-1000], "the bz2 is damaged"),
        ("bz2", corrupt(bz2.compress(CONTENT)), "the bz2 is damaged"),
        (
            "bz2",
            bz2.compress(CONTENT[:-1]),
            f"gives {len(CONTENT) - 1} bytes instead of {len(CONTENT)}",
        ),
    ],
)
def test_damaged_archives(
    folder: Path, add: Add, site: Site, archive: str, body: bytes, reason: str
) -> None:
    site.bodies["/ok"] = body
    add("/ok", archive=archive)
    with pytest.raises(WeightsError) as error:
        ensure_weight(NAME)
    assert reason in str(error.value)
    assert f"unpack the {archive}, and save it as" in str(error.value)
    assert visible(folder) == []


# --- files that are there already ---------------------------------------------------------------


def put(folder: Path, content: bytes, name: str = NAME) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_bytes(content)
    return path


def test_file_without_a_known_hash_is_taken_as_it_is(folder: Path, add: Add, site: Site) -> None:
    add("/ok", known=False)
    path = put(folder, OWN)
    assert ensure_weight(NAME) == path
    assert path.read_bytes() == OWN
    assert not site.requests


def test_other_file_is_refused_and_left_alone(folder: Path, add: Add, site: Site) -> None:
    add("/ok")
    own = CONTENT[::-1]
    path = put(folder, own)
    with pytest.raises(WeightsError) as error:
        ensure_weight(NAME)
    assert f"DEEPFACE_ALLOW_UNKNOWN_WEIGHTS={NAME}" in str(error.value)
    assert str(path) in str(error.value) and hashlib.sha256(own).hexdigest() in str(error.value)
    assert path.read_bytes() == own
    assert not site.requests


@pytest.mark.parametrize(
    ("setting", "allowed"),
    [("1", True), (NAME, True), (f"a.pth, {NAME}", True), ("a.pth", False), ("0", False)],
)
def test_own_files_can_be_allowed(
    folder: Path, add: Add, monkeypatch: pytest.MonkeyPatch, setting: str, allowed: bool
) -> None:
    add("/ok")
    path = put(folder, OWN)
    monkeypatch.setenv("DEEPFACE_ALLOW_UNKNOWN_WEIGHTS", setting)
    if allowed:
        assert ensure_weight(NAME) == path
    else:
        with pytest.raises(WeightsError, match="is not the published"):
            ensure_weight(NAME)


@pytest.mark.parametrize(("content", "known"), [(CONTENT[:-1], True), (b"", True), (b"", False)])
def test_incomplete_file_is_replaced_and_kept(
    folder: Path, add: Add, content: bytes, known: bool
) -> None:
    add("/ok", known=known)
    put(folder, content)
    assert ensure_weight(NAME).read_bytes() == CONTENT
    assert (folder / f"{NAME}.bad").read_bytes() == content
    assert visible(folder) == [NAME, f"{NAME}.bad", *([] if known else [LOCK])]


def test_incomplete_file_stays_when_there_is_no_better_one(folder: Path, add: Add) -> None:
    add("/missing")
    path = put(folder, CONTENT[:1000])
    with pytest.raises(WeightsError) as error:
        ensure_weight(NAME)
    assert f"{path} is there, but incomplete: 1000 of {len(CONTENT)} bytes" in str(error.value)
    assert visible(folder) == [NAME]


def test_hash_is_computed_once_and_again_after_a_change(
    folder: Path, add: Add, monkeypatch: pytest.MonkeyPatch
) -> None:
    add("/ok")
    path = ensure_weight(NAME)
    ensure_weight(NAME)
    with monkeypatch.context() as patch:
        patch.setattr(hashlib, "sha256", None)
        assert ensure_weight(NAME) == path
    path.write_bytes(bytes(len(CONTENT)))
    with pytest.raises(WeightsError, match="is not the published"):
        ensure_weight(NAME)


def test_first_available(folder: Path, add: Add, site: Site) -> None:
    add("/ok/pth", name="net.pth")
    add("/ok/h5", name="net.h5")
    put(folder, CONTENT, "net.h5")
    names = ("net.pth", "net.h5")
    assert first_available(names) == folder / "net.h5"
    assert not site.requests
    (folder / "net.h5").unlink()
    assert first_available(names) == folder / "net.pth"
    assert site.requests == {"/ok/pth": 1}


# --- several at once ----------------------------------------------------------------------------


def test_download_all_gathers_errors(
    folder: Path, add: Add, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in list(WEIGHT_FILES):
        monkeypatch.delitem(WEIGHT_FILES, name)
    add("/ok/a", name="a.pth")
    add("/ok/a5", name="a.h5")
    add("/ok/b", name="b.onnx")
    assert download_all() == [folder / "a.pth", folder / "b.onnx"]
    add("/missing/c", name="c.pth")
    add("/missing/d", name="d.pth")
    add("/ok/e", name="e.pth")
    with pytest.raises(WeightsError) as error:
        download_all()
    assert "2 of 5" in str(error.value)
    assert "c.pth" in str(error.value) and "d.pth" in str(error.value)
    assert visible(folder) == ["a.pth", "b.onnx", "e.pth"]
    assert download_all(["a.h5"]) == [folder / "a.h5"]


def test_interrupted_download_all_does_not_wait(
    folder: Path, add: Add, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"{i}.pth" for i in range(6)]
    for name in names:
        add(f"/very-slow/{name}", name=name)  # half a minute each
    main = threading.main_thread().ident
    assert main is not None
    threading.Timer(0.5, signal.pthread_kill, (main, signal.SIGINT)).start()
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        download_all(names)
    assert time.monotonic() - start < 15
    assert visible(folder) == []


def test_threads_download_once(folder: Path, add: Add, site: Site) -> None:
    add("/ok")
    paths: list[Path] = []
    at_once(lambda _: paths.append(ensure_weight(NAME)), weights, threads=3)
    assert paths == [folder / NAME] * 3
    assert site.requests == {"/ok": 1}


CHILD = """
import sys
from deepface.runtime.weights.store import ensure_weight
from deepface.runtime.weights.table import WEIGHT_FILES, WeightFile
name, url, size, sha256 = sys.argv[1:]
WEIGHT_FILES[name] = WeightFile(name, (url,), "MIT", int(size), sha256)
print("ready", flush=True)
assert ensure_weight(name).name == name
"""


def child(site: Site, path: str) -> subprocess.Popen[str]:
    """Another process that wants the file."""
    arguments = [NAME, site.url + path, str(len(CONTENT)), SHA256]
    process = subprocess.Popen(
        [sys.executable, "-c", CHILD, *arguments],
        cwd=Path(__file__).parents[3],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    return process


def test_processes_download_once(folder: Path, site: Site) -> None:
    processes = [child(site, "/slow") for _ in range(2)]
    errors = [process.communicate(timeout=30)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], errors
    assert site.requests == {"/slow": 1}
    assert (folder / NAME).read_bytes() == CONTENT
    assert visible(folder) == [NAME]


def signal_during_download(site: Site, folder: Path, number: signal.Signals) -> str:
    """Stop a process in the middle of a download; what it said on stderr."""
    process = child(site, "/very-slow")
    part = folder / f".{NAME}.part"
    deadline = time.monotonic() + 20
    while not (part.exists() and part.stat().st_size) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert part.stat().st_size < len(CONTENT)
    process.send_signal(number)
    return process.communicate(timeout=20)[1]


def test_killed_download_is_never_used(folder: Path, add: Add, site: Site) -> None:
    signal_during_download(site, folder, signal.SIGKILL)
    assert (folder / f".{NAME}.part").exists() and not (folder / NAME).exists()
    add("/ok")
    assert ensure_weight(NAME).read_bytes() == CONTENT
    assert visible(folder) == [NAME]


def test_interrupted_download_leaves_nothing(folder: Path, site: Site) -> None:
    assert "KeyboardInterrupt" in signal_during_download(site, folder, signal.SIGINT)
    assert visible(folder) == []


# --- the published names ------------------------------------------------------------------------


def test_published_function(folder: Path, site: Site) -> None:
    url = f"{site.url}/ok"
    assert download_weights_if_necessary("own.bin", url) == str(folder / "own.bin")
    assert download_weights_if_necessary("own.bin", "http://127.0.0.1:9/") == str(
        folder / "own.bin"
    )
    site.bodies["/ok/z"] = zipped({"z.h5": CONTENT})
    path = download_weights_if_necessary("z.h5", [f"{site.url}/missing", f"{url}/z"], "zip")
    assert Path(path).read_bytes() == CONTENT


def test_published_function_still_verifies(folder: Path, add: Add, site: Site) -> None:
    add("/ok")
    with pytest.raises(ValueError, match=r"An exception occurred while downloading net\.pth from"):
        download_weights_if_necessary(NAME, f"{site.url}/wrong")
    assert visible(folder) == []


def test_published_function_with_unknown_compression() -> None:
    with pytest.raises(UnimplementedError, match="'tar'"):
        download_weights_if_necessary("own.bin", "http://127.0.0.1:9/", "tar")  # type: ignore[arg-type]


def test_import_makes_no_folder_and_no_request(tmp_path: Path) -> None:
    code = "import deepface.runtime.weights.store, sys; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
    assert list(tmp_path.iterdir()) == []


# --- the first download of a file without a published hash --------------------------------------


def test_the_first_download_decides(folder: Path, add: Add, site: Site) -> None:
    add("/ok", known=False)
    path = ensure_weight(NAME)
    assert pins.pins()[NAME].sha256 == SHA256
    path.unlink()
    assert ensure_weight(NAME).read_bytes() == CONTENT
    path.unlink()
    site.bodies["/ok"] = OWN
    with pytest.raises(WeightsError) as error:
        ensure_weight(NAME)
    message = str(error.value)
    assert f"{site.url}/ok gives now is not the {NAME} that was downloaded" in message
    assert SHA256 in message and hashlib.sha256(OWN).hexdigest() in message
    assert str(folder / LOCK) in message
    assert visible(folder) == [LOCK]
    (folder / LOCK).unlink()
    assert ensure_weight(NAME).read_bytes() == OWN


def test_a_download_that_changes_on_disk_is_told(
    folder: Path, add: Add, monkeypatch: pytest.MonkeyPatch
) -> None:
    add("/ok", known=False)
    path = ensure_weight(NAME)
    os.utime(path, (1, 1))  # copied, say
    assert ensure_weight(NAME) == path
    path.write_bytes(OWN)
    with pytest.raises(WeightsError, match="it is a file of your own, set the environment"):
        ensure_weight(NAME)
    monkeypatch.setenv("DEEPFACE_ALLOW_UNKNOWN_WEIGHTS", NAME)
    assert ensure_weight(NAME) == path


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"net.pth": {}}', b"\xff", b"[" * 10**5])
def test_damaged_pins_are_told(folder: Path, add: Add, content: bytes) -> None:
    add("/ok", known=False)
    put(folder, content, LOCK)
    with pytest.raises(WeightsError, match=f"{LOCK} is damaged"):
        ensure_weight(NAME)
    add("/ok")
    ensure_weight(NAME)  # where the hash is published nobody asks them


def test_threads_pin_all_that_they_download(folder: Path, add: Add) -> None:
    names = [f"{letter}.pth" for letter in "abcdef"]
    for name in names:
        add("/ok", name=name, known=False)
    with interleaved(pins):
        download_all(names)
    assert list(pins.pins()) == names


# --- what a server can do -----------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["ok", "endless"])
def test_a_download_stops_at_its_size(folder: Path, add: Add, site: Site, kind: str) -> None:
    site.bodies[f"/{kind}"] = CONTENT + bytes(50_000_000)
    add(f"/{kind}")
    with pytest.raises(WeightsError, match=rf"instead of at most {len(CONTENT)}|more than"):
        ensure_weight(NAME)
    assert visible(folder) == []


def test_a_download_of_unknown_size_stops_somewhere(tmp_path: Path, add: Add, site: Site) -> None:
    add("/huge", known=False)
    with pytest.raises(WeightsError, match=f"{1 << 40} bytes instead of at most {1 << 30}"):
        ensure_weight(NAME)
    with pytest.raises(download.DownloadError, match="gives more than 200000 bytes"):
        download.fetch(site.url + "/endless", tmp_path / "part", "", threading.Event(), 200_000)


@pytest.mark.parametrize("archive", ["zip", "bz2"])
def test_unpacking_stops_at_the_size(folder: Path, add: Add, site: Site, archive: str) -> None:
    bomb = bytes(100_000_000)
    site.bodies["/ok"] = zipped({NAME: bomb}) if archive == "zip" else bz2.compress(bomb)
    add("/ok", archive=archive)
    with pytest.raises(WeightsError, match=rf"unpacks to more than {len(CONTENT)} bytes"):
        ensure_weight(NAME)
    assert visible(folder) == []


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("ending", ["part", "unpacked", "lock"])
@pytest.mark.parametrize("archive", [None, "bz2"])
def test_no_link_is_written_through(
    folder: Path,
    tmp_path: Path,
    add: Add,
    site: Site,
    ending: str,
    known: bool,
    archive: str | None,
) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    folder.mkdir(parents=True)
    (folder / f".{NAME}.{ending}").symlink_to(victim)
    (folder / LOCK).symlink_to(victim)
    if archive:
        site.bodies["/ok"] = bz2.compress(CONTENT)
    add("/ok", archive=archive, known=known)
    with suppress(WeightsError):
        ensure_weight(NAME)
    assert victim.read_bytes() == b"precious"


def test_https_does_not_lead_to_http(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Response:
        ok, url = True, "http://elsewhere/net.pth"

        def __enter__(self) -> Response:
            return self

        def __exit__(self, *_: object) -> None:
            pass

    monkeypatch.setattr(requests, "get", lambda *_, **__: Response())
    with pytest.raises(download.DownloadError, match="not encrypted"):
        download.fetch("https://a/net.pth", tmp_path / "part", "", threading.Event())


@pytest.mark.parametrize("home", ["/dev/null", "x" * 5000, "/proc/1/nothing", "y" * 300])
def test_homes_that_cannot_be(add: Add, monkeypatch: pytest.MonkeyPatch, home: str) -> None:
    monkeypatch.setenv("DEEPFACE_HOME", home)
    add("/ok")
    with pytest.raises(WeightsError, match=NAME):
        ensure_weight(NAME)


def test_a_file_that_cannot_be_read(
    folder: Path, add: Add, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = put(folder, CONTENT)

    def refuse(path: Path, *_: object) -> IO[Any]:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "open", refuse)
    add("/ok")
    with pytest.raises(WeightsError, match=f"{path} cannot be read or written: Permission denied"):
        ensure_weight(NAME)


# --- structure ----------------------------------------------------------------------------------


@pytest.mark.parametrize("allowed", [True, False])
def test_what_is_no_checkpoint_is_not_given_out(
    folder: Path, add: Add, site: Site, monkeypatch: pytest.MonkeyPatch, allowed: bool
) -> None:
    add("/ok", known=False)
    path = put(folder, b"<html>quota</html>")
    if allowed:
        monkeypatch.setenv("DEEPFACE_ALLOW_UNKNOWN_WEIGHTS", "1")
    with pytest.raises(WeightsError) as error:
        ensure_weight(NAME)
    assert f"rm {path} && deepface models download {NAME}" in str(error.value)
    path.unlink()
    site.bodies["/ok"] = b"<p>quota</p>"
    with pytest.raises(WeightsError, match=r"downloading .*quota|no PyTorch checkpoint"):
        ensure_weight(NAME)
    assert visible(folder) == []


def test_tensors_are_those_of_the_table(folder: Path, add: Add) -> None:
    put(folder, CONTENT)
    add("/ok", known=False, tensors={"weight": (75_000,)})
    ensure_weight(NAME)
    add("/ok", known=False, tensors={"weight": (3, 4)})
    with pytest.raises(WeightsError, match=r"weight is of shape \(75000,\) instead of \(3, 4\)"):
        ensure_weight(NAME)
    add("/ok", known=False, tensors={"bias": (3, 4)})
    with pytest.raises(WeightsError, match=r"bias is missing instead of \(3, 4\)"):
        ensure_weight(NAME)


def test_a_command_of_the_message_can_be_pasted(
    tmp_path: Path, add: Add, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "a home; with 'marks'"
    monkeypatch.setenv("DEEPFACE_HOME", str(home))
    add("/ok", known=False)
    path = put(home / ".deepface" / "weights", b"junk")
    with pytest.raises(WeightsError) as error:
        ensure_weight(NAME)
    command = str(error.value).split("get it again: ")[1]
    assert shlex.split(command) == ["rm", str(path), "&&", "deepface", "models", "download", NAME]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
@pytest.mark.parametrize("name", ["net.pth", "net.h5", "net.onnx", "net.dat", "net.caffemodel"])
def test_a_home_that_is_not_utf8_is_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """OpenCV ends the whole process at such a path; other libraries say something else."""
    monkeypatch.setenv("DEEPFACE_HOME", str(tmp_path / "\udcff"))
    with pytest.raises(WeightsError, match=r"not UTF-8.*set DEEPFACE_HOME to another"):
        ensure_weight(WeightFile(name, ()))


@pytest.mark.parametrize(
    "look_up",
    [ensure_weight, lambda file: first_available([file]), lambda file: download_all([file])],
)
def test_a_file_that_is_looked_up_is_not_put_into_the_table(
    folder: Path, site: Site, look_up: Callable[[WeightFile], object]
) -> None:
    file = WeightFile("of_a_plugin.pth", (f"{site.url}/ok",), "MIT")
    before = dict(WEIGHT_FILES)
    look_up(file)
    put(folder, b"no checkpoint", file.name)
    with pytest.raises(WeightsError, match=r"of_a_plugin\.pth"):
        look_up(file)
    assert before == WEIGHT_FILES
