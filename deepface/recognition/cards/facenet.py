"""What is known of Facenet and Facenet512; see ``recognition/facenet.py`` for the model."""

from __future__ import annotations

from deepface.recognition.card import Curve, RecognitionCard
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
    curves={
        "cosine": Curve(
            -6.502269165856082,
            1.679048923097668,
            1.206694,
            77.17253153662926,
            41.790002608273234,
            20.618350202170916,
            0.7976712344840693,
        ),
        "euclidean": Curve(
            -6.716177467853723,
            2.790978346203265,
            18.735288,
            74.76412617567517,
            40.4423755909089,
            25.840858374979504,
            1.9356150486888306,
        ),
        "euclidean_l2": Curve(
            -6.708710331202137,
            2.9094193067398195,
            1.553508,
            75.45756719896039,
            40.4509428022908,
            30.555931000001184,
            2.189644991619842,
        ),
        "angular": Curve(
            -6.371147050396505,
            0.6766460615182355,
            0.56627,
            45.802357900723386,
            24.327312950719133,
            16.95267765757785,
            5.063533287198758,
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
    curves={
        "cosine": Curve(
            -5.868251768046832,
            0.8674084834913275,
            1.384316,
            62.19495119465813,
            40.700922463435305,
            39.96947059787277,
            0.6687247052303562,
        ),
        "euclidean": Curve(
            -6.742961485008033,
            2.61949356815704,
            40.771751,
            75.20184708761875,
            23.391566956420913,
            20.317410180868695,
            1.5930391784587872,
        ),
        "euclidean_l2": Curve(
            -6.76040230078399,
            3.0057651791652638,
            1.663921,
            78.73795056941638,
            23.492800781101295,
            21.754795621979017,
            2.287349921316484,
        ),
        "angular": Curve(
            -6.487840122876141,
            0.9536496647058516,
            0.625563,
            52.1215977454314,
            21.72372703119752,
            20.734638325222512,
            4.290546073131373,
        ),
    },
    minmax=(-4.388302803039551, 3.643190622329712),
)
