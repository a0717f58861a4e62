"""enforce_detection=False: a picture without a face is one face, with confidence 0."""

import sys

from deepface import DeepFace

faces = DeepFace.extract_faces(f"{sys.argv[1]}/faceless.png", enforce_detection=False)
assert len(faces) == 1 and faces[0]["confidence"] == 0
assert faces[0]["facial_area"]["w"] == faces[0]["face"].shape[1] - 1
