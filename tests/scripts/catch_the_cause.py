"""verify hides the cause of an error behind a plain ValueError."""

import sys

from deepface import DeepFace
from deepface.modules.exceptions import FaceNotDetected

folder = sys.argv[1]
try:
    DeepFace.verify(f"{folder}/portrait.png", f"{folder}/faceless.png", model_name="Dlib")
except ValueError as error:
    assert "Exception while processing img2_path" in str(error)
    assert isinstance(error.__cause__, FaceNotDetected)
else:
    raise AssertionError("no error")
