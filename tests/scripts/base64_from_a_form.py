"""A web form sends data:image/...;base64 text."""

import base64
import sys
from pathlib import Path

from deepface import DeepFace

encoded = base64.b64encode(Path(sys.argv[1], "portrait.png").read_bytes()).decode()
faces = DeepFace.extract_faces("data:image/png;base64," + encoded)
assert len(faces) == 1
try:
    DeepFace.extract_faces("data:image/webp;base64," + base64.b64encode(b"RIFF....WEBP").decode())
except ValueError as error:
    assert "Input image can be jpg or png, but it is" in str(error)
else:
    raise AssertionError("webp was accepted")
