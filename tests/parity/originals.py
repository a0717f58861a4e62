"""Runs in the environment of the originals: what they find, as JSON or numpy files.

``python originals.py TASK OUTPUT PICTURE...``, one task per process: TensorFlow and PyTorch in one
process abort each other there.
"""

import json
import sys
from pathlib import Path

import cv2
import numpy as np


def mtcnn(pictures):
    """Boxes, key points and confidences of the package ``mtcnn``."""
    from mtcnn import MTCNN

    detector = MTCNN()
    return {
        path: [
            {
                "box": face["box"],
                "confidence": face["confidence"],
                "points": {key: list(value) for key, value in face["keypoints"].items()},
            }
            for face in detector.detect_faces(cv2.cvtColor(cv2.imread(path), cv2.COLOR_BGR2RGB))
        ]
        for path in pictures
    }


def fastmtcnn(pictures):
    """Boxes, key points and confidences of ``facenet-pytorch``'s MTCNN, by :func:`forms`."""
    from facenet_pytorch import MTCNN

    detector = MTCNN(device="cpu")
    found = {}
    for path in pictures:
        for form, image in forms(cv2.imread(path)):
            boxes, scores, points = detector.detect(
                cv2.cvtColor(image, cv2.COLOR_BGR2RGB), landmarks=True
            )
            faces = [] if boxes is None else zip(boxes, scores, points, strict=True)
            found[f"{path}|{form}"] = [
                {"box": list(box), "confidence": score, "points": np.asarray(five).tolist()}
                for box, score, five in faces
            ]
    return found


def forms(image):
    """A picture as it is and on its side, each alone and in the black border of ``align=True``."""
    for turned in (False, True):
        upright = np.ascontiguousarray(image.transpose(1, 0, 2)) if turned else image
        for border in (0, 0.5):
            down, across = (int(border * side) for side in upright.shape[:2])
            yield (
                f"{'turned' if turned else 'upright'}, border {border}",
                cv2.copyMakeBorder(upright, down, down, across, across, cv2.BORDER_CONSTANT),
            )


def retinaface_maps(pictures, output):
    """The nine maps of the package ``retina-face``, one numpy file per picture."""
    from retinaface import RetinaFace
    from retinaface.commons import preprocess

    model = RetinaFace.build_model()
    files = {}
    for number, path in enumerate(pictures):
        tensor, _, scale = preprocess.preprocess_image(cv2.imread(path), True)
        maps = [np.asarray(part) for part in model(tensor)]
        files[path] = str(output.with_suffix(f".{number}.npz"))
        np.savez(files[path], tensor=tensor, scale=scale, **{str(i): m for i, m in enumerate(maps)})
    return files


def retinaface(pictures):
    """Its faces at a low threshold: stand-in weights are sure of nothing."""
    from retinaface import RetinaFace

    found = {}
    for path in pictures:
        faces = RetinaFace.detect_faces(path, threshold=LOW_THRESHOLD)
        faces = faces.values() if isinstance(faces, dict) else []
        found[path] = [
            {
                "box": [int(v) for v in face["facial_area"]],
                "confidence": float(face["score"]),
                "points": {k: [float(v) for v in p] for k, p in face["landmarks"].items()},
            }
            for face in faces
        ]
    return found


def published(detector, pictures):
    """``extract_faces`` of the published library, with and without alignment."""
    from deepface import DeepFace

    found = {}
    for path in pictures:
        for align in (True, False):
            faces = DeepFace.extract_faces(
                path, detector_backend=detector, enforce_detection=False, align=align
            )
            found[f"{path}|{align}"] = [
                {"area": face["facial_area"], "confidence": face["confidence"]} for face in faces
            ]
    return found


def vectors(model, pictures):
    """``represent`` of the published library; it looks for the faces, too."""
    from deepface import DeepFace

    return {
        path: [
            {"area": face["facial_area"], "embedding": face["embedding"]}
            for face in DeepFace.represent(
                path, model_name=model, detector_backend="yunet", enforce_detection=False
            )
        ]
        for path in pictures
    }


LOW_THRESHOLD = 0.6


def main():
    task, output, pictures = sys.argv[1], Path(sys.argv[2]), sys.argv[3:]
    if task == "mtcnn":
        result = mtcnn(pictures)
    elif task == "fastmtcnn":
        result = fastmtcnn(pictures)
    elif task == "retinaface":
        result = retinaface(pictures)
    elif task == "retinaface-maps":
        result = retinaface_maps(pictures, output)
    elif task.startswith("vectors-"):
        result = vectors(task.removeprefix("vectors-"), pictures)
    else:
        result = published(task.removeprefix("published-"), pictures)
    output.write_text(json.dumps(result, default=lambda value: value.item()))


if __name__ == "__main__":
    main()
