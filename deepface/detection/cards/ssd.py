"""What is known of ssd; see ``detection/ssd.py`` for the detector."""

from __future__ import annotations

from deepface.detection.card import DetectorCard
from deepface.runtime.weights.table import WeightFile

FILE = WeightFile(
    "res10_300x300_ssd_iter_140000.caffemodel",
    (
        "https://github.com/opencv/opencv_3rdparty/raw/"
        "dnn_samples_face_detector_20170830/res10_300x300_ssd_iter_140000.caffemodel",
    ),
    "Apache-2.0",
    size=10_666_211,
    sha256="2a56a11a57a4a295956b0660b4a3d76bbdca2206c4961cea8efe7d95c7cb2f2d",
)
CARD = DetectorCard(
    name="ssd",
    model="deepface.detection.ssd:SsdDetector",
    summary="OpenCV's single-shot detector: quick, for faces that are large in their picture.",
    files=((FILE,),),
)
