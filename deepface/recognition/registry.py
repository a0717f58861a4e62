"""Recognition models by name."""

from __future__ import annotations

from deepface.recognition.model import FacialRecognition
from deepface.runtime.models import Entry, Registry

RECOGNIZERS: Registry[FacialRecognition] = Registry(
    "facial_recognition",
    {
        "Dlib": Entry("deepface.recognition.dlib:Dlib"),
    },
)
