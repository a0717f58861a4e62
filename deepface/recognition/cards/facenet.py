"""What is known of Facenet and Facenet512; see ``recognition/facenet.py`` for the model."""

from deepface.recognition.card import RecognitionCard
from deepface.recognition.curves import CURVES, Curve
from deepface.recognition.templates import MTCNN_BOX
from deepface.runtime.weights.table import published

FACENET_128 = RecognitionCard(
    name="Facenet",
    model="deepface.recognition.facenet:Facenet128",
    summary="Inception-ResNet v1, 128 numbers.",
    published_name="FaceNet-128d",
    files=(
        (
            published(
                "facenet_weights.pth",
                "MIT",
                tensors={
                    "conv2d_1a_3x3.conv.weight": (32, 3, 3, 3),
                    "bottleneck_bn.running_var": (128,),
                },
            ),
            published(
                "facenet_weights.h5",
                "MIT",
                sha256="90659cc97bfda5999120f95d8e122f4d262cca11715a21e59ba024bcce816d5c",
                layers=245,
            ),
            published("facenet_weights.onnx", "MIT"),
        ),
    ),
    input_shape=(160, 160),
    output_shape=128,
    cut=MTCNN_BOX,
    thresholds={"cosine": 0.4, "euclidean": 10, "euclidean_l2": 0.8, "angular": 0.33},
    curves=CURVES["Facenet"],
    # Measured on fold 1 of LFW (view 2) with ``mtcnn``: ``python -m benchmarks lfw --align
    # landmarks --calibrate``.
    landmark_thresholds={
        "cosine": 0.5399,
        "euclidean": 12.4871,
        "euclidean_l2": 1.0392,
        "angular": 0.3478,
    },
    landmark_curves={
        "cosine": Curve(-20.925418, 9.396072, 1.349817, 99.980582, 73.620188, 73.620188, 0.000984),
        "euclidean": Curve(
            -20.96472, 13.122971, 19.849167, 99.998854, 48.352518, 48.352518, 0.039283
        ),
        "euclidean_l2": Curve(
            -27.534851, 18.297127, 1.643056, 99.99971, 70.721285, 70.721285, 0.009729
        ),
        "angular": Curve(
            -43.309413, 15.982535, 0.613756, 99.998878, 71.494459, 71.494459, 0.002494
        ),
    },
    minmax=(-3.541942596435547, 3.247769594192505),
)

FACENET_512 = RecognitionCard(
    name="Facenet512",
    model="deepface.recognition.facenet:Facenet512",
    summary="Inception-ResNet v1, 512 numbers: the most accurate of the published measurements.",
    published_name="FaceNet-512d",
    files=(
        (
            published(
                "facenet512_weights.pth",
                "MIT",
                tensors={
                    "conv2d_1a_3x3.conv.weight": (32, 3, 3, 3),
                    "bottleneck_bn.running_var": (512,),
                },
            ),
            published(
                "facenet512_weights.h5",
                "MIT",
                size=94_955_648,
                sha256="3f76b5117a9ca574d536af8199e6720089eb4ad3dc7e93534496d88265de864f",
                layers=245,
            ),
            published("facenet512_weights.onnx", "MIT"),
        ),
    ),
    input_shape=(160, 160),
    output_shape=512,
    cut=MTCNN_BOX,
    thresholds={"cosine": 0.3, "euclidean": 23.56, "euclidean_l2": 1.04, "angular": 0.35},
    curves=CURVES["Facenet512"],
    minmax=(-4.388302803039551, 3.643190622329712),
)
