"""``detector_backend="skip"``: a picture that is a face."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from deepface import DeepFace
from deepface.pipeline import FacePipeline
from tests.images.pictures import encoded, picture
from tests.stand_ins import ColorModel, cached


@pytest.mark.parametrize("size", [(194, 194), (7, 300), (300, 7), (1, 1), (32, 32), (90, 31)])
@pytest.mark.parametrize("kind", ["array", "path", "bytes", "list"])
def test_skip_resizes_uint8_as_uint8(size: tuple[int, int], kind: str, tmp_path: Path) -> None:
    """As published: OpenCV rounds then; ``verify`` and ``find`` resize floats instead."""
    image = picture(*size)
    path = tmp_path / "x.png"
    path.write_bytes(encoded(image))
    img: Any = {"path": str(path), "bytes": encoded(image)}.get(kind, image)
    with cached("facial_recognition", "colors", ColorModel()):
        if kind == "list":
            ((face,),) = DeepFace.represent(
                [img], "colors", detector_backend="skip", return_face=True
            )
        else:
            (face,) = DeepFace.represent(img, "colors", detector_backend="skip", return_face=True)
        unrounded = FacePipeline("skip", "colors", return_face=True, skip_rounds=False)(image)[0]
    height, width = size
    scale = min(32 / height, 32 / width)
    inner = max(1, int(width * scale)), max(1, int(height * scale))
    top, left = (32 - inner[1]) // 2, (32 - inner[0]) // 2
    for found, resized in (
        (face["face"], cv2.resize(image, inner).astype(np.float32) / 255),
        (unrounded["face"], cv2.resize(image / 255, inner)),
    ):
        part = found[top : top + inner[1], left : left + inner[0]]
        np.testing.assert_allclose(part, resized.reshape(part.shape), rtol=0, atol=1e-7)
        assert found.sum() == pytest.approx(part.sum(), rel=1e-6)


class Noting(ColorModel):
    """Keeps what it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[NDArray[np.float32]] = []

    def embed(self, batch: NDArray[np.float32]) -> NDArray[Any]:
        self.seen += list(batch)
        return super().embed(batch)


def test_verify_and_find_resize_floats(tmp_path: Path) -> None:
    image, model = picture(90, 61), Noting()
    (tmp_path / "x.png").write_bytes(encoded(image))
    options: dict[str, Any] = {"detector_backend": "skip", "threshold": 1}
    with cached("facial_recognition", "colors", model):
        DeepFace.verify(image, image, "colors", **options)
        DeepFace.find(image, str(tmp_path), "colors", **options)
        unrounded = FacePipeline("skip", "colors", return_face=True, skip_rounds=False)(image)[0]
    assert len(model.seen) == 5
    for given in model.seen:
        np.testing.assert_array_equal(given, unrounded["face"])
