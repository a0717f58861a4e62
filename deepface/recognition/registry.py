"""Recognition models by name."""

from __future__ import annotations

from deepface.recognition.model import FacialRecognition
from deepface.runtime.models import Entry, Registry

_MODULES = {
    "VGG-Face": "vgg_face:VggFace",
    "Facenet": "facenet:Facenet128",
    "Facenet512": "facenet:Facenet512",
    "OpenFace": "openface:OpenFace",
    "DeepFace": "fb_deepface:FbDeepFace",
    "DeepID": "deepid:DeepId",
    "Dlib": "dlib:Dlib",
    "ArcFace": "arcface:ArcFace",
    "SFace": "sface:SFace",
    "GhostFaceNet": "ghostfacenet:GhostFaceNet",
    "Buffalo_L": "buffalo_l:BuffaloL",
}

RECOGNIZERS: Registry[FacialRecognition] = Registry(
    "facial_recognition",
    {name: Entry(f"deepface.recognition.{path}") for name, path in _MODULES.items()},
)
