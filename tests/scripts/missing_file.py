"""A path that does not exist."""

from deepface import DeepFace
from deepface.modules.exceptions import ImgNotFound

try:
    DeepFace.extract_faces("nowhere/nobody.jpg")
except ImgNotFound as error:
    assert "Confirm that nowhere/nobody.jpg exists" in str(error)
else:
    raise AssertionError("no error")
