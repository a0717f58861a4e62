"""The law of batching over the wire: whoever asks at the same time, each gets his own answer."""

from __future__ import annotations

import base64
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np
import pytest

from deepface import DeepFace
from deepface.server.batching import BatchReport
from tests.data import package_pictures, read, weight
from tests.server.conftest import live, post
from tests.server.stand_ins import FixedAge, FixedGender, cached_attributes
from tests.server.test_batching import waiting_for
from tests.stand_ins import ColorModel, cached

CLIENTS, REQUESTS = 16, 48


@dataclass(frozen=True)
class Job:
    """A request, and what the library says alone."""

    route: str
    fields: dict[str, Any]
    alone: Callable[[], Any]

    @cached_property
    def expected(self) -> Any:
        return expected_of(self)


def scenes() -> list[np.ndarray[Any, Any]]:
    """Pictures of many sizes, with many faces, one, and none."""
    made: list[np.ndarray[Any, Any]] = []
    for photo in map(read, package_pictures()):
        scale = 260 / len(photo)
        small = cv2.resize(photo, None, fx=scale, fy=scale)
        for number in (1, 2, 3):
            made.append(small[:, : 60 * number + 31])
            made.append(cv2.resize(small, None, fx=0.3 * number, fy=0.3 * number))
    made.append(np.full((90, 120, 3), 128, np.uint8))
    return made


def uri(picture: np.ndarray[Any, Any]) -> str:
    return (
        "data:image/png;base64,"
        + base64.b64encode(cv2.imencode(".png", picture)[1].tobytes()).decode()
    )


def jobs_of(pictures: list[np.ndarray[Any, Any]]) -> list[Job]:
    made = []
    for n in range(REQUESTS):
        picture, other = pictures[n % len(pictures)], pictures[(n * 5 + 1) % len(pictures)]
        detector = ("yunet", "opencv", "skip")[n % 3]
        common: dict[str, Any] = {
            "detector_backend": detector,
            "enforce_detection": n % 4 == 0,
            "align": n % 5 != 0,
        }
        # A network in every other one: it takes longer than all that is looked at here.
        model = "Dlib" if find_spec("face_recognition_models") and n % 8 < 4 else "SFace"
        image = {"img": uri(picture)}
        kind = n % 4
        if kind == 0:
            fields = {**common, "model_name": model}
            alone = _bind(DeepFace.represent, picture, **fields)
            made.append(Job("/represent", {**image, **fields}, alone))
        elif kind == 1:
            fields = {**common, "actions": ["age", "gender"]}
            alone = _bind(DeepFace.analyze, picture, silent=True, **fields)
            made.append(Job("/analyze", {**image, **fields}, alone))
        elif kind == 2:
            alone = _bind(DeepFace.extract_faces, picture, **common)
            made.append(Job("/extract_faces", {**image, "faces": "none", **common}, alone))
        else:
            fields = {**common, "model_name": model}
            images = {"img1": uri(picture), "img2": uri(other)}
            alone = _bind(DeepFace.verify, picture, other, silent=True, **fields)
            made.append(Job("/verify", {**images, **fields}, alone))
    return made


def _bind(function: Callable[..., Any], *pictures: Any, **options: Any) -> Callable[[], Any]:
    return lambda: function(*pictures, **options)


def expected_of(job: Job) -> Any:
    try:
        result = job.alone()
    except ValueError as error:
        return str(error.__cause__ or error).replace("numpy array", "?")
    if isinstance(result, list):
        for face in result:
            face.pop("face", None)
    return result


def same(answer: Any, expected: Any, name: str = "") -> None:
    """Equal: numbers of networks within the law's tolerance, everything else exactly."""
    if name == "time":
        return
    if isinstance(expected, dict):
        assert answer.keys() == expected.keys()
        for key, value in expected.items():
            same(answer[key], value, key)
    elif name == "embedding":
        assert np.allclose(answer, expected, rtol=1e-5, atol=1e-5)
    elif isinstance(expected, (list, tuple)):
        assert len(answer) == len(expected), name
        for one, other in zip(answer, expected, strict=True):
            same(one, other, name)
    elif name in ("distance", "threshold"):
        assert answer == pytest.approx(expected, abs=2e-6)
    elif isinstance(expected, float):
        assert answer == pytest.approx(expected, abs=0.011 if name == "confidence" else 1e-4), name
    else:
        assert answer == expected, name


def check(job: Job, answer: httpx.Response, expected: Any) -> None:
    if isinstance(expected, str):
        assert answer.status_code == 400
        text = answer.json()["error"].replace("base64 encoded string", "?")
        assert expected.partition(" Is it")[0] in text
    else:
        assert answer.status_code == 200, answer.text
        body = answer.json()
        same(body if job.route == "/verify" else body["results"], expected)


@pytest.fixture(scope="module")
def jobs() -> Iterator[list[Job]]:
    weight("face_detection_yunet_2023mar.onnx")
    colors = cached("facial_recognition", "SFace", ColorModel())
    with colors, pytest.MonkeyPatch.context() as patch:
        cached_attributes(patch, Age=FixedAge(), Gender=FixedGender())
        yield jobs_of(scenes())


def test_48_requests_of_16_clients_are_answered_as_48_single_calls(jobs: list[Job]) -> None:
    expected = [job.expected for job in jobs]
    sizes: list[int] = []
    with live(batch_size=8) as (url, service), ThreadPoolExecutor(CLIENTS) as pool:
        observe = service.batcher.observe

        def note(done: BatchReport) -> None:
            sizes.append(len(done.queued))
            observe(done)

        service.batcher.observe = note
        answers = list(
            pool.map(lambda job: post(url + job.route, json=job.fields, timeout=120), jobs)
        )
    for job, answer, wanted in zip(jobs, answers, expected, strict=True):
        check(job, answer, wanted)
    assert max(sizes) > 1  # they did meet


def test_also_while_others_fail_expire_and_hang_up(jobs: list[Job]) -> None:
    jobs = jobs[::3]
    expected = [job.expected for job in jobs]
    with live(batch_size=8) as (url, service), ThreadPoolExecutor(CLIENTS) as pool:
        address = ("127.0.0.1", int(url.rpartition(":")[2]))

        def ask(number: int) -> httpx.Response | None:
            job = jobs[number % len(jobs)]
            turn = number // len(jobs)
            if turn == 0:
                return post(url + job.route, json=job.fields, timeout=120)
            if turn == 1:
                bad = {**job.fields, "img": "data:image/png;base64,bm9uc2Vuc2U="}
                assert post(url + job.route, json=bad, timeout=120).status_code in (200, 400)
            elif turn == 2:
                hurry = {"X-Request-Timeout": "0.001"}
                post(url + job.route, json=job.fields, headers=hurry, timeout=120)
            else:
                request = httpx.Request("POST", url + job.route, json=job.fields)
                content = request.read()
                head = f"POST {job.route} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                with socket.create_connection(address, timeout=60) as caller:
                    length = f"Content-Length: {len(content)}\r\n\r\n"
                    caller.sendall((head + length).encode() + content)
            return None

        order = np.random.default_rng(5).permutation(4 * len(jobs))
        answers = dict(zip(order, pool.map(ask, order), strict=True))
        waiting_for(lambda: not len(service.batcher))
    for number, (job, wanted) in enumerate(zip(jobs, expected, strict=True)):
        answer = answers[number]
        assert answer is not None
        check(job, answer, wanted)


def test_over_streams_too(jobs: list[Job], tmp_path: Path) -> None:
    pytest.importorskip("grpc_health")
    from google.protobuf.json_format import MessageToDict, ParseDict

    from deepface.server.grpc import messages
    from tests.server.test_grpc import serving

    kinds = {"/represent": "represent", "/analyze": "analyze", "/verify": "verify"}
    jobs = [job for job in jobs if job.route in kinds][:24]
    expected = [job.expected for job in jobs]
    requests = []
    for number, job in enumerate(jobs):
        fields = {k: {"path": v} if k.startswith("img") else v for k, v in job.fields.items()}
        request = {"id": str(number), kinds[job.route]: fields}
        requests.append(ParseDict(request, messages.StreamRequest()))
    with serving(batch_size=8) as stub, ThreadPoolExecutor(4) as pool:
        streams = [pool.submit(lambda: list(stub.Stream(iter(requests)))) for _ in range(2)]
        for stream in streams:
            for job, answer, wanted in zip(jobs, stream.result(), expected, strict=True):
                if isinstance(wanted, str):
                    assert answer.error.code == 3
                    continue
                assert answer.WhichOneof("answer") == "result", answer.error
                body = MessageToDict(answer.result)
                same(body if job.route == "/verify" else body["results"], wanted)
