"""What the service grants, and that it answers as the functions do."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from deepface import DeepFace
from deepface.server import batching
from deepface.server.service import Service
from deepface.server.settings import Settings
from tests.server.conftest import client_of
from tests.server.test_law import uri
from tests.stand_ins import ColorModel


@pytest.mark.parametrize(
    ("asked", "granted"), [(None, 8), (-1, 0), (0, 0), (0.25, 0.25), (7, 7), (8, 8), (9, 8)]
)
def test_the_time_of_a_request(
    asked: float | None, granted: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it asks for, at most what the server grants."""
    service = Service(Settings.load(timeout=8))
    with monkeypatch.context() as patch:
        patch.setattr(batching, "time", SimpleNamespace(monotonic=lambda: 100.0))
        with service.call(asked) as call:
            assert call.deadline == 100 + granted
    service.close()


def test_each_setting_says_what_it_is() -> None:
    """In the help of the command, and in the documents."""
    unexplained = [name for name, field in Settings.model_fields.items() if not field.description]
    assert not unexplained


@pytest.mark.parametrize("images", [1, 3])
def test_verify_of_whole_pictures_gives_the_numbers_of_the_function(
    images: int, colors: ColorModel
) -> None:
    """Whatever is rounded on the way of a whole picture to the model's size."""
    rng = np.random.default_rng(0)
    first, second = (
        [rng.integers(0, 256, (50 + 9 * n, 61, 3), np.uint8) for n in range(images)]
        for _ in range(2)
    )
    options: dict[str, Any] = {
        "model_name": "colors", "detector_backend": "skip", "distance_metric": "euclidean",
        "threshold": 1.0,
    }  # fmt: skip
    with client_of() as client:
        sent = {"img1": list(map(uri, first)), "img2": list(map(uri, second))}
        answer = client.post("/verify", json={**sent, **options})
    found = answer.json()["results"]
    expected = DeepFace.verify(first, second, **options)
    assert [one["distance"] for one in found] == [one["distance"] for one in expected]
