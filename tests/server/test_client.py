"""The client against a live server: what the library gives, it gives."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from deepface import DeepFace
from deepface.client import Client
from deepface.errors import (
    DeepFaceError,
    FaceNotDetected,
    ImgNotFound,
    InvalidArgument,
    UnimplementedError,
)
from tests.data import read, weight
from tests.server.conftest import live
from tests.server.stand_ins import FixedAge, cached_attributes
from tests.server.test_law import same
from tests.stand_ins import ColorModel, cached

#: Known by name, or there would be no threshold; its network is a stand-in.
SFACE: dict[str, Any] = {"detector_backend": "skip", "model_name": "SFace"}


@pytest.fixture
def model() -> Iterator[None]:
    with cached("facial_recognition", "SFace", ColorModel()):
        yield


def test_its_functions_are_those_of_the_library(
    pictures: Path, tmp_path: Path, model: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    weight("face_detection_yunet_2023mar.onnx")
    cached_attributes(monkeypatch, Age=FixedAge())
    a, b, noface = (pictures / name for name in ("a.jpg", "b.jpg", "noface.png"))
    pixels = read(a)
    settings = {"database_type": "sqlite", "connection_details": str(tmp_path / "faces.db")}
    given: dict[str, Any] = {"galleries": {"people": pictures}, "tokens": "s3cret", **settings}
    with live(**given) as (url, _), Client(url, token="s3cret") as client:
        images: list[Any] = [
            a,
            str(b),
            a.read_bytes(),
            pixels,
            [a, b],
            (pixels, b),
            np.stack([pixels]),
        ]
        for image in images:
            alone = image if not isinstance(image, tuple) else list(image)
            same(client.represent(image, **SFACE), DeepFace.represent(alone, **SFACE))
        same(client.verify(a, b, **SFACE), DeepFace.verify(str(a), str(b), **SFACE))
        vector = [0.1, 0.2] * 64
        assert client.verify(vector, np.array(vector), **SFACE)["distance"] == pytest.approx(0)
        yunet: dict[str, Any] = {"detector_backend": "yunet"}
        (face,) = client.extract_faces(a, **yunet)
        expected: dict[str, Any] = {**DeepFace.extract_faces(a, **yunet)[0]}
        np.testing.assert_allclose(face.pop("face"), expected.pop("face"), atol=0.5 / 255)
        same(face, expected)
        assert "face" not in client.extract_faces([a], faces="none", **yunet)[0][0]
        options: dict[str, Any] = {"actions": ["age"], "detector_backend": "skip"}
        same(client.analyze(a, **options), DeepFace.analyze(a, silent=True, **options))
        (table,) = client.find(a, "people", **SFACE)
        assert "a.jpg" in {row["identity"] for row in table}

        assert client.register(a, img_name="a", **SFACE) == {"inserted": 1}
        assert client.search(a, **SFACE)[0][0]["img_name"] == "a"
        (row,) = client.list_faces(**SFACE)
        assert client.identify(a, row["id"], **SFACE)["verified"]
        client.build_index(**SFACE)
        assert client.unregister(b, **SFACE) == {"deleted": 0}
        assert client.unregister(a, **SFACE) == {"deleted": 1}
        assert client.unregister(img_name="a", **SFACE) == {"deleted": 0}

        with pytest.raises(FaceNotDetected, match="enforce_detection"):
            client.represent(noface, **yunet, model_name="SFace")
        with pytest.raises(ImgNotFound, match="nowhere"):
            client.represent("nowhere.jpg", **SFACE)
        with pytest.raises(DeepFaceError, match="max_faces"):
            client.represent(a, max_faces="x", **SFACE)
        with Client(url) as nobody, pytest.raises(DeepFaceError, match="token"):
            nobody.represent(a, **SFACE)


def test_a_picture_is_what_the_library_takes_for_one(pictures: Path, model: None) -> None:
    path = pictures / "a.jpg"
    pixels = read(path)
    webp = cv2.imencode(".webp", pixels, [cv2.IMWRITE_WEBP_QUALITY, 101])[1].tobytes()
    one: list[Any] = [
        path, bytearray(path.read_bytes()), memoryview(path.read_bytes()), webp, io.BytesIO(webp),
        Image.open(path), pixels, pixels[..., 0], pixels / 255, pixels.astype(np.float32),
        pixels.astype(np.uint16) * 256, pixels > 128, np.dstack([pixels, pixels[..., :1]]),
    ]  # fmt: skip
    bad: list[Any] = [
        None, 5, {"a"}, b"no picture", "nowhere.jpg", pictures, np.zeros((0, 0, 3), np.uint8),
        np.array(5), pixels * 2.0, pixels.astype(complex), [path, None],
    ]  # fmt: skip
    with live() as (url, _), Client(url) as client:
        for value in one:
            alone = io.BytesIO(webp) if isinstance(value, io.BytesIO) else value
            if isinstance(value, np.ndarray) and value.dtype.kind == "f":
                alone = pixels  # they are sent rounded
            same(client.represent(value, **SFACE), DeepFace.represent(alone, **SFACE))
        assert len(client.represent((x for x in [path, pixels]), **SFACE)) == 2
        assert len(client.represent(np.array([str(path)] * 2), **SFACE)) == 2
        vectors = np.random.default_rng(0).random((2, 128))
        expected = client.verify(*vectors.tolist(), **SFACE)["distance"]
        for kind in (np.array, pd.Series):
            assert client.verify(*map(kind, vectors), **SFACE)["distance"] == expected
        assert client.represent([], **SFACE) == []
        for value in bad:
            with pytest.raises(DeepFaceError):
                client.represent(value, **SFACE)


def test_fields_are_of_any_type(pictures: Path, tmp_path: Path, model: None) -> None:
    path, place = pictures / "a.jpg", str(tmp_path / "faces.db")
    given: dict[str, Any] = {"database_type": "sqlite", "connection_details": place}
    with live(**given) as (url, _), Client(url) as client:
        options = {**SFACE, "max_faces": np.int64(1), "align": np.bool_(True), "l2_normalize": None}
        assert len(client.represent(path, **options)) == 1
        assert client.register(path, img_name=Path("x"), **SFACE) == {"inserted": 1}
        assert client.unregister(img_name="x", identity_id=None, **SFACE) == {"deleted": 1}
        names: Any = {"b": "b", "c": "c"}.values()
        both = [path, read(path)[:, ::-1]]
        assert client.register(both, img_name=names, **SFACE) == {"inserted": 2}
        assert client.unregister(img_name="c", identity_id=None, **SFACE) == {"deleted": 1}
        with pytest.raises(DeepFaceError, match="cannot be sent"):
            client.represent(path, align=object(), **SFACE)
        with pytest.raises(ValueError, match="float"):
            client.verify(path, path, threshold=float("nan"), **SFACE)


def test_options_mean_what_they_mean_in_the_library(pictures: Path, tmp_path: Path) -> None:
    """The same result, or an error of the same class: none is left out of account."""
    faces, noface = pictures / "a.jpg", pictures / "noface.png"
    weight("face_detection_yunet_2023mar.onnx")
    details: dict[str, Any] = {
        "database_type": "sqlite",
        "connection_details": str(tmp_path / "there.db"),
    }
    here = {**details, "connection_details": str(tmp_path / "here.db")}
    model: dict[str, Any] = {"model_name": "SFace", "detector_backend": "yunet"}
    options: list[dict[str, Any]] = [
        {"enforce_detection": "empty"}, {"enforce_detection": False}, {"enforce_detection": True},
        {"enforce_detection": "some"}, {"expand_percentage": 10}, {"expand_percentage": "x"},
        {"align": False}, {"align": "sideways"}, {"detector_backend": "nope"}, {"no_option": 1},
    ]  # fmt: skip
    with (
        cached("facial_recognition", "SFace", ColorModel()),
        live(**details) as (url, _),
        Client(url) as client,
    ):
        for image in (noface, [noface, faces]):
            alone = str(image) if isinstance(image, Path) else [str(item) for item in image]
            for option in [*options, {"max_faces": 0}, {"normalization": "nope"}]:
                asked = {**model, **option}
                both(client.represent, DeepFace.represent, image, alone, asked)
            for option in [*options, {"border": 0.25}, {"max_faces": 0}]:
                asked = {"detector_backend": "yunet", **option}
                both(client.extract_faces, DeepFace.extract_faces, image, alone, asked)
        for option in [*options, {"distance_metric": "nope"}, {"threshold": "x"}]:
            for other in (faces, noface):
                asked = {**model, **option}
                both(
                    partial(client.verify, faces),
                    partial(DeepFace.verify, str(faces), silent=True),
                    *(other, str(other), asked),
                )
        for option in [{}, *options]:
            asked = {**model, **option}
            both(client.register, partial(DeepFace.register, **here), faces, str(faces), asked)
        found = partial(DeepFace.search, return_type="dict", **here)
        for option in [{}, *options, {"distance_metric": "nope"}, {"k": -1}, {"k": "x"}]:
            asked = {**model, **option}
            both(client.search, found, faces, str(faces), asked)
            both(client.search, found, noface, str(noface), asked)
        assert client.search(faces, **model)[0][0]["img_name"] == str(faces)


def both(there: Any, here: Any, image: Any, alone: Any, options: dict[str, Any]) -> None:
    """What the library does is done, or there is no field of this name, which is said."""
    try:
        answer = there(image, **options)
    except DeepFaceError as error:
        answer = error
    try:
        expected = here(alone, **options)
    except (ValueError, TypeError) as error:
        cause = error.__cause__ if type(error) is ValueError else error  # verify's "img1_path"
        expected = InvalidArgument() if isinstance(cause, TypeError) else cause
    if isinstance(answer, InvalidArgument) and "has no field" in str(answer):
        return
    if isinstance(expected, Exception) or isinstance(answer, Exception):
        wrong = (InvalidArgument, UnimplementedError)
        kinds = {wrong[0] if isinstance(x, wrong) else type(x) for x in (answer, expected)}
        assert len(kinds) == 1, (options, answer, expected)
        return
    for entry in [answer, expected]:
        for face in _dicts(entry):
            face.pop("face", None)
    same(answer, expected)


def _dicts(entry: Any) -> Iterator[dict[str, Any]]:
    if isinstance(entry, dict):
        yield entry
    elif isinstance(entry, list):
        for item in entry:
            yield from _dicts(item)


def test_what_is_no_answer_is_an_error_of_the_library(pictures: Path) -> None:
    class Gateway(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(502)
            self.end_headers()
            self.wfile.write(b"<html>Bad gateway</html>")

    server = HTTPServer(("127.0.0.1", 0), Gateway)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    with Client(url) as client, pytest.raises(DeepFaceError, match=r"502.*Bad gateway"):
        client.represent(pictures / "a.jpg")
    server.shutdown()
    server.server_close()
    with Client(url) as client, pytest.raises(DeepFaceError, match=url):
        client.represent(pictures / "a.jpg")
    with live(tokens="schl\u00fcssel") as (url, _):
        for token, text in (("schl\u00fcssel", "Galleries"), ("other", "token"), ("a\nb", url)):
            with Client(url, token=token) as client, pytest.raises(DeepFaceError, match=text):
                client.find(pictures / "a.jpg", "none")
