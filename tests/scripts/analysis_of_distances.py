"""Distances computed by hand with the published helpers."""

import sys

from deepface import DeepFace
from deepface.modules import verification

folder = sys.argv[1]
a, b = (
    DeepFace.represent(f"{folder}/{name}.png", model_name="Dlib")[0]["embedding"]
    for name in ("portrait", "smaller")
)
distance = verification.find_distance(a, b, "euclidean")
assert distance == round(float(verification.find_euclidean_distance(a, b)), 6)
assert distance <= verification.find_threshold("Dlib", "euclidean")
assert 51 <= verification.find_confidence(distance, "Dlib", True, "euclidean") <= 100
