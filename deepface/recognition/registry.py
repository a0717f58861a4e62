"""Recognition models by name."""

from __future__ import annotations

from deepface.cropping.face_crops import FaceCut
from deepface.errors import UnimplementedError
from deepface.recognition.card import RecognitionCard
from deepface.recognition.cards import (
    arcface,
    buffalo_l,
    deepid,
    dlib,
    facenet,
    fb_deepface,
    ghostfacenet,
    openface,
    sface,
    vgg_face,
)
from deepface.recognition.model import FacialRecognition
from deepface.runtime.models import Registry

RECOGNIZERS: Registry[FacialRecognition, RecognitionCard] = Registry(
    "facial_recognition",
    (
        vgg_face.CARD,
        facenet.FACENET_128,
        facenet.FACENET_512,
        openface.CARD,
        fb_deepface.CARD,
        deepid.CARD,
        dlib.CARD,
        arcface.CARD,
        sface.CARD,
        ghostfacenet.CARD,
        buffalo_l.CARD,
    ),
    RecognitionCard,
    group="deepface.recognizers",
)


def face_cut(model_name: str) -> FaceCut:
    """How a model's faces are cut for ``align="landmarks"``.

    Raises:
        UnimplementedError: it has no such cut; the message lists the models that have.
    """
    card = RECOGNIZERS.find(model_name)
    if card is None or card.cut is None:
        able = [name for name, other in RECOGNIZERS.entries.items() if other.cut is not None]
        raise UnimplementedError(
            f"align='landmarks' has no template for {model_name}; models: {', '.join(able)}"
        )
    return card.cut
