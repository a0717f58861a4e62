"""Another detector by name, and what happens with a wrong name."""

import sys

from deepface import DeepFace

path = f"{sys.argv[1]}/portrait.png"
faces = DeepFace.extract_faces(img_path=path, detector_backend="mtcnn", expand_percentage=10)
assert faces[0]["confidence"] > 0.9
try:
    DeepFace.extract_faces(img_path=path, detector_backend="mtcn")
except ValueError as error:
    assert "mtcn" in str(error) and "opencv, " in str(error)
else:
    raise AssertionError("a wrong name was accepted")
