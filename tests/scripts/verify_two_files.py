"""The first example of every tutorial."""

import sys

from deepface import DeepFace

folder = sys.argv[1]
result = DeepFace.verify(
    img1_path=f"{folder}/portrait.png",
    img2_path=f"{folder}/smaller.png",
    model_name="Dlib",
    distance_metric="euclidean_l2",
)
assert list(result) == [
    "verified", "distance", "threshold", "confidence", "model", "detector_backend",
    "similarity_metric", "facial_areas", "time",
]  # fmt: skip
assert result["verified"] is True and result["threshold"] == 0.4
assert result["similarity_metric"] == "euclidean_l2" and result["confidence"] > 51
