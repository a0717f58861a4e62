"""A column of paths becomes a column of embeddings."""

import sys

import pandas as pd

from deepface import DeepFace

folder = sys.argv[1]
frame = pd.DataFrame({"path": [f"{folder}/portrait.png", f"{folder}/smaller.png"]})
frame["embedding"] = frame["path"].apply(
    lambda path: DeepFace.represent(path, model_name="Dlib")[0]["embedding"]
)
assert frame["embedding"].map(len).tolist() == [128, 128]
assert isinstance(frame["embedding"][0][0], float)
