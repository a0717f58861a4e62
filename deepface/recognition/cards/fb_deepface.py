"""What is known of DeepFace; see ``recognition/fb_deepface.py`` for the model."""

from deepface.recognition.card import RecognitionCard
from deepface.recognition.curves import CURVES
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
    curves=CURVES["DeepFace"],
    minmax=(0.0, 17.294939041137695),
)
