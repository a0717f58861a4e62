"""A distance of the caller's own."""

import sys

import numpy as np

from deepface import DeepFace

path = f"{sys.argv[1]}/portrait.png"


def manhattan(a, b):
    return float(np.abs(a - b).sum())


result = DeepFace.verify(path, path, model_name="Dlib", distance_metric=manhattan, threshold=1.0)
assert result["verified"] and result["similarity_metric"] is manhattan
try:
    DeepFace.verify(path, path, model_name="Dlib", distance_metric=manhattan)
except ValueError as error:
    assert "threshold" in str(error)
