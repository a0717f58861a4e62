"""The published REST contract: requests, statuses and shapes that 0.0.103 was seen to give.

Where the published server has a hole, ours differs on purpose; ``docs/server.md`` lists these, and
here they are marked "ours".
"""

from __future__ import annotations

import base64
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.data import weight
from tests.server.conftest import client_of

DLIB = {"model_name": "Dlib", "detector_backend": "yunet"}
FACE_A = {
    "face_confidence": 0.93,
    "facial_area": {
        "x": 88, "y": 58, "w": 99, "h": 127, "left_eye": [148, 107], "right_eye": [104, 108],
    },
}  # fmt: skip


@pytest.fixture(autouse=True)
def _weights() -> None:
    if not find_spec("face_recognition_models"):
        pytest.skip("needs Dlib's weights: pip install face_recognition_models")
    weight("face_detection_yunet_2023mar.onnx")


def uri(path: Path) -> str:
    return "data:image/jpeg;base64," + base64.b64encode(path.read_bytes()).decode()


def without_vectors(results: Any) -> Any:
    return [{k: v for k, v in face.items() if k != "embedding"} for face in results]


def error_of(response: Any, status: int, key: str = "error") -> str:
    assert response.status_code == status, response.text
    body = response.json()
    assert body["request_id"] == response.headers["x-request-id"]
    assert "Traceback" not in response.text and ".py" not in response.text
    return str(body[key])


def test_the_greeting(client: TestClient) -> None:
    from deepface import __version__

    answer = client.get("/")
    assert answer.status_code == 200 and answer.headers["content-type"].startswith("text/html")
    assert f"<h1>Welcome to DeepFace API v{__version__}!</h1>" in answer.text


def test_unknown_routes_and_methods(client: TestClient) -> None:
    assert client.get("/nope").status_code == 404
    assert client.post("/represent/").status_code == 404
    for answer in (client.get("/represent"), client.put("/represent")):
        assert answer.status_code == 405 and "POST" in answer.headers["allow"]
        assert answer.json()["error"]  # ours: JSON


@pytest.mark.parametrize("kind", ["path", "base64", "file", "urlencoded", "multipart text", "bare"])
def test_every_body_gives_the_same(client: TestClient, pictures: Path, kind: str) -> None:
    path = pictures / "a.jpg"
    if kind == "path":
        answer = client.post("/represent", json={"img": "a.jpg", **DLIB})
    elif kind == "base64":
        answer = client.post("/represent", json={"img": uri(path), **DLIB})
    elif kind == "file":
        answer = client.post("/represent", files={"img": path.read_bytes()}, data=DLIB)
    elif kind == "urlencoded":
        answer = client.post("/represent", data={"img": str(path), **DLIB})
    elif kind == "multipart text":
        fields = {"img": (None, "a.jpg"), **{k: (None, v) for k, v in DLIB.items()}}
        answer = client.post("/represent", files=fields)
    else:  # ours: the published README's own example, JSON under the type of a form
        content = '{"img": "a.jpg", "model_name": "Dlib", "detector_backend": "yunet"}'
        headers = {"content-type": "application/x-www-form-urlencoded"}
        answer = client.post("/represent", content=content, headers=headers)
    assert answer.status_code == 200, answer.text
    (face,) = answer.json()["results"]
    assert len(face["embedding"]) == 128
    assert face["embedding"][:3] == pytest.approx([-0.07166, 0.04082, 0.02685], abs=1e-5)
    assert without_vectors([face]) == [FACE_A]
    assert answer.text.endswith("\n") and answer.text.startswith('{"results":[{"embedding":[')


@pytest.mark.parametrize("json", [True, False])
def test_align_off(client: TestClient, json: bool) -> None:
    fields = {"img": "a.jpg", **DLIB}
    if json:
        answer = client.post("/represent", json={**fields, "align": False})
    else:
        answer = client.post("/represent", data={**fields, "align": ""})
    assert without_vectors(answer.json()["results"]) == [
        {
            "face_confidence": 0.92,
            "facial_area": {
                "x": 88, "y": 58, "w": 101, "h": 130, "left_eye": [147, 107],
                "right_eye": [103, 108],
            },
        }
    ]  # fmt: skip


def test_a_list_of_pictures(client: TestClient) -> None:
    answer = client.post("/represent", json={"img": ["a.jpg", "c.jpg"], **DLIB})
    first, second = answer.json()["results"]
    assert without_vectors(first) == [FACE_A]
    (face,) = without_vectors(second)
    assert face["face_confidence"] == 0.9
    assert [face["facial_area"][k] for k in "xywh"] == [83, 72, 84, 114]


def test_no_face(client: TestClient) -> None:
    text = error_of(client.post("/represent", json={"img": "noface.png", **DLIB}), 400)
    assert text.startswith("Exception while representing: Face could not be detected in noface.png")
    answer = client.post(
        "/represent", json={"img": "noface.png", **DLIB, "enforce_detection": False}
    )
    (face,) = without_vectors(answer.json()["results"])
    area = {"x": 0, "y": 0, "w": 199, "h": 199, "left_eye": None, "right_eye": None}
    assert face == {"face_confidence": 0.0, "facial_area": area}


@pytest.mark.parametrize("text", ["False", "no", "0", "off", "false", ""])
def test_text_that_means_false_is_false(client: TestClient, text: str) -> None:  # ours
    fields = {"img": "noface.png", **DLIB, "enforce_detection": text}
    assert client.post("/represent", data=fields).status_code == 200


@pytest.mark.parametrize("value", ["abc", 0, -1, "1e3", [1], True])
def test_max_faces_that_cannot_be_is_named(client: TestClient, value: Any) -> None:  # ours
    answer = client.post("/represent", json={"img": "a.jpg", **DLIB, "max_faces": value})
    assert "max_faces" in error_of(answer, 400)


def test_max_faces_is_cut_to_a_whole_number(client: TestClient) -> None:
    answer = client.post("/represent", json={"img": "a.jpg", **DLIB, "max_faces": 1.9})
    assert len(answer.json()["results"]) == 1


def test_paths_that_lead_to_no_picture(client: TestClient, pictures: Path) -> None:
    text = error_of(client.post("/represent", json={"img": "missing.jpg"}), 400)
    assert text == "Exception while representing: Confirm that missing.jpg exists"
    text = error_of(client.post("/represent", json={"img": "text.jpg"}), 400)
    assert "Exception while loading text.jpg" in text
    # ours: what lies elsewhere is refused in the same words whether it is there or not
    texts = [
        error_of(client.post("/represent", json={"img": path}), 400).replace(path, "")
        for path in ("/etc/passwd", "/etc/missing", "../../etc/passwd", str(pictures.parent))
    ]
    assert len(set(texts)) == 1


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"model_name": "Nope"}, "Invalid model_name passed - facial_recognition/Nope"),
        ({"detector_backend": "nope"}, "Invalid model_name passed - face_detector/nope"),
    ],
)
def test_unknown_models(client: TestClient, wrong: dict[str, str], text: str) -> None:
    answer = client.post("/represent", json={"img": "a.jpg", **DLIB, **wrong})
    assert text in error_of(answer, 400)


@pytest.mark.parametrize(
    "request_",
    [
        {"json": {}},
        {"json": {"x": 1}},
        {},
        {"content": "img", "headers": {"content-type": "text/plain"}},
    ],
)
def test_no_picture(client: TestClient, request_: dict[str, Any]) -> None:
    text = error_of(client.post("/represent", **request_), 400, "exception")
    assert text.startswith("'img' not found in")


def test_bodies_that_are_no_object(client: TestClient) -> None:
    headers = {"content-type": "application/json"}
    error_of(client.post("/represent", content="{", headers=headers), 400)
    error_of(client.post("/represent", content="[1]", headers=headers), 400, "exception")
    error_of(client.post("/represent", content="null", headers=headers), 400, "exception")
    error_of(client.post("/build/index", content="[1]", headers=headers), 400, "exception")


def test_pictures_of_other_types(client: TestClient) -> None:
    text = error_of(client.post("/represent", json={"img": 5}), 400)
    assert "img must be numpy array or str but it is <class 'int'>" in text


def test_files(client: TestClient, pictures: Path) -> None:
    picture = (pictures / "a.jpg").read_bytes()
    text = error_of(client.post("/represent", files={"image": picture}), 400, "exception")
    assert text == "Request form data doesn't have img"
    for content in (b"no picture", b""):
        text = error_of(client.post("/represent", files={"img": content}), 400, "exception")
        assert "Failed to decode image" in text


def test_base64_that_is_no_picture(client: TestClient) -> None:
    junk = "data:image/jpeg;base64," + base64.b64encode(b"junk").decode()
    text = error_of(client.post("/represent", json={"img": junk}), 400)
    assert "Input image can be jpg or png, but it is" in text
    text = error_of(client.post("/represent", json={"img": "data:image/jpeg"}), 400)
    assert "format error in base64 encoded string" in text


def test_urls_are_off_and_private_addresses_are_refused(pictures: Path) -> None:  # ours
    with client_of(root=pictures) as client:
        text = error_of(client.post("/represent", json={"img": "http://127.0.0.1:9/a.jpg"}), 400)
        assert "this server fetches none" in text
    with client_of(urls=True) as client:
        for url in (
            "http://127.0.0.1:9/a.jpg",
            "HTTP://LOCALHOST/a.jpg",
            "http://169.254.169.254/",
        ):
            text = error_of(client.post("/represent", json={"img": url}), 400)
            assert "which is not public" in text


@pytest.mark.parametrize("json", [True, False])
def test_verify(client: TestClient, pictures: Path, json: bool) -> None:
    if json:
        answer = client.post("/verify", json={"img1": "a.jpg", "img2": "b.jpg", **DLIB})
    else:
        files = {f"img{n}": (pictures / f"{c}.jpg").read_bytes() for n, c in ((1, "a"), (2, "b"))}
        answer = client.post("/verify", files=files, data=DLIB)
    result = answer.json()
    assert answer.status_code == 200
    assert result.pop("distance") == pytest.approx(0.074273, abs=2e-6)
    assert result.pop("confidence") == pytest.approx(26.01, abs=0.011)
    assert isinstance(result.pop("time"), float)
    areas = result.pop("facial_areas")
    assert areas["img1"] == FACE_A["facial_area"] and set(areas) == {"img1", "img2"}
    assert result == {
        "verified": False,
        "threshold": 0.07,
        "model": "Dlib",
        "detector_backend": "yunet",
        "similarity_metric": "cosine",
    }


def test_verify_by_another_metric(client: TestClient) -> None:
    fields = {"img1": "a.jpg", "img2": "c.jpg", **DLIB, "distance_metric": "euclidean_l2"}
    result = client.post("/verify", json=fields).json()
    assert result["distance"] == pytest.approx(0.591941, abs=5e-6) and result["threshold"] == 0.4
    assert result["confidence"] == pytest.approx(4.18, abs=0.011)


def test_verify_that_cannot_be(client: TestClient, pictures: Path) -> None:
    mixed = client.post(
        "/verify", files={"img1": (pictures / "a.jpg").read_bytes()}, data={"img2": "b.jpg"}
    )
    assert error_of(mixed, 400, "exception") == "Request form data doesn't have img2"
    missing = client.post("/verify", json={"img1": "a.jpg", **DLIB})
    assert "'img2' not found in" in error_of(missing, 400, "exception")
    pair = {"img1": "a.jpg", "img2": "b.jpg", **DLIB}
    metric = client.post("/verify", json={**pair, "distance_metric": "manhattan"})
    assert "manhattan" in error_of(metric, 400)
    text = error_of(client.post("/verify", json={**pair, "img1": "noface.png"}), 400)
    assert text.startswith("Exception while verifying: Exception while processing img1_path")
    assert "Face could not be detected in noface.png" in text  # ours: the reason, too


def test_verify_with_a_vector(client: TestClient) -> None:
    result = client.post("/verify", json={"img1": "a.jpg", "img2": [0.1] * 128, **DLIB}).json()
    assert result["distance"] == pytest.approx(1.059881, abs=2e-6) and result["confidence"] == 0
    names = ("x", "y", "w", "h", "left_eye", "right_eye")
    assert result["facial_areas"]["img2"] == dict.fromkeys(names)


@pytest.fixture
def attributes(monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.server.stand_ins import FixedAge, FixedGender, cached_attributes

    cached_attributes(monkeypatch, Age=FixedAge(), Gender=FixedGender())


@pytest.mark.parametrize("actions", [["age", "gender"], '["age", "gender"]', "age,gender"])
def test_analyze(client: TestClient, attributes: None, actions: Any) -> None:
    fields = {"img": "a.jpg", "actions": actions, "detector_backend": "yunet"}
    (face,) = client.post("/analyze", json=fields).json()["results"]
    assert set(face) == {"age", "dominant_gender", "gender", "face_confidence", "region"}
    assert isinstance(face["age"], int) and set(face["gender"]) == {"Man", "Woman"}
    assert face["region"] == FACE_A["facial_area"]


@pytest.mark.parametrize(
    ("actions", "text"),
    [
        (["foo"], "Invalid action passed ('foo')"),
        ([], "`actions` must be a list of strings."),
        ("", "Invalid action passed ('')"),
    ],
)
def test_analyze_unknown_actions(client: TestClient, actions: Any, text: str) -> None:
    answer = client.post("/analyze", json={"img": "a.jpg", "actions": actions})
    assert text in error_of(answer, 400)


def test_analyze_skip(client: TestClient, attributes: None) -> None:
    fields = {"img": "a.jpg", "actions": ["age"], "detector_backend": "skip"}
    (face,) = client.post("/analyze", json=fields).json()["results"]
    area = {"x": 0, "y": 0, "w": 249, "h": 249, "left_eye": None, "right_eye": None}
    assert face["face_confidence"] == 0.0 and face["region"] == area


def test_a_database_that_nobody_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DEEPFACE_QDRANT_URL", raising=False)
    with client_of(database_type="qdrant") as client:
        for path in ("/register", "/search", "/build/index"):
            text = error_of(client.post(path, json={"img": "a.jpg"}), 500)
            assert "must be provided in `DEEPFACE_CONNECTION_DETAILS`" in text


def test_register_and_search(client: TestClient, pictures: Path) -> None:
    empty = client.post("/search", json={"img": "a.jpg", **DLIB})
    assert (
        "No embeddings found in the database for the criteria model_name='Dlib', "
        "detector_backend='yunet', align=True, l2_normalize=False." in error_of(empty, 400)
    )
    inserted = [
        client.post("/register", json={"img": str(pictures / "a.jpg"), **DLIB}) for _ in range(2)
    ]
    assert [answer.json() for answer in inserted] == [{"inserted": 1}, {"inserted": 0}]
    duplicate = client.post("/register", json={"img": ["a.jpg", "b.jpg"], **DLIB})
    assert "Duplicate detected for extracted face and embedding" in error_of(duplicate, 400)

    assert client.post("/search", json={"img": "b.jpg", **DLIB}).json() == {"results": [[]]}
    fields = {"img": "b.jpg", **DLIB, "similarity_search": True, "k": 1}
    ((row,),) = client.post("/search", json=fields).json()["results"]
    assert row.pop("distance") == pytest.approx(0.07427300624679478, abs=2e-6)
    assert row.pop("confidence") == pytest.approx(26.01, abs=0.011)
    assert row == {
        "aligned": True,
        "detector_backend": "yunet",
        "distance_metric": "cosine",
        "id": 1,
        "img_name": str(pictures / "a.jpg"),
        "l2_normalized": False,
        "model_name": "Dlib",
        "search_method": "exact",
        "target_h": 127,
        "target_w": 96,
        "target_x": 80,
        "target_y": 62,
        "threshold": 0.07,
    }
    assert len(client.post("/search", json={**fields, "k": 0}).json()["results"][0]) == 1
    for wrong, text in (
        ({"search_method": "foo"}, "search_method 'foo'"),
        ({"expand_percentage": "x"}, "expand_percentage"),  # ours: 400 and not 500
        ({"k": "x"}, "k: must be"),
    ):
        assert text in error_of(client.post("/search", json={**fields, **wrong}), 400)


def test_build_index(client: TestClient) -> None:
    pytest.importorskip("faiss")
    client.post("/register", json={"img": "a.jpg", **DLIB})
    assert client.post("/build/index", json=DLIB).json() == {"message": "Index built successfully"}
    fields = {"img": "b.jpg", **DLIB, "search_method": "ann", "similarity_search": True}
    ((row,),) = client.post("/search", json=fields).json()["results"]
    assert row["search_method"] == "ann" and row["distance_metric"] == "euclidean"


def test_tokens(pictures: Path) -> None:
    with client_of(root=pictures, tokens="s3cret, other") as client:
        for header in ({}, {"Authorization": "Bearer no"}, {"Authorization": "Basic s3cret"}):
            for path in ("/represent", "/verify", "/search", "/build/index", "/find"):
                answer = client.post(path, content="{", headers=header)
                text = error_of(answer, 401, "message")
                assert text == "Invalid or missing authentication token"
                assert answer.headers["www-authenticate"].startswith("Bearer")
            assert client.get("/metrics", headers=header).status_code == 401
        for token in ("bearer s3cret", "Bearer other"):
            answer = client.post("/represent", json={}, headers={"Authorization": token})
            assert answer.status_code == 400
        assert client.get("/").status_code == 200 and client.get("/healthz").status_code == 200


def test_the_published_token_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEEPFACE_AUTH_TOKEN", "with, comma")
    with client_of() as client:
        assert client.post("/represent", json={}).status_code == 401
        header = {"Authorization": "Bearer with, comma"}
        assert client.post("/represent", json={}, headers=header).status_code == 401  # two words
    monkeypatch.setenv("DEEPFACE_AUTH_TOKEN", "with,comma")
    with client_of() as client:
        header = {"Authorization": "Bearer with,comma"}
        assert client.post("/represent", json={}, headers=header).status_code == 400


def test_other_origins_are_let_in_only_where_told(pictures: Path) -> None:  # ours
    header = {"Origin": "https://example.org", "Access-Control-Request-Method": "POST"}
    with client_of() as client:
        assert (
            "access-control-allow-origin" not in client.post("/represent", headers=header).headers
        )
    with client_of(cors_origins="*", tokens="x") as client:
        answer = client.options("/represent", headers=header)
        assert answer.status_code == 200 and answer.headers["access-control-allow-origin"] == "*"


def test_an_unknown_database_or_model_stops_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    from deepface.api.src.app import create_app

    monkeypatch.setenv("DEEPFACE_DATABASE_TYPE", "nope")
    with pytest.raises(ValueError, match="Unsupported database type: nope"):
        create_app()
    monkeypatch.setenv("DEEPFACE_DATABASE_TYPE", "SQLite")
    assert create_app()
    monkeypatch.setenv("DEEPFACE_FACE_RECOGNITION_MODELS", "Dlib, Nope")
    with pytest.raises(ValueError, match="Invalid model_name passed - facial_recognition/Nope"):
        create_app()
