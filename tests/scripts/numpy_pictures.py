"""Arrays as cv2.imread gives them, and as other libraries do."""

import sys

import cv2

from deepface import DeepFace

image = cv2.imread(f"{sys.argv[1]}/portrait.png")
faces = DeepFace.extract_faces(img_path=image, color_face="bgr", normalize_face=False)
assert faces[0]["face"].dtype == "uint8"
area = faces[0]["facial_area"]
assert {"x", "y", "w", "h", "left_eye", "right_eye"} == set(area)
assert area["left_eye"] is None or area["left_eye"][0] > area["right_eye"][0]
normal = DeepFace.extract_faces(image)
assert normal[0]["face"].dtype == "float64" and normal[0]["face"].max() <= 1
