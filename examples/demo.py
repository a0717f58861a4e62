"""The main job on real pictures: faces and vectors of a list of pictures, in batches.

The pictures and the weights come with installed packages; nothing is downloaded. Prints the faces,
how far apart the people are and what a batch saves, and writes annotated pictures into ``demo/``.
"""

from __future__ import annotations

import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from deepface import DeepFace
from deepface.modules.verification import find_distance, find_threshold
from deepface.results import Embedding

OUTPUT = Path("demo")
DETECTOR, MODEL = "mtcnn", "Dlib"
COLOUR = (40, 80, 230)  # BGR


def pictures() -> list[Path]:
    """A portrait, two football managers and a street, from scikit-image and ultralytics."""
    found = []
    for package, relative in (
        ("skimage", "data/astronaut.png"),
        ("ultralytics", "assets/zidane.jpg"),
        ("ultralytics", "assets/bus.jpg"),
    ):
        spec = find_spec(package)
        if spec is None or spec.origin is None:
            raise SystemExit(f"the demo needs the package {package}: run make demo")
        found.append(Path(spec.origin).parent / relative)
    return found


def vectors(paths: Any) -> list[list[Embedding]]:
    """The faces of each picture with their vectors; none where there is none."""
    return DeepFace.represent(
        paths, model_name=MODEL, detector_backend=DETECTOR, enforce_detection="empty"
    )


def annotate(picture: Any, label: str, face: Embedding) -> None:
    """Draw a face's box, name and landmarks."""
    area = face["facial_area"]
    corner, size = (area["x"], area["y"]), (area["w"], area["h"])
    cv2.rectangle(picture, (*corner, *size), COLOUR, 2)
    above = (area["x"], area["y"] - 6)
    cv2.putText(picture, label, above, cv2.FONT_HERSHEY_SIMPLEX, 0.7, COLOUR, 2)
    points = (area.get(name) for name in ("left_eye", "right_eye", "nose"))
    for point in filter(None, points):
        cv2.circle(picture, point, 3, COLOUR, -1)  # type: ignore[call-overload]


def main() -> None:
    """Find, compare, measure, draw."""
    paths = pictures()
    OUTPUT.mkdir(exist_ok=True)
    vectors(paths[:1])  # builds the models
    start = time.perf_counter()
    results = vectors(paths)
    together = time.perf_counter() - start

    people: dict[str, Embedding] = {}
    print(f"{'face':5} {'picture':14} {'x':>5} {'y':>5} {'w':>5} {'h':>5}  confidence")
    for path, faces in zip(paths, results, strict=True):
        canvas = cv2.imread(str(path))
        for face in faces:
            label = f"{path.stem[0].upper()}{len(people)}"
            people[label] = face
            area = face["facial_area"]
            box = " ".join(f"{side:5}" for side in (area["x"], area["y"], area["w"], area["h"]))
            print(f"{label:5} {path.name:14} {box}  {face['face_confidence']:.2f}")
            annotate(canvas, label, face)
        cv2.imwrite(str(OUTPUT / f"{path.stem}.jpg"), np.asarray(canvas))

    threshold = find_threshold(MODEL, "cosine")
    print(f"\ncosine distances ({MODEL}); up to {threshold} it is the same person")
    print(" " * 5 + "".join(f"{label:>7}" for label in people))
    for label, face in people.items():
        row = (
            find_distance(face["embedding"], other["embedding"], "cosine")
            for other in people.values()
        )
        print(f"{label:5}" + "".join(f"{abs(float(distance)):7.3f}" for distance in row))

    start = time.perf_counter()
    alone = [vectors(path)[:] for path in paths]
    one_by_one = time.perf_counter() - start
    same = [len(faces) for faces in alone] == [len(faces) for faces in results]
    print(
        f"\n{len(paths)} pictures in a batch {together:.2f} s, one by one {one_by_one:.2f} s, "
        f"{'the same' if same else 'NOT the same'} faces"
    )
    print("annotated:", ", ".join(str(OUTPUT / f"{path.stem}.jpg") for path in paths))


if __name__ == "__main__":
    main()
