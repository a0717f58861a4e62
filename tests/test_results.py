"""The types of results say what the results are."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from deepface import DeepFace, results
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


def test_the_functions_keep_their_signatures() -> None:
    assert list(inspect.signature(DeepFace.represent).parameters)[:3] == [
        "img_path",
        "model_name",
        "enforce_detection",
    ]
    assert "two pictures show the same person" in str(inspect.getdoc(DeepFace.verify))


@pytest.mark.heavy
def test_a_strict_type_checker_agrees() -> None:
    script = Path(__file__).with_name("typed_user.py")
    # Silent as of an installed package, whose own files are not the user's.
    options = ["--strict", "--warn-unused-ignores", "--follow-imports=silent"]
    result = subprocess.run(
        [sys.executable, "-m", "mypy", *options, str(script)],
        capture_output=True,
        text=True,
        cwd=script.parents[1],
        check=False,
    )
    assert result.returncode == 0, result.stdout
