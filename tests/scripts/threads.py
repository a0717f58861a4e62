"""A thread pool over files."""

import sys
from concurrent.futures import ThreadPoolExecutor

from deepface import DeepFace

paths = [f"{sys.argv[1]}/portrait.png", f"{sys.argv[1]}/smaller.png"] * 2
with ThreadPoolExecutor(4) as pool:
    found = list(pool.map(lambda path: DeepFace.represent(path, model_name="Dlib"), paths))
assert found[0] == found[2] and found[1] == found[3] and found[0] != found[1]
