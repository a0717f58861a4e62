"""Crops go back in with detector_backend="skip": the same vector as in one go."""

import sys

import numpy as np

from deepface import DeepFace

path = f"{sys.argv[1]}/portrait.png"
direct = DeepFace.represent(path, model_name="Dlib")[0]["embedding"]
face = DeepFace.extract_faces(path)[0]["face"]
skipped = DeepFace.represent(face[:, :, ::-1], model_name="Dlib", detector_backend="skip")
assert skipped[0]["face_confidence"] == 0
height, width = face.shape[:2]
assert skipped[0]["facial_area"] == {"x": 0, "y": 0, "w": height, "h": width}
assert np.allclose(direct, skipped[0]["embedding"], rtol=1e-5, atol=1e-6)
