"""A model's own forward, with the caller's own preparation of the face."""

import sys

import cv2
import numpy as np

from deepface import DeepFace
from deepface.modules import preprocessing

model = DeepFace.build_model("Dlib")
assert DeepFace.build_model("Dlib") is model
face = cv2.imread(f"{sys.argv[1]}/portrait.png")
resized = preprocessing.resize_image(face, (model.input_shape[1], model.input_shape[0]))
normalized = preprocessing.normalize_input(resized, "base")
embedding = model.forward(normalized)
assert isinstance(embedding, list) and len(embedding) == model.output_shape == 128
two = model.forward(np.concatenate([normalized, normalized]))
assert len(two) == 2 and len(two[0]) == 128
