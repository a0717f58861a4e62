"""Vectors from a database go straight into verify."""

import sys

from deepface import DeepFace

path = f"{sys.argv[1]}/portrait.png"
embedding = DeepFace.represent(img_path=path, model_name="Dlib")[0]["embedding"]
result = DeepFace.verify(embedding, embedding, model_name="Dlib", silent=True)
assert result["verified"] is True
assert result["distance"] <= 0.000001
assert result["facial_areas"]["img1"]["x"] is None
mixed = DeepFace.verify(embedding, path, model_name="Dlib")
assert mixed["verified"] and mixed["facial_areas"]["img2"]["w"] > 0
