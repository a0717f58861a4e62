"""What is known of SFace; see ``recognition/sface.py`` for the model."""

from __future__ import annotations

from deepface.recognition.card import Curve, RecognitionCard
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
    curves={
        "cosine": Curve(
            -6.531673506288863,
            2.2217245506456895,
            1.147363,
            81.04135659361265,
            26.26225160110723,
            23.62218403514688,
            1.3256149092319998,
        ),
        "euclidean": Curve(
            -5.922412546512467,
            2.2306552793788903,
            18.826448,
            53.59440633088357,
            24.24534043569188,
            24.000007447174763,
            2.4321858952665205,
        ),
        "euclidean_l2": Curve(
            -6.561644724339029,
            3.215600266169891,
            1.514835,
            72.39437183443313,
            22.25500614635702,
            19.531386697831906,
            3.4024932531839815,
        ),
        "angular": Curve(
            -5.575609473928204,
            0.421773496308517,
            0.547079,
            37.48563531943993,
            17.074673595288292,
            16.40044990637247,
            6.732498767352633,
        ),
    },
)
