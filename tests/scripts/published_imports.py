"""Imports from the inside of the published library."""

from deepface.commons import folder_utils, image_utils
from deepface.commons.logger import Logger
from deepface.models.Detector import DetectedFace, Detector, FacialAreaRegion
from deepface.models.FacialRecognition import FacialRecognition
from deepface.modules import detection, modeling, representation, verification
from deepface.modules.exceptions import FaceNotDetected, SpoofDetected

logger = Logger()
assert Logger() is logger
logger.info("hello")
assert issubclass(FaceNotDetected, ValueError) and issubclass(SpoofDetected, ValueError)
assert verification.find_threshold("VGG-Face", "cosine") == 0.68
assert verification.find_distance([1.0, 0.0], [0.0, 1.0], "cosine") == 1.0
assert callable(detection.extract_faces) and callable(representation.represent)
assert callable(image_utils.load_image) and callable(folder_utils.get_deepface_home)
assert isinstance(modeling.build_model("face_detector", "opencv"), Detector)
assert FacialAreaRegion(1, 2, 3, 4).left_eye is None
assert DetectedFace and FacialRecognition
