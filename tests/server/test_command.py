"""``deepface serve`` as a process, and what a container runs of it."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import re
import shlex
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from string import Template
from typing import Any

import cv2
import httpx
import numpy as np
import pytest
from click.testing import CliRunner

from deepface import DeepFace
from deepface.cli.app import app
from deepface.search.database.registry import known_databases
from deepface.server.command import serve
from deepface.server.settings import Settings, variable_of
from tests.data import weight
from tests.server.conftest import get, post

ROOT = Path(__file__).resolve().parents[2]
CONTAINERS = ROOT / "containers"
DOCKERFILES = sorted(CONTAINERS.glob("Dockerfile*"))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def process(command: Sequence[str], **environment: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        command,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as started:
        yield started
        if started.poll() is None:
            started.kill()


def until_ready(url: str, started: subprocess.Popen[str]) -> None:
    end = time.monotonic() + 120
    while True:
        assert started.poll() is None and time.monotonic() < end
        try:
            if get(f"{url}/readyz").status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)


def lines_of(file: Path) -> list[tuple[str, str]]:
    """The instructions of a Dockerfile, and what follows each."""
    text = re.sub(r"^#.*\n", "", file.read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    return [(word, rest.strip()) for word, _, rest in (x.partition(" ") for x in text.splitlines())]


def variables_of(file: Path) -> dict[str, str]:
    """The environment that a container is started with, unless told more."""
    pairs: dict[str, dict[str, str]] = {"ARG": {}, "ENV": {}}
    for instruction, rest in lines_of(file):
        for word in shlex.split(rest) if instruction in pairs else ():
            name, _, value = word.partition("=")
            pairs[instruction][name] = Template(value).substitute(pairs["ARG"])
    return pairs["ENV"]


def command_of(file: Path, instruction: str) -> list[str]:
    """What is run by the ENTRYPOINT or the HEALTHCHECK of a Dockerfile, with this Python."""
    (rest,) = (rest for word, rest in lines_of(file) if word == instruction)
    python, *words = json.loads(rest[rest.index("[") :])
    assert python == "python"
    return [sys.executable, *words]


def test_the_dockerfiles_differ_in_pytorch_only() -> None:
    cpu, cuda = DOCKERFILES
    kept = [[x for x in lines_of(file) if "apt-get" not in x[1]] for file in (cpu, cuda)]
    assert kept[0] == kept[1] and "download.pytorch.org/whl/cpu" in cpu.read_text()


def test_compose_fits_the_image() -> None:
    yaml = pytest.importorskip("yaml")
    made = yaml.safe_load((CONTAINERS / "compose.yaml").read_text())
    service, database = made["services"]["deepface"], made["services"]["database"]
    build = service["build"]
    assert (CONTAINERS / build["context"]).resolve() == ROOT
    file = ROOT / build["dockerfile"]
    lines = lines_of(file)
    assert set(build["args"]) <= {rest.partition("=")[0] for word, rest in lines if word == "ARG"}
    port = variables_of(file)["DEEPFACE_SERVER_PORT"]
    assert [text.rpartition(":")[2] for text in service["ports"]] == [port]
    assert port in next(rest for word, rest in lines if word == "EXPOSE").split()
    volumes = [*service["volumes"], *database["volumes"]]
    assert {text.partition(":")[0] for text in volumes} == set(made["volumes"])
    assert service["volumes"] == [f"weights:{variables_of(file)['DEEPFACE_HOME']}"]
    assert ("VOLUME", variables_of(file)["DEEPFACE_HOME"]) in lines
    assert int(service["stop_grace_period"].rstrip("s")) > Settings.model_fields["drain"].default
    assert service["depends_on"]["database"]["condition"] == "service_healthy"
    assert "pg_isready" in database["healthcheck"]["test"][1]
    given = service["environment"]
    variable = known_databases()[given["DEEPFACE_DATABASE_TYPE"]].variable
    assert set(given) == {"DEEPFACE_AUTH_TOKEN", "DEEPFACE_DATABASE_TYPE", variable}
    user, name = (database["environment"][f"POSTGRES_{what}"] for what in ("USER", "DB"))
    assert given[variable].startswith(f"postgresql://{user}:$")
    assert given[variable].endswith(f"@database/{name}")


def test_the_entry_point_of_the_image_becomes_ready_and_ends_on_sigterm(pictures: Path) -> None:
    """Nothing is written but below DEEPFACE_HOME, as the file system of a container wants it."""
    weight("face_detection_yunet_2023mar.onnx")
    port, grpc_port = free_port(), free_port()
    image = variables_of(DOCKERFILES[0])
    assert image.pop("DEEPFACE_HOME") == "/data" and image["DEEPFACE_SERVER_HOST"] == "0.0.0.0"
    variables = {
        **image,
        "HOME": "/dev/null/none",
        "DEEPFACE_SERVER_HOST": "127.0.0.1",
        "DEEPFACE_SERVER_PORT": str(port),
        "DEEPFACE_GRPC_PORT": str(grpc_port),
        "DEEPFACE_FACE_DETECTION_MODELS": "yunet",
    }
    url = f"http://127.0.0.1:{port}"
    with process(command_of(DOCKERFILES[0], "ENTRYPOINT"), **variables) as started:
        until_ready(url, started)
        fields = {"detector_backend": "yunet", "faces": "none"}
        files = {"img": (pictures / "a.jpg").read_bytes()}
        answer = post(f"{url}/extract_faces", files=files, data=fields, timeout=60)
        assert len(answer.json()["results"]) == 1
        with socket.create_connection(("127.0.0.1", grpc_port), timeout=10):
            pass
        health = command_of(DOCKERFILES[0], "HEALTHCHECK")
        environment = {**os.environ, "PYTHONPATH": str(ROOT), **variables}
        tries = (subprocess.run(health, env=environment, check=False) for _ in range(20))
        assert any(done.returncode == 0 for done in tries)  # it waits 4 s only
        started.send_signal(signal.SIGTERM)
        told, _ = started.communicate(timeout=60)
        assert "Welcome to DeepFace API" in told and "Traceback" not in told
        assert subprocess.run(health, env=environment, check=False).returncode == 1


def test_calls_of_grpc_under_way_are_answered_after_sigterm(tmp_path: Path) -> None:
    grpc = pytest.importorskip("grpc")
    messages = pytest.importorskip("deepface.server.grpc.messages")
    port, grpc_port, log = free_port(), free_port(), tmp_path / "log"
    command = [sys.executable, "-m", "tests.cli.slow", "serve", "--grpc-port", str(grpc_port)]
    picture = messages.Image(
        content=cv2.imencode(".png", np.full((60, 60, 3), 99, np.uint8))[1].tobytes()
    )
    asked = messages.RepresentRequest(img=picture, model_name="SFace", detector_backend="slow")
    with process(command, DEEPFACE_SERVER_PORT=str(port), SLOW_LOG=str(log)) as started:
        until_ready(f"http://127.0.0.1:{port}", started)
        with grpc.insecure_channel(f"127.0.0.1:{grpc_port}") as channel:
            ask = messages.DeepFaceServiceStub(channel).Represent.future
            answers = [ask(asked, timeout=60) for _ in range(8)]
            while not log.exists():
                time.sleep(0.01)
            started.send_signal(signal.SIGTERM)
            assert [len(answer.result().result["results"]) for answer in answers] == [1] * 8
        started.communicate(timeout=60)
        assert started.returncode == -signal.SIGTERM


def test_a_server_that_stops_takes_nothing_new_by_either_protocol(tmp_path: Path) -> None:
    """REST and gRPC finish what is under way at the same time, not one after the other."""
    grpc = pytest.importorskip("grpc")
    messages = pytest.importorskip("deepface.server.grpc.messages")
    port, grpc_port = free_port(), free_port()
    command = [sys.executable, "-m", "tests.cli.slow", "serve", "--grpc-port", str(grpc_port)]
    patient = {f"DEEPFACE_SERVER_{name}": "120" for name in ("BODY_TIMEOUT", "DRAIN")}
    with process(command, DEEPFACE_SERVER_PORT=str(port), **patient) as started:
        until_ready(f"http://127.0.0.1:{port}", started)
        head = b"POST /represent HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n"
        with (
            socket.create_connection(("127.0.0.1", port), timeout=60) as slow,
            grpc.insecure_channel(f"127.0.0.1:{grpc_port}") as channel,
        ):
            ask = messages.DeepFaceServiceStub(channel).Represent
            slow.sendall(head + b"{")
            with pytest.raises(grpc.RpcError) as refused:
                ask(messages.RepresentRequest(), timeout=60)
            assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT  # it has no picture
            started.send_signal(signal.SIGTERM)
            while refused.value.code() is not grpc.StatusCode.UNAVAILABLE:
                with pytest.raises(grpc.RpcError) as refused:
                    ask(messages.RepresentRequest(), timeout=2)  # one that meets the end may hang
            assert started.poll() is None
            slow.sendall(b"}")
            assert slow.recv(1000).startswith(b"HTTP/1.1 400")
        started.communicate(timeout=60)
        assert started.returncode == -signal.SIGTERM


def test_what_was_answered_before_a_kill_is_stored_and_nothing_is_damaged(tmp_path: Path) -> None:
    port, file = free_port(), tmp_path / "faces.db"
    options: dict[str, Any] = {"model_name": "SFace", "detector_backend": "skip"}
    variables = {
        "DEEPFACE_SERVER_PORT": str(port),
        "DEEPFACE_DATABASE_TYPE": "sqlite",
        "DEEPFACE_CONNECTION_DETAILS": str(file),
    }
    url = f"http://127.0.0.1:{port}"
    answered: list[str] = []

    def register(first: int) -> None:
        with contextlib.suppress(httpx.TransportError):  # it is killed
            for number in itertools.count(first, 4):
                noise = np.random.default_rng(number).integers(0, 255, (60, 60, 3), np.uint8)
                files = {"img": cv2.imencode(".png", noise)[1].tobytes()}
                data = {**options, "img_name": str(number)}
                answer = post(f"{url}/register", files=files, data=data, timeout=60)
                assert answer.json() == {"inserted": 1}, answer.text
                answered.append(str(number))

    with process([sys.executable, "-m", "tests.cli.slow", "serve"], **variables) as started:
        until_ready(url, started)
        with ThreadPoolExecutor(4) as pool:
            jobs = [pool.submit(register, first) for first in range(4)]
            while len(answered) < 6 and not any(job.done() for job in jobs):
                time.sleep(0.01)
            started.kill()
            for job in jobs:
                job.result()
    place: dict[str, Any] = {"database_type": "sqlite", "connection_details": str(file)}
    faces = DeepFace.list_faces(**options, **place, return_type="dict")
    assert set(answered) <= {face["img_name"] for face in faces}
    with contextlib.closing(sqlite3.connect(file)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_prepare_tells_whether_the_models_can_be_had(tmp_path: Path) -> None:
    weight("face_detection_yunet_2023mar.onnx")
    prepare = [sys.executable, "-m", "deepface.server.prepare"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    environment["DEEPFACE_SERVER_DETECTION_MODELS"] = "yunet"
    assert subprocess.run(prepare, env=environment, check=False).returncode == 0
    environment["DEEPFACE_HOME"] = str(tmp_path)
    assert subprocess.run(prepare, env=environment, check=False).returncode == 1


def test_the_published_module_runs_grpc() -> None:
    port = str(free_port())
    command = [sys.executable, "-m", "deepface.api.src.grpc_server"]
    with process(command, DEEPFACE_GRPC_PORT=port) as started:
        end = time.monotonic() + 60
        while True:
            assert started.poll() is None and time.monotonic() < end
            try:
                socket.create_connection(("127.0.0.1", int(port)), timeout=5).close()
                break
            except OSError:
                time.sleep(0.1)


def test_every_setting_is_an_option_and_a_variable() -> None:
    told = CliRunner().invoke(serve, ["--help"], terminal_width=1000).output
    for name in Settings.model_fields:
        assert f"--{name.replace('_', '-')} " in told and variable_of(name) in told
    assert "Serve REST" in CliRunner().invoke(app, ["serve", "--help"]).output


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--max-queue", "0"], "max_queue"),
        (["--database-type", "nope"], "Unsupported database type"),
        (["--galleries", "x"], "name=folder"),
        (["--recognition-models", "Nope"], "Invalid model_name"),
    ],
)
def test_wrong_settings_end_the_start(arguments: list[str], text: str) -> None:
    result = CliRunner().invoke(app, ["serve", *arguments])
    assert result.exit_code != 0 and text in result.output


@pytest.mark.parametrize("file", DOCKERFILES, ids=lambda path: path.name)
def test_what_the_dockerfiles_name_is_there(file: Path) -> None:
    text = file.read_text().replace("\\\n", " ")
    project = (ROOT / "pyproject.toml").read_text()
    (extras,) = re.findall(r'pip install "/src\[(.+?)\]"', text)
    for extra in extras.split(","):
        assert re.search(rf"^{extra} = \[", project, re.MULTILINE)
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    users = [number for number, line in enumerate(lines) if line.startswith("USER deepface")]
    entry = [number for number, line in enumerate(lines) if line.startswith("ENTRYPOINT")]
    assert users and users[0] < entry[0]
    for variable in re.findall(r"DEEPFACE_SERVER_\w+", text):
        assert variable.removeprefix("DEEPFACE_SERVER_").lower() in Settings.model_fields
    for module in set(re.findall(r"deepface\.server\.?\w*", text)):
        path = ROOT / module.replace(".", "/")
        assert path.with_suffix(".py").exists() or (path / "__main__.py").exists()
    assert "HEALTHCHECK" in text and len(DOCKERFILES) == 2
