"""What the published server does not have: more routes, many pictures, compact answers."""

from __future__ import annotations

import base64
import logging
import re
from pathlib import Path
from typing import Any

import cv2
import msgpack
import numpy as np
import pytest
from fastapi.testclient import TestClient

from deepface import DeepFace
from deepface.pipeline import FacePipeline
from deepface.server.app import create_app
from deepface.server.settings import Settings
from tests.data import read, weight
from tests.server.conftest import client_of
from tests.server.stand_ins import FixedAge, FixedGender, cached_attributes
from tests.stand_ins import ColorModel

SKIP: dict[str, Any] = {"detector_backend": "skip", "model_name": "colors"}


def test_extract_faces(client: TestClient, pictures: Path) -> None:
    weight("face_detection_yunet_2023mar.onnx")
    fields: dict[str, Any] = {"img": "a.jpg", "detector_backend": "yunet"}
    (expected,) = FacePipeline(
        "yunet", color_face="bgr", normalize_face=False
    )(read(pictures / "a.jpg"))  # fmt: skip
    (face,) = client.post("/extract_faces", json=fields).json()["results"]
    crop = cv2.imdecode(np.frombuffer(base64.b64decode(face.pop("face")), np.uint8), -1)
    assert crop is not None and np.array_equal(crop, expected.pop("face"))
    assert face["facial_area"]["x"] == expected["facial_area"]["x"]
    assert face["confidence"] == expected["confidence"]
    (face,) = client.post("/extract_faces", json={**fields, "faces": "jpeg"}).json()["results"]
    assert base64.b64decode(face["face"]).startswith(b"\xff\xd8")
    (face,) = client.post("/extract_faces", json={**fields, "faces": "none"}).json()["results"]
    assert set(face) == {"confidence", "facial_area"}


def test_find_in_a_folder_that_the_server_knows_by_name(
    client: TestClient, pictures: Path, tmp_path: Path, colors: ColorModel
) -> None:
    gallery = tmp_path / "gallery"
    gallery.mkdir()
    for name in ("a.jpg", "c.jpg"):
        (gallery / name).write_bytes((pictures / name).read_bytes())
    with client_of(root=pictures, galleries=f"people={gallery}") as client:
        fields = {"img": "a.jpg", **SKIP, "gallery": "people", "threshold": 0.5}
        answer = client.post("/find", json=fields)
        assert answer.status_code == 200, answer.text
        (rows,) = answer.json()["results"]
        assert [row["identity"] for row in rows] == ["a.jpg", "c.jpg"]
        assert rows[0]["distance"] == pytest.approx(0, abs=1e-6)
        assert str(gallery) not in answer.text
        (gallery / "b.jpg").write_bytes((pictures / "b.jpg").read_bytes())
        assert len(client.post("/find", json=fields).json()["results"][0]) == 2
        fields["refresh_database"] = True
        assert len(client.post("/find", json=fields).json()["results"][0]) == 3
        many = client.post("/find", json={**fields, "img": ["a.jpg", "c.jpg"], "k": 1}).json()
        assert [tables[0][0]["identity"] for tables in many["results"]] == ["a.jpg", "c.jpg"]
        unknown = client.post("/find", json={**fields, "gallery": str(gallery)})
        assert unknown.status_code == 400 and "Galleries: people" in unknown.json()["error"]
        assert client.post("/find", json={"img": "a.jpg"}).status_code == 400


def test_identify(client: TestClient) -> None:
    dlib = {"model_name": "Dlib", "detector_backend": "skip"}
    pytest.importorskip("dlib")
    client.post("/register", json={"img": "a.jpg", "img_name": "abel", **dlib})
    for identity in (1, "1"):
        fields = {"img": "a.jpg", "identity_id": identity, **dlib}
        result = client.post("/identify", json=fields).json()
        assert result["verified"] is True and result["img_name"] == "abel" and result["id"] == 1
    missing = client.post("/identify", json={"img": "a.jpg", "identity_id": 7, **dlib})
    assert missing.status_code == 400 and "identity_id=7" in missing.json()["error"]
    assert "identity_id" in client.post("/identify", json={"img": "a.jpg"}).json()["error"]


def test_models_and_health(client: TestClient) -> None:
    models = client.get("/models").json()
    assert {"face_detector", "facial_recognition", "facial_attribute"} <= set(models)
    assert {"name": "Dlib", "loaded": False} in models["facial_recognition"] or {
        "name": "Dlib",
        "loaded": True,
    } in models["facial_recognition"]
    assert client.get("/healthz").json()["status"] == "ok"


def test_ready_after_the_models_are_built(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    weight("face_detection_yunet_2023mar.onnx")
    app = create_app(Settings.load(detection_models="yunet"))
    client = TestClient(app)  # without its lifespan: nothing is built
    answer = client.get("/readyz")
    assert answer.status_code == 503 and "being built" in answer.json()["error"]
    assert client.get("/healthz").status_code == 200
    app.state.service.prepare()
    assert client.get("/readyz").status_code == 200
    app.state.service.close()
    assert client.get("/readyz").status_code == 503
    monkeypatch.setenv("DEEPFACE_HOME", str(tmp_path))
    failing = create_app(Settings.load(recognition_models="Facenet"))
    failing.state.service.prepare()
    answer = TestClient(failing).get("/readyz")
    assert answer.status_code == 503 and "WeightsError" in answer.json()["error"]
    assert "facenet" in caplog.text and str(tmp_path) not in answer.text


def test_one_bad_picture_costs_itself_where_the_caller_asks_for_it(
    client: TestClient, pictures: Path
) -> None:
    items = ["a.jpg", "missing.jpg", "b.jpg", "text.jpg", "/etc/passwd"]
    answer = client.post("/represent", json={"img": items, **SKIP})
    assert answer.status_code == 400 and "missing.jpg" in answer.json()["error"]
    answer = client.post("/represent", json={"img": items, **SKIP, "on_error": "yield"})
    first, missing, second, text, outside = answer.json()["results"]
    alone = FacePipeline(**SKIP)
    for name, faces in (("a.jpg", first), ("b.jpg", second)):
        assert faces[0]["embedding"] == alone(str(pictures / name))[0]["embedding"]
    assert missing == {"error": "Confirm that missing.jpg exists", "code": "img_not_found"}
    assert "text.jpg" in text["error"] and "outside" in outside["error"]
    fields = {**SKIP, "detector_backend": "opencv", "on_error": "yield"}
    answer = client.post("/represent", json={"img": ["noface.png", "a.jpg"], **fields})
    noface, faces = answer.json()["results"]
    assert noface["code"] == "face_not_detected" and len(faces) == 1


def test_many_files_under_one_name(client: TestClient, pictures: Path) -> None:
    files = [("img", (name, (pictures / name).read_bytes())) for name in ("a.jpg", "b.jpg")]
    answer = client.post("/represent", files=files, data=SKIP)
    assert [len(faces) for faces in answer.json()["results"]] == [1, 1]
    files.append(("img", ("bad.jpg", b"bad")))
    answer = client.post("/represent", files=files, data={**SKIP, "on_error": "yield"})
    assert "bad.jpg" in answer.json()["results"][2]["error"]


def test_many_pairs(client: TestClient) -> None:
    fields = {"model_name": "Dlib", "detector_backend": "skip"}
    pytest.importorskip("dlib")
    pairs = {"img1": ["a.jpg", "b.jpg"], "img2": ["a.jpg", "c.jpg"]}
    results = client.post("/verify", json={**pairs, **fields}).json()["results"]
    assert [result["verified"] for result in results] == [True, False]


def test_compact_vectors(client: TestClient) -> None:
    fields = {"img": "a.jpg", **SKIP}
    (plain,) = client.post("/represent", json=fields).json()["results"]
    (face,) = client.post("/represent", json={**fields, "vectors": "base64"}).json()["results"]
    vector = np.frombuffer(base64.b64decode(face["embedding"]), "<f4")
    assert np.array_equal(vector, np.float32(plain["embedding"]))
    answer = client.post("/represent", json=fields, headers={"Accept": "application/msgpack"})
    assert answer.headers["content-type"] == "application/msgpack"
    (packed,) = msgpack.unpackb(answer.content)["results"]
    assert np.array_equal(np.frombuffer(packed["embedding"], "<f4"), vector)
    assert packed["facial_area"] == plain["facial_area"]


def test_search_and_verify_by_vector(client: TestClient) -> None:
    dlib = {"model_name": "Dlib", "detector_backend": "skip"}
    pytest.importorskip("dlib")
    client.post("/register", json={"img": "a.jpg", "img_name": "abel", **dlib})
    (face,) = client.post("/represent", json={"img": "a.jpg", **dlib}).json()["results"]
    ((row,),) = client.post("/search", json={"img": face["embedding"], **dlib}).json()["results"]
    assert row["img_name"] == "abel" and row["distance"] == pytest.approx(0, abs=1e-6)
    assert row["target_x"] is None
    wrong = client.post("/search", json={"img": [1.0, 2.0], **dlib})
    assert wrong.status_code == 400 and "128" in wrong.json()["error"]


def test_every_answer_has_a_request_id(
    client: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "deepface"):
        for path in ("/healthz", "/nope", "/models"):
            assert len(client.get(path).headers["x-request-id"]) == 32
        answer = client.post("/represent", json={}, headers={"X-Request-ID": "mine-1"})
        assert answer.headers["x-request-id"] == answer.json()["request_id"] == "mine-1"
        assert "mine-1 POST /represent 400" in caplog.text
        forged = {"X-Request-ID": "a b\u00e9" * 40}
        assert client.get("/healthz", headers={k: v.encode("latin-1") for k, v in forged.items()})
        assert "a b" not in caplog.text


def test_vectors_and_pictures_are_never_logged(
    client: TestClient, pictures: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(1):
        uri = (
            "data:image/jpeg;base64," + base64.b64encode((pictures / "a.jpg").read_bytes()).decode()
        )
        answer = client.post("/represent", json={"img": uri, **SKIP})
        client.post("/represent", json={"img": uri + "!", "model_name": "Nope"})
        client.post("/represent", content=b'{"img": "' + uri[:200].encode())
    number = str(answer.json()["results"][0]["embedding"][0])
    assert number not in caplog.text and uri[30:60] not in caplog.text


def test_pages_load_from_their_server_alone_and_are_in_no_frame(client: TestClient) -> None:
    for path in ("/", "/docs"):
        policy = client.get(path).headers["content-security-policy"]
        assert "default-src 'self'" in policy and "frame-ancestors 'none'" in policy


def test_metrics(client: TestClient) -> None:
    client.post("/represent", json={"img": ["a.jpg", "text.jpg"], **SKIP, "on_error": "yield"})
    client.post("/represent", json={})
    client.get("/a/route/that/is/not")
    lines = dict(
        line.rsplit(" ", 1)
        for line in client.get("/metrics").text.splitlines()
        if not line.startswith("#")
    )
    kind = '{actions="",detector="skip",model="colors"}'
    assert lines['deepface_requests_total{route="/represent",status="200"}'] == "1.0"
    assert lines['deepface_requests_total{route="/represent",status="400"}'] == "1.0"
    assert lines['deepface_requests_total{route="other",status="404"}'] == "1.0"
    assert lines[f"deepface_pictures_total{kind}"] == "2.0"
    assert lines[f"deepface_faces_total{kind}"] == "1.0"
    assert lines[f"deepface_picture_errors_total{kind}"] == "1.0"
    assert lines["deepface_batch_size_count"] == "1.0"
    sizes = [
        float(name.split('"')[1]) for name in lines if name.startswith("deepface_batch_size_b")
    ]
    assert sizes == [*(2.0**n for n in range(9)), float("inf")]
    assert lines["deepface_queue_seconds_count"] == "2.0"
    assert lines["deepface_queue_depth"] == "0.0"
    for step in ("decode", "whole pictures", "embed"):
        labels = f'{{actions="",detector="skip",model="colors",step="{step}"}}'
        assert lines[f"deepface_step_seconds_count{labels}"] == "1.0"
        assert float(lines[f"deepface_step_seconds_sum{labels}"]) > 0
    assert not any("that" in line for line in lines)


def test_no_order_of_actions_makes_a_series_of_its_own(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    cached_attributes(monkeypatch, Age=FixedAge(), Gender=FixedGender())
    for actions in (["age", "gender"], ["gender", "age"], ["age", "gender"] * 50, "gender,age,age"):
        fields = {"img": "a.jpg", "detector_backend": "skip", "actions": actions}
        (face,) = client.post("/analyze", json=fields).json()["results"]
        assert {"age", "gender"} <= face.keys()
    text = client.get("/metrics").text
    assert set(re.findall(r'actions="(.*?)"', text)) == {"age+gender"}


def test_a_fault_of_the_server_is_told_without_its_details(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*args: Any) -> Any:
        raise KeyError("/secret/path")

    monkeypatch.setattr("deepface.server.service.SharedPipeline.__call__", fail)
    answer = client.post("/represent", json={"img": "a.jpg", **SKIP})
    assert answer.status_code == 500 and "secret" not in answer.text
    assert "secret" in caplog.text and answer.json()["request_id"] in caplog.text


def test_settings_come_from_options_and_variables(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DEEPFACE_SERVER_MAX_QUEUE", "7")
    monkeypatch.setenv("DEEPFACE_SERVER_TOKENS", "a, b")
    monkeypatch.setenv("DEEPFACE_SERVER_URLS", "true")
    monkeypatch.setenv("DEEPFACE_SERVER_GALLERIES", f"x={tmp_path}")
    settings = Settings.load(batch_size="4")
    assert (settings.max_queue, settings.batch_size, settings.urls) == (7, 4, True)
    assert settings.tokens == ("a", "b") and settings.galleries == {"x": tmp_path}
    for wrong in (
        {"max_queue": 0}, {"galleries": "x"}, {"galleries": "x=/no/such"}, {"root": "/no/such"},
        {"devices": "tpu"}, {"database_type": "nope"}, {"recognition_models": "nope"},
    ):  # fmt: skip
        with pytest.raises(ValueError):
            Settings.load(**wrong)


def test_faces_are_listed_and_deleted_by_id_or_name(client: TestClient) -> None:
    dlib = {"model_name": "Dlib", "detector_backend": "skip"}
    pytest.importorskip("dlib")
    assert client.get("/faces", params=dlib).json() == {"results": []}
    for name in ("a", "b", "c"):
        client.post("/register", json={"img": f"{name}.jpg", "img_name": name, **dlib})
    rows = client.get("/faces", params=dlib).json()["results"]
    assert [(row["id"], row["img_name"]) for row in rows] == [(1, "a"), (2, "b"), (3, "c")]
    assert client.get("/faces", params={**dlib, "align": "false"}).json() == {"results": []}
    delete = client.delete("/faces", params={**dlib, "identity_id": 1})
    assert delete.json() == {"deleted": 1}
    delete = client.delete("/faces", params={**dlib, "img_name": "c"})
    assert delete.json() == {"deleted": 1}
    rows = client.get("/faces", params=dlib).json()["results"]
    assert [row["img_name"] for row in rows] == ["b"]
    assert client.delete("/faces", params=dlib).status_code == 400
    assert client.delete("/faces", params={**dlib, "img_name": "nobody"}).json() == {"deleted": 0}


def test_faces_are_unregistered_by_id_name_or_picture(client: TestClient, pictures: Path) -> None:
    for name in ("a", "b", "c"):
        client.post("/register", json={"img": f"{name}.jpg", "img_name": name, **SKIP})

    def unregister(**fields: Any) -> Any:
        return client.post("/unregister", json={**SKIP, **fields}).json()

    def names() -> list[str]:
        rows = client.get("/faces", params=SKIP).json()["results"]
        return [row["img_name"] for row in rows]

    for wrong in ({}, {"identity_id": 1, "img_name": "a"}, {"img": "a.jpg", "img_name": "a"}):
        assert unregister(**wrong)["code"] == "invalid_argument"
    assert "nowhere.jpg" in unregister(img="nowhere.jpg")["error"]
    assert unregister(img_name=["nobody", "A"]) == {"deleted": 0}
    assert names() == ["a", "b", "c"]
    assert unregister(img="b.jpg") == {"deleted": 1}
    assert names() == ["a", "c"]
    assert unregister(img="b.jpg") == {"deleted": 0}
    assert unregister(identity_id=[1, 2]) == {"deleted": 1}
    assert unregister(img_name="c") == {"deleted": 1}
    assert names() == []
    client.post("/register", json={"img": ["a.jpg", "c.jpg"], **SKIP})
    files = [("img", (name, (pictures / name).read_bytes())) for name in ("a.jpg", "c.jpg")]
    assert client.post("/unregister", data=SKIP, files=files).json() == {"deleted": 2}


def test_a_search_by_vector_gives_both_kinds_of_tables(tmp_path: Path) -> None:
    pytest.importorskip("pandas")
    pytest.importorskip("dlib")
    where = str(tmp_path / "faces.db")
    place: dict[str, Any] = {"database_type": "sqlite", "connection_details": where}
    dlib: dict[str, Any] = {"model_name": "Dlib", "detector_backend": "skip"}
    picture = np.random.default_rng(1).integers(0, 255, (150, 150, 3), np.uint8)
    DeepFace.register(picture, "noise", **dlib, **place)
    vector = DeepFace.represent(picture, **dlib)[0]["embedding"]
    (frame,) = DeepFace.search(vector, **dlib, **place, return_type="pandas")
    assert frame["img_name"].tolist() == ["noise"] and frame["target_x"].isna().all()
    ((row,),) = DeepFace.search(vector, **dlib, **place, return_type="dict")
    assert row["img_name"] == "noise" and row["target_x"] is None
    with pytest.raises(ValueError, match="should have 128 dimensions"):
        DeepFace.search([0.5, 0.5], **dlib, **place)
