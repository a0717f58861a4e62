"""The types of results say what the results are."""

from __future__ import annotations

import inspect
from typing import Any, get_type_hints

from deepface import DeepFace, results
from deepface.search import table
from tests.data import package_pictures

PORTRAIT = str(package_pictures()[0])


def keys(result: dict[str, Any], declared: Any) -> None:
    """All that is required is there, and nothing that is not declared."""
    assert declared.__required_keys__ <= set(result) <= set(declared.__annotations__), declared


def test_keys() -> None:
    for face in DeepFace.extract_faces(PORTRAIT, detector_backend="mtcnn"):
        keys({**face}, results.ExtractedFace)
        keys({**face["facial_area"]}, results.FacialArea)
    for detector in ("mtcnn", "opencv", "skip"):
        for embedding in DeepFace.represent(
            PORTRAIT, "Dlib", detector_backend=detector, return_face=True
        ):
            keys({**embedding}, results.Embedding)
    decision = DeepFace.verify(PORTRAIT, PORTRAIT, "Dlib")
    keys({**decision}, results.Verification)
    keys({**decision["facial_areas"]}, results.ComparedAreas)


def test_rows_are_those_of_the_tables() -> None:
    for row, columns in (
        (results.Match, table.FIND),
        (results.StoredMatch, table.SEARCH),
        (results.StoredFace, table.FACES),
    ):
        # Databases have ids of their own, embeddings no box.
        like = {Any: int, int | None: int}
        hints = {name: like.get(kind, kind) for name, kind in get_type_hints(row).items()}
        assert list(hints.items()) == list(columns.items()), row


def test_the_functions_keep_their_signatures() -> None:
    assert list(inspect.signature(DeepFace.represent).parameters)[:3] == [
        "img_path",
        "model_name",
        "enforce_detection",
    ]
    assert "two pictures show the same person" in str(inspect.getdoc(DeepFace.verify))
