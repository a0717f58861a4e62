"""The client against a live server: what the library gives, it gives."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deepface import DeepFace
from deepface.client import Client
from deepface.errors import DeepFaceError, FaceNotDetected, ImgNotFound
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
        assert client.unregister(img_name="a", **SFACE) == {"deleted": 1}

        with pytest.raises(FaceNotDetected, match="enforce_detection"):
            client.represent(noface, **yunet, model_name="SFace")
        with pytest.raises(ImgNotFound, match="nowhere"):
            client.represent("nowhere.jpg", **SFACE)
        with pytest.raises(DeepFaceError, match="max_faces"):
            client.represent(a, max_faces="x", **SFACE)
        with Client(url) as nobody, pytest.raises(DeepFaceError, match="token"):
            nobody.represent(a, **SFACE)
