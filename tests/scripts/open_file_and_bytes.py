"""Uploads: open files, BytesIO, pathlib paths, PIL images."""

import io
import sys
from pathlib import Path

import PIL.Image

from deepface import DeepFace

path = Path(sys.argv[1]) / "portrait.png"
areas = [
    DeepFace.extract_faces(source)[0]["facial_area"]
    for source in (path, path.open("rb"), io.BytesIO(path.read_bytes()), PIL.Image.open(path))
]
assert all(area == areas[0] for area in areas)
