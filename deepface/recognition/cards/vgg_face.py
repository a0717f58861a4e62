"""What is known of VGG-Face; see ``recognition/vgg_face.py`` for the model."""

from __future__ import annotations

from deepface.recognition.card import Curve, RecognitionCard
from deepface.recognition.templates import Margin
from deepface.runtime.weights.table import published

CARD = RecognitionCard(
    name="VGG-Face",
    model="deepface.recognition.vgg_face:VggFace",
    summary="VGG16, the default of the published library.",
    files=(
        (
            published(
                "vgg_face_weights.pth",
                "non-commercial (Oxford VGG-Face)",
                tensors={"conv1_1.weight": (64, 3, 3, 3), "fc7.bias": (4096,)},
            ),
            published(
                "vgg_face_weights.h5",
                "non-commercial (Oxford VGG-Face)",
                sha256="759266b9614d0fd5d65b97bf716818b746cc77ab5944c7bffc937c6ba9455d8c",
                layers=16,
            ),
            published("vgg_face_weights.onnx", "non-commercial (Oxford VGG-Face)"),
        ),
    ),
    input_shape=(224, 224),
    output_shape=4096,
    # Boxes enlarged by 0.3, of which the middle 224 of 256 pixels are taken (Cao et al., VGGFace2,
    # FG 2018).
    cut=Margin(1.3 * 224 / 256 - 1, (224, 224)),
    thresholds={"cosine": 0.68, "euclidean": 1.17, "euclidean_l2": 1.17, "angular": 0.39},
    curves={
        "cosine": Curve(
            -6.61254026479904,
            3.145549102667549,
            0.979183,
            88.28484099529868,
            20.787978733113846,
            20.556681914175016,
            3.457832575746455,
        ),
        "euclidean": Curve(
            -6.505124425537925,
            3.8912125488666436,
            1.399416,
            76.47012030708339,
            17.794898757517597,
            16.443735520230746,
            6.82484246933999,
        ),
        "euclidean_l2": Curve(
            -6.505124425537925,
            3.8912125488666436,
            1.399416,
            76.47012030708339,
            17.794898757517597,
            16.443735520230746,
            6.82484246933999,
        ),
        "angular": Curve(
            -5.035753663256314,
            0.2961597285248822,
            0.493373,
            34.230717614698825,
            16.624506551373642,
            15.49607745347531,
            10.080199045102233,
        ),
    },
    minmax=(0.0, 0.27054874177488775),
)
