"""Dlib's own network, whose weights come with a package."""

from __future__ import annotations

import threading
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest

from deepface.recognition import dlib
from deepface.recognition.dlib import Dlib
from deepface.recognition.registry import RECOGNIZERS
from tests.interleaved import OneAtATime, at_once


@pytest.mark.skipif(
    not find_spec("face_recognition_models"), reason="needs pip install face_recognition_models"
)
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


def test_one_thread_at_a_time() -> None:
    """dlib's networks keep state while they run."""

    alone = OneAtATime()

    class Network:
        def compute_face_descriptor(self, faces: list[Any]) -> list[Any]:
            alone()
            return [np.zeros(128)] * len(faces)

    model = Dlib.__new__(Dlib)
    model.model, model._lock, model._at_once = Network(), threading.Lock(), 1
    face = np.zeros((2, 150, 150, 3), np.float32)
    at_once(lambda _: model.embed(face), dlib, threads=4)
