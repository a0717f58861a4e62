"""The main job on real pictures: find all faces of a list of images in one call.

The pictures and the detectors' weights come with installed packages; nothing is downloaded.
Writes an annotated copy of each picture into ``demo/`` and prints a table.
"""

from __future__ import annotations

import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2

from deepface import DeepFace

OUTPUT = Path("demo")
DETECTORS = {"opencv": (60, 180, 60), "mtcnn": (40, 80, 230)}  # name -> colour of its boxes, BGR


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


def annotate(picture: Any, faces: list[dict[str, Any]], colour: tuple[int, int, int]) -> None:
    """Draw boxes, eyes and confidences."""
    for face in faces:
        area = face["facial_area"]
        x, y, w, h = (area[key] for key in "xywh")
        cv2.rectangle(picture, (x, y), (x + w, y + h), colour, 2)
        cv2.putText(
            picture,
            f"{face['confidence']:.2f}",
            (x, y - 6),
            cv2.FONT_HERSHEY_SIMPLEX,
            0.6,
            colour,
            2,
        )
        for eye in (area["left_eye"], area["right_eye"]):
            if eye is not None:
                cv2.circle(picture, eye, 3, colour, -1)


def main() -> None:
    """Run every detector over all pictures in one batch."""
    paths = pictures()
    OUTPUT.mkdir(exist_ok=True)
    canvases: dict[Path, Any] = {path: cv2.imread(str(path)) for path in paths}
    print(
        f"{'detector':10} {'image':14} {'faces':>5}  {'ms/image':>8}  boxes (x, y, w, h) confidence"
    )
    for detector, colour in DETECTORS.items():
        DeepFace.extract_faces(paths[0], detector_backend=detector)  # builds the model
        start = time.perf_counter()
        results = DeepFace.extract_faces(paths, detector_backend=detector, enforce_detection=False)
        milliseconds = (time.perf_counter() - start) * 1000 / len(paths)
        for path, faces in zip(paths, results, strict=True):
            faces = [face for face in faces if face["confidence"] > 0]
            annotate(canvases[path], faces, colour)
            boxes = "  ".join(
                f"{tuple(face['facial_area'][k] for k in 'xywh')} {face['confidence']:.2f}"
                for face in faces
            )
            print(f"{detector:10} {path.name:14} {len(faces):5}  {milliseconds:8.0f}  {boxes}")
    for path, canvas in canvases.items():
        cv2.imwrite(str(OUTPUT / f"{path.stem}.jpg"), canvas)
    print(f"annotated pictures: {', '.join(str(OUTPUT / f'{p.stem}.jpg') for p in paths)}")


if __name__ == "__main__":
    main()
