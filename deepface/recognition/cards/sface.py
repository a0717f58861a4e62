"""What is known of SFace; see ``recognition/sface.py`` for the model."""

from deepface.recognition.card import RecognitionCard
from deepface.recognition.curves import CURVES
from deepface.recognition.templates import ARCFACE
from deepface.runtime.card import ONNX_RUNTIME
from deepface.runtime.weights.table import WeightFile

CARD = RecognitionCard(
    name="SFace",
    model="deepface.recognition.sface:SFace",
    summary="A MobileFaceNet, as in OpenCV's model zoo.",
    files=(
        (
            WeightFile(
                "face_recognition_sface_2021dec.onnx",
                (
                    "https://github.com/opencv/opencv_zoo/raw/edef535367a4f8053b5bfb7580935c83772a9639/models/"
                    "face_recognition_sface/face_recognition_sface_2021dec.onnx",
                ),
                "Apache-2.0",
                size=38_696_353,
                sha256="0ba9fbfa01b5270c96627c4ef784da859931e02f04419c829e83484087c34e79",
            ),
        ),
    ),
    package=ONNX_RUNTIME,
    input_shape=(112, 112),
    output_shape=128,
    cut=ARCFACE,
    thresholds={"cosine": 0.593, "euclidean": 10.734, "euclidean_l2": 1.055, "angular": 0.36},
    curves=CURVES["SFace"],
)
