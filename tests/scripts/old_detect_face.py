"""The deprecated detectFace."""

import sys

from deepface import DeepFace

face = DeepFace.detectFace(f"{sys.argv[1]}/portrait.png", target_size=(160, 120))
assert face.shape == (1, 160, 120, 3) and face.max() <= 1
