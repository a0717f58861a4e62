"""A list in, a list of lists out."""

import sys

from deepface import DeepFace

folder = sys.argv[1]
paths = [f"{folder}/portrait.png", f"{folder}/faceless.png"]
results = DeepFace.extract_faces(paths, enforce_detection=False)
assert len(results) == 2
for path, faces in zip(paths, results, strict=True):
    for face in faces:
        assert (face["confidence"] > 0) == ("portrait" in path)
