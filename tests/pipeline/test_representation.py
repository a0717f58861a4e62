"""``represent`` with dlib's network, whose real weights come with a package."""

from __future__ import annotations

from functools import cache, partial
from itertools import compress
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from deepface import DeepFace
from deepface.errors import FaceNotDetected, MissingPackageError, UnimplementedError, WeightsError
from deepface.pipeline import FacePipeline
from deepface.recognition.registry import RECOGNIZERS
from tests import laws
from tests.data import data, golden, read
from tests.test_batch_laws import pictures

represent: Any = partial(DeepFace.represent, model_name="Dlib", enforce_detection=False)


@pytest.fixture(autouse=True, scope="module")
def dlib_model() -> None:
    try:
        RECOGNIZERS.build("Dlib")
    except (MissingPackageError, WeightsError) as error:
        pytest.skip(str(error))


def same_items(found: list[dict[str, Any]], expected: list[dict[str, Any]]) -> None:
    """Equal areas; embeddings within 1e-5 relative, as law 1 asks for."""
    assert len(found) == len(expected)
    for item, wanted in zip(found, expected, strict=True):
        assert item["facial_area"] == wanted["facial_area"]
        assert item["face_confidence"] == wanted["face_confidence"]
        a, b = np.array(item["embedding"]), np.array(wanted["embedding"])
        assert np.linalg.norm(a - b) <= 1e-5 * np.linalg.norm(b)


@pytest.mark.parametrize(
    "law", [laws.single_equals_any_batch, laws.permutation_permutes, laws.duplicates_are_equal]
)
def test_laws(law: Any) -> None:
    law(once(), pictures(), same_items)


@cache
def once() -> laws.Once:
    return laws.Once(represent, pictures())


def test_chunk_size_changes_nothing() -> None:
    """One at a time is what the laws begin with, and all at once."""
    for size in (2, 3):
        laws.same_lists(represent(pictures(), batch_size=size), once()(pictures()), same_items)


def test_empty_and_threads() -> None:
    laws.empty_gives_nothing(represent)
    laws.threads_agree(represent, pictures()[:3], same_items)


@pytest.mark.heavy
@pytest.mark.parametrize("detector", ["opencv", "yunet"])
def test_golden_embeddings(detector: str) -> None:
    """The published library's vectors of real faces, same detector: cosine of 0.9999 at least.

    Large photographs take the cascade seconds: its faces there are in ``test_golden_opencv.py``.
    """
    faces = golden("dlib.json")["faces"]
    keys = [key for key in faces if key.endswith(f"|{detector}")]
    photos = [read(data("images", key.split("|")[0])) for key in keys]
    if detector == "opencv":
        small = [photo.size < 3_000_000 for photo in photos]
        keys, photos = list(compress(keys, small)), list(compress(photos, small))
    assert len(keys) >= (20 if detector == "opencv" else 40)
    try:
        results = represent(photos, detector_backend=detector)
    except WeightsError as error:
        pytest.skip(str(error))

    def place(item: dict[str, Any]) -> list[int]:
        return [item["facial_area"][k] for k in "xyw"]

    for key, items in zip(keys, results, strict=True):
        expected = sorted(faces[key], key=place)
        assert len(items) == len(expected), key
        for item, wanted in zip(sorted(items, key=place), expected, strict=True):
            assert place(item) == place(wanted), key
            a, b = np.array(item["embedding"]), np.array(wanted["embedding"])
            assert a @ b / np.linalg.norm(a) / np.linalg.norm(b) >= 0.9999, key


def test_items() -> None:
    portrait = pictures()[0]
    (item,) = represent(portrait)
    assert list(item) == ["embedding", "facial_area", "face_confidence"]
    assert len(item["embedding"]) == 128
    assert type(item["embedding"][0]) is float
    (with_face,) = represent(portrait, return_face=True, normalization="raw")
    assert with_face["face"].shape == (150, 150, 3)
    assert with_face["face"].dtype == np.float32
    assert with_face["face"].max() > 1
    ((kept,), *_) = represent([portrait] * 3, return_face=True)
    assert kept["face"].flags.owndata  # who keeps one face of many keeps no others


def test_skip_embeds_the_picture_as_it_is() -> None:
    picture = pictures()[2]
    (item,) = represent(picture, detector_backend="skip")
    height, width = picture.shape[:2]
    assert height != width
    assert item["facial_area"] == {"x": 0, "y": 0, "w": height, "h": width}
    assert item["face_confidence"] == 0
    # The same face as floats: crops that were extracted before keep their precision.
    (again,) = represent(picture / 255, detector_backend="skip")
    unrounded = FacePipeline("skip", "Dlib", skip_rounds=False)
    np.testing.assert_allclose(
        again["embedding"], unrounded(picture)[0]["embedding"], rtol=0, atol=1e-6
    )


def test_normalised_vectors() -> None:
    portrait = pictures()[0]
    plain = np.array(represent(portrait)[0]["embedding"])
    unit = np.array(represent(portrait, l2_normalize=True)[0]["embedding"])
    np.testing.assert_allclose(unit, plain / np.linalg.norm(plain), atol=1e-7)
    scaled = np.array(represent(portrait, minmax_normalize=True)[0]["embedding"])
    low, high = golden("tables.json")["minmax_values"]["Dlib"]
    np.testing.assert_allclose(scaled, (np.clip(plain, low, high) - low) / (high - low), atol=1e-7)


def test_max_faces_keeps_the_largest() -> None:
    several = pictures()[2]
    everyone = represent(several, detector_backend="mtcnn")
    assert len(everyone) >= 2
    (one,) = represent(several, detector_backend="mtcnn", max_faces=1)
    areas = [item["facial_area"]["w"] * item["facial_area"]["h"] for item in everyone]
    assert one["facial_area"]["w"] * one["facial_area"]["h"] == max(areas)


class Cryptosystem:
    """Stands in for LightPHE."""

    def encrypt(self, vector: list[float]) -> str:
        return f"{len(vector)} secrets"


def test_encryption_needs_a_suitable_vector(caplog: pytest.LogCaptureFixture) -> None:
    portrait = pictures()[0]
    (item,) = represent(portrait, cryptosystem=Cryptosystem())
    assert "encrypted_embedding" not in item
    assert "not encrypted" in caplog.text
    (item,) = represent(
        portrait, cryptosystem=Cryptosystem(), minmax_normalize=True, l2_normalize=True
    )
    assert item["encrypted_embedding"] == "128 secrets"


def test_errors(tmp_path: Path) -> None:
    with pytest.raises(UnimplementedError, match=r"Nobody\. Known names: .*Dlib"):
        represent(pictures()[0], model_name="Nobody")
    with pytest.raises(ValueError, match="unimplemented normalization type - none"):
        represent(pictures()[0], normalization="none")
    black = tmp_path / "black.png"
    cv2.imwrite(str(black), np.zeros((90, 80, 3), np.uint8))
    with pytest.raises(FaceNotDetected, match=r"item 1 .*black\.png"):
        represent([pictures()[0], black], enforce_detection=True)
    with pytest.raises(UnimplementedError, match="Dlib has no option 'precision'"):
        represent(pictures()[0], precision="bf16")
