"""What is known of mtcnn and fastmtcnn; see ``detection/mtcnn`` for the detectors.

Their weights come with the required package ``mtcnn``.
"""

from __future__ import annotations

from deepface.detection.card import DetectorCard

MTCNN = DetectorCard(
    name="mtcnn",
    model="deepface.detection.mtcnn.detector:MtcnnDetector",
    summary="Three networks on a pyramid, as in `mtcnn` 1.0.0 for a single picture.",
    landmarks=5,
)
FAST_MTCNN = DetectorCard(
    name="fastmtcnn",
    model="deepface.detection.mtcnn.detector:FastMtcnnDetector",
    summary="The same as in `facenet-pytorch` 2.6.0, which is not needed for it.",
    landmarks=5,
)
