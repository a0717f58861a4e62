"""What the published library finds in the photographs, against ``extract_faces``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from deepface import DeepFace
from tests.data import golden, photo

#: Photographs that a slow detector can do in a test.
SMALL = ("img5.jpg", "img11.jpg", "img16.jpg", "img25.jpg", "img50.jpg", "selfie-many-people.jpg")


def all_names() -> list[str]:
    return list(golden("detection.json")["images"])


def telling(faces: Mapping[str, int]) -> list[str]:
    """Of pictures by their number of faces: none above a megapixel with one.

    There are a dozen such, and large faces are in those with several, too.
    """
    shapes = {name: facts["shape"] for name, facts in golden("detection.json")["images"].items()}
    large = {name for name, (height, width, _) in shapes.items() if height * width > 1e6}
    return [name for name, count in faces.items() if count != 1 or Path(name).name not in large]


def assert_as_published(
    detector: str, names: Sequence[str], align: bool, in_order: bool = True
) -> None:
    """Equal boxes, eyes and confidences; the opencv detector's published order is arbitrary."""
    images = golden("detection.json")["images"]
    compared = 0
    for name in names:
        expected = images[name].get(f"{detector}/align={align}")
        if expected is None:
            continue
        found: list[Any] = DeepFace.extract_faces(
            photo(name), detector_backend=detector, enforce_detection=False, align=align
        )
        got, wanted = [row(face) for face in found], [row(face) for face in expected]
        if not in_order:
            got, wanted = sorted(got, key=str), sorted(wanted, key=str)
        assert got == wanted, name
        compared += len(got)
    assert compared


def row(face: dict[str, Any]) -> list[Any]:
    """Box, eyes and confidence, for comparison."""
    area = face["facial_area"]
    eyes = [area[key] and tuple(area[key]) for key in ("left_eye", "right_eye")]
    return [*(area[key] for key in "xywh"), *eyes, face["confidence"]]
