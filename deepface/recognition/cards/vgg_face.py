"""What is known of VGG-Face; see ``recognition/vgg_face.py`` for the model."""

from deepface.recognition.card import RecognitionCard
from deepface.recognition.curves import CURVES
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
    curves=CURVES["VGG-Face"],
    minmax=(0.0, 0.27054874177488775),
)
