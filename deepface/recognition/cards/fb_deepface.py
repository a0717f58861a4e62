"""What is known of DeepFace; see ``recognition/fb_deepface.py`` for the model."""

from __future__ import annotations

from deepface.recognition.card import Curve, RecognitionCard
from deepface.runtime.weights.table import WeightFile, published

CARD = RecognitionCard(
    name="DeepFace",
    model="deepface.recognition.fb_deepface:FbDeepFace",
    summary="Facebook's network with locally connected layers.",
    files=(
        (
            published(
                "VGGFace2_DeepFace_weights_val-0.9034.pth",
                "MIT",
                tensors={"C1.weight": (32, 3, 11, 11), "F7.bias": (4096,)},
            ),
            WeightFile(
                "VGGFace2_DeepFace_weights_val-0.9034.h5",
                (
                    "https://github.com/swghosh/DeepFace/releases/download/"
                    "weights-vggface2-2d-aligned/VGGFace2_DeepFace_weights_val-0.9034.h5.zip",
                ),
                "MIT",
                archive="zip",
                layers=7,
            ),
            published("VGGFace2_DeepFace_weights_val-0.9034.onnx", "MIT"),
        ),
    ),
    input_shape=(152, 152),
    output_shape=4096,
    thresholds={"cosine": 0.23, "euclidean": 64, "euclidean_l2": 0.64, "angular": 0.12},
    curves={
        "cosine": Curve(
            -5.415666808301125,
            1.4142777745857174,
            0.379428,
            74.38935817923884,
            54.25111593547536,
            54.16884369236297,
            34.51159270342188,
        ),
        "euclidean": Curve(
            -7.001068623335827,
            5.229677082777916,
            85.997482,
            90.45531547409938,
            50.79114821321717,
            50.4218117539695,
            14.53693626301508,
        ),
        "euclidean_l2": Curve(
            -6.520866920809606,
            3.750706572243227,
            0.871123,
            80.42595166943502,
            39.6419822387709,
            39.578029519563,
            12.677597535252195,
        ),
        "angular": Curve(
            -0.20178503977417342,
            -4.960267621006636,
            0.2869,
            0.6803996880922583,
            0.6801854995078236,
            0.6759509854967268,
            0.6573199053945571,
        ),
    },
    minmax=(0.0, 17.294939041137695),
)
