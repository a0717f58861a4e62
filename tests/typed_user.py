"""A user's script as a strict type checker sees it: ``make lint`` does; never run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import assert_type

from deepface import DeepFace
from deepface.results import Analysis, Embedding, ExtractedFace, Match, StoredMatch, Verification


def one_picture(picture: NDArray[np.uint8], file: Path) -> None:
    """A list of faces, whose keys are known."""
    faces = DeepFace.extract_faces("a.jpg", detector_backend="mtcnn", align=False)
    assert_type(faces, list[ExtractedFace])
    assert_type(faces[0]["facial_area"]["x"], int)
    assert_type(faces[0]["facial_area"]["left_eye"], tuple[int, int] | None)
    assert_type(faces[0]["face"], NDArray[Any])
    assert_type(DeepFace.extract_faces(picture), list[ExtractedFace])
    assert_type(DeepFace.extract_faces(memoryview(b"...")), list[ExtractedFace])
    assert_type(DeepFace.represent(img_path=file, model_name="Dlib"), list[Embedding])
    assert_type(DeepFace.represent(b"...")[0]["embedding"], list[float])
    assert_type(DeepFace.analyze(file, actions="age"), list[Analysis])
    assert_type(DeepFace.verify("a.jpg", picture), Verification)
    assert_type(DeepFace.verify([0.1, 0.2], "b.jpg")["verified"], bool)


def many_pictures(pictures: list[NDArray[np.uint8]], files: Iterator[str]) -> None:
    """A list of faces for each."""
    assert_type(DeepFace.extract_faces(pictures), list[list[ExtractedFace]])
    assert_type(DeepFace.represent(files, batch_size=8), list[list[Embedding]])
    assert_type(DeepFace.analyze(("a.jpg", "b.jpg")), list[list[Analysis]])
    assert_type(DeepFace.verify(["a.jpg"], ["b.jpg"], silent=True), list[Verification])


def tables(picture: NDArray[np.uint8], vector: list[float]) -> None:
    """Rows are whatever the caller says that was asked for."""
    rows: list[Match] = DeepFace.find("a.jpg", "people/", return_type="dict")[0]
    assert_type(rows[0]["distance"], float)
    assert_type(DeepFace.find(picture, db_path="people/"), list[Any])
    assert_type(DeepFace.find([picture], "people/", k=3), list[list[Any]])
    assert_type(DeepFace.search("a.jpg", k=1), list[Any])
    assert_type(DeepFace.search(img=vector, return_type="dict"), list[Any])
    found: list[list[list[StoredMatch]]] = DeepFace.search(("a.jpg", "b.jpg"), return_type="dict")
    assert_type(found[0][0][0]["target_x"], int | None)


def mistakes() -> None:
    """Each comment is an error that must be there: ``warn_unused_ignores`` checks it."""
    DeepFace.extract_faces("a.jpg", detector="mtcnn")  # type: ignore[call-overload]
    DeepFace.represent("a.jpg")[0]["vector"]  # type: ignore[typeddict-item]
    DeepFace.verify("a.jpg")  # type: ignore[call-overload]
    DeepFace.find("a.jpg", "people/", modelname="Dlib")  # type: ignore[call-overload]
    DeepFace.search("a.jpg", method="ann")  # type: ignore[call-overload]
