"""max_faces and the face that goes with a vector."""

import sys

from deepface import DeepFace

(item,) = DeepFace.represent(
    f"{sys.argv[1]}/portrait.png",
    model_name="Dlib",
    max_faces=1,
    return_face=True,
    l2_normalize=True,
)
assert item["face"].shape == (150, 150, 3) and item["face"].dtype == "float32"
assert abs(sum(value * value for value in item["embedding"]) - 1) < 1e-6
