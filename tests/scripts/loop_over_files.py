"""A loop over files, the ValueError of a faceless one caught."""

import sys
from pathlib import Path

from deepface import DeepFace

found = {}
for path in sorted(Path(sys.argv[1]).iterdir()):
    try:
        found[path.name] = len(DeepFace.extract_faces(img_path=str(path)))
    except ValueError as error:
        assert "Face could not be detected" in str(error)
        found[path.name] = 0
assert found == {"faceless.png": 0, "portrait.png": 1, "smaller.png": 1}, found
