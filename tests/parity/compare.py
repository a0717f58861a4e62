"""Compare what ours finds with what the originals find, live and on the same pictures.

``python -m tests.parity.compare --originals PYTHON`` runs :mod:`originals` with that interpreter
(an environment with the packages of ``requirements.txt``), ours here, and prints a table of
differences. The exit code is 1 where a difference exceeds its tolerance.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from deepface import DeepFace
from deepface.detection.registry import DETECTORS
from deepface.detection.retinaface.frame import Placement
from deepface.recognition.registry import RECOGNIZERS
from deepface.runtime.models import Registry
from tests.data import DATA, MADE_WEIGHTS, WEIGHTS, package_pictures, package_weights
from tests.goldens import networks as reference
from tests.parity.originals import LOW_THRESHOLD, forms

ORIGINALS = Path(__file__).with_name("originals.py")
#: Boxes and landmarks in pixels, confidences, and what networks give: values of maps, vectors
#: relative to their length.
PIXELS, CONFIDENCE, MAPS = 1.0, 1e-3, 1e-4
#: Faces of MTCNN that may differ beyond the tolerances: it breaks ties by rounding errors.
MTCNN_SHARE = 0.01


@dataclass
class Comparison:
    """How far ours is from an original.

    ``unmatched`` counts faces that only one of the two finds, or that lie further apart than the
    tolerances allow.
    """

    name: str
    faces: int = 0
    unmatched: int = 0
    pixels: float = 0.0
    confidence: float = 0.0
    maps: float = 0.0
    allowed_share: float = 0.0
    skipped: str = ""
    details: list[str] = field(default_factory=list)

    @property
    def failed(self) -> bool:
        """Whether a tolerance is exceeded, or nothing was compared."""
        if self.skipped:
            return False
        nothing = self.faces == 0 and self.maps == 0
        return (
            nothing or self.maps > MAPS or self.unmatched > max(0, self.allowed_share * self.faces)
        )

    def row(self) -> str:
        """A line of the table."""
        if self.skipped:
            return f"{self.name:24} skipped: {self.skipped}"
        verdict = "FAILED" if self.failed else "ok"
        return (
            f"{self.name:24} {self.faces:5} {self.unmatched:9} {self.pixels:9.3f} "
            f"{self.confidence:11.2e} {self.maps:9.1e}  {verdict}"
        )


Face = tuple[Sequence[float], float]  # numbers in pixels, confidence


def match(result: Comparison, picture: str, ours: Sequence[Face], theirs: Sequence[Face]) -> None:
    """Pair the faces of a picture, nearest first, and note the differences."""
    result.faces += len(theirs)
    left = list(ours)
    for numbers, confidence in theirs:
        if not left:
            result.unmatched += 1
            result.details.append(f"{picture}: only the original finds {list(numbers)[:4]}")
            continue
        distances = [float(np.abs(np.subtract(face[0], numbers)).max()) for face in left]
        nearest = int(np.argmin(distances))
        face = left.pop(nearest)
        far, unsure = distances[nearest], abs(face[1] - confidence)
        if far > PIXELS or unsure > CONFIDENCE:
            result.unmatched += 1
            result.details.append(
                f"{picture}: {[round(float(v)) for v in face[0]][:4]} {face[1]:.4f}, "
                f"original {[round(float(v)) for v in numbers][:4]} {confidence:.4f}"
            )
            continue
        result.pixels = max(result.pixels, far)
        result.confidence = max(result.confidence, unsure)
    result.unmatched += len(left)
    result.details += [f"{picture}: only ours finds {list(face[0])[:4]}" for face in left]


class Originals:
    """Runs tasks in the other environment, with weights in a home of its own."""

    def __init__(self, python: str, folder: Path) -> None:
        self.python, self.folder = python, folder
        self.home = folder / "home"
        weights = self.home / ".deepface" / "weights"
        weights.mkdir(parents=True)
        files = {file.name: file for file in WEIGHTS.iterdir()} if WEIGHTS.is_dir() else {}
        for name, file in (files | package_weights()).items():
            shutil.copy(file, weights / name)
        reference.write_h5("retinaface", weights / "retinaface.h5")
        reference.write_pth("retinaface", weights / "retinaface.pth")

    def run(self, task: str, pictures: Sequence[Path], engine: str = "pytorch") -> Any:
        """The JSON that a task writes."""
        output = self.folder / f"{task}.json"
        environment = {
            **os.environ,
            "DEEPFACE_HOME": str(self.home),
            "DEEPFACE_BACKEND_ENGINE": engine,
            "CUDA_VISIBLE_DEVICES": "",
            "TF_CPP_MIN_LOG_LEVEL": "3",
        }
        environment.pop("PYTHONPATH", None)
        done = subprocess.run(
            [self.python, str(ORIGINALS), task, str(output), *map(str, pictures)],
            env=environment,
            capture_output=True,
            text=True,
            cwd=self.folder,
        )
        if done.returncode:
            raise RuntimeError(f"{task} failed there:\n{done.stderr[-2000:]}")
        return json.loads(output.read_text())


def mtcnn(originals: Originals, pictures: Sequence[Path]) -> Comparison:
    """Boxes, key points and confidences of the package ``mtcnn``, on the pictures themselves."""
    result = Comparison("mtcnn (package)", allowed_share=MTCNN_SHARE)
    theirs = originals.run("mtcnn", pictures)
    detector = DETECTORS.build("mtcnn")
    found = detector.detect_faces([_read(path) for path in pictures])
    for path, faces in zip(pictures, found, strict=True):
        ours = [
            ((f.x, f.y, f.w, f.h, *f.left_eye, *f.right_eye), f.confidence or 0.0)
            for f in faces
            if f.left_eye is not None and f.right_eye is not None
        ]
        # The package names the eyes as they lie in the picture: its right eye is the person's left.
        original = [
            (
                (*f["box"], *f["points"]["right_eye"], *f["points"]["left_eye"]),
                float(f["confidence"]),
            )
            for f in theirs[str(path)]
        ]
        match(result, path.name, ours, original)
    return result


def fastmtcnn(originals: Originals, pictures: Sequence[Path]) -> Comparison:
    """Boxes, key points and confidences of ``facenet-pytorch``, in all the forms of a picture.

    What ``extract_faces`` gives differs from these where a box reaches out of the picture: the
    published library cuts it off there.
    """
    result = Comparison("fastmtcnn (package)", allowed_share=MTCNN_SHARE)
    theirs = originals.run("fastmtcnn", pictures)
    detector = DETECTORS.build("fastmtcnn")
    for path in pictures:
        for form, image in forms(_read(path)):  # type: ignore[no-untyped-call]
            ours = [
                ((f.x, f.y, f.w, f.h, *np.trunc(np.ravel(f.five_points))), f.confidence or 0.0)
                for f in detector.detect_faces([image])[0]
                if f.five_points is not None
            ]
            original = [
                (
                    [
                        *(int(x1), int(y1), int(x2 - x1), int(y2 - y1)),
                        *np.trunc(np.ravel(face["points"])),
                    ],
                    face["confidence"],
                )
                for face in theirs[f"{path}|{form}"]
                for x1, y1, x2, y2 in [face["box"]]
            ]
            match(result, f"{path.name}, {form}", ours, original)
    return result


def retinaface_maps(originals: Originals, pictures: Sequence[Path]) -> Comparison:
    """The nine maps of the package ``retina-face``, on the input that it makes of a picture."""
    result = Comparison("retinaface maps")
    detector: Any = DETECTORS.build("retinaface")
    for file in originals.run("retinaface-maps", pictures, engine="tensorflow").values():
        with np.load(file) as saved:
            tensor, maps = saved["tensor"], [saved[str(i)] for i in range(9)]
        height, width = tensor.shape[1:3]
        bgr = torch.from_numpy(np.ascontiguousarray(tensor[..., ::-1])).permute(0, 3, 1, 2)
        frame = Placement.none((height, width))
        with torch.inference_mode():
            found = detector.network.module(bgr, frame, True)
        start = 0
        for classes, boxes, points in reversed(list(zip(*[iter(maps)] * 3, strict=True))):
            _, rows, columns, _ = classes.shape
            stop = start + 2 * rows * columns
            level = found[:, start:stop].reshape(1, rows, columns, 2, 15)
            start = stop
            for ours, theirs in (
                (level[..., 0].sigmoid(), classes[..., 2:]),
                (level[..., 1:5].flatten(3), boxes),
                (level[..., 5:].flatten(3), points),
            ):
                result.maps = max(result.maps, float(np.abs(ours.numpy() - theirs).max()))
    return result


def retinaface(originals: Originals, pictures: Sequence[Path]) -> Comparison:
    """Its faces at a low threshold: the stand-in weights are sure of nothing."""
    result = Comparison("retinaface faces")
    theirs = originals.run("retinaface", pictures, engine="tensorflow")
    detector: Any = DETECTORS.build("retinaface", threshold=LOW_THRESHOLD)
    found = detector.detect_faces([_read(path) for path in pictures])
    for path, faces in zip(pictures, found, strict=True):
        ours = [
            ((f.x, f.y, f.w, f.h, *f.five_points[0], *f.five_points[4]), f.confidence)
            for f in faces
        ]
        original = [
            (
                (
                    *(f["box"][0], f["box"][1]),
                    *(f["box"][2] - f["box"][0], f["box"][3] - f["box"][1]),
                    *f["points"]["right_eye"],
                    *f["points"]["mouth_left"],
                ),
                f["confidence"],
            )
            for f in theirs[str(path)]
        ]
        match(result, path.name, ours, original)
    return result


def published(originals: Originals, pictures: Sequence[Path], detector: str) -> Comparison:
    """``extract_faces`` of the published library, with and without alignment."""
    share = MTCNN_SHARE if "mtcnn" in detector else 0.0
    result = Comparison(f"{detector} (published)", allowed_share=share)
    theirs = originals.run(f"published-{detector}", pictures)
    for align in (True, False):
        found: Any = DeepFace.extract_faces(
            pictures, detector_backend=detector, enforce_detection=False, align=align
        )
        for path, faces in zip(pictures, found, strict=True):
            ours = [_numbers(face["facial_area"], face["confidence"]) for face in faces]
            original = [
                _numbers(face["area"], face["confidence"]) for face in theirs[f"{path}|{align}"]
            ]
            # Confidences have two digits here: equal up to one unit of the last.
            match(result, path.name, *([(n, round(c, 2)) for n, c in f] for f in (ours, original)))
    return result


def vectors(originals: Originals, pictures: Sequence[Path], model: str) -> Comparison:
    """``represent`` of the published library, in TensorFlow, from a real weight file."""
    result = Comparison(f"{model} (published)")
    theirs = originals.run(f"vectors-{model}", pictures, engine="tensorflow")
    found: Any = DeepFace.represent(
        pictures, model_name=model, detector_backend="yunet", enforce_detection=False
    )
    for path, faces in zip(pictures, found, strict=True):
        original = theirs[str(path)]
        areas = [[face["facial_area"] for face in faces], [face["area"] for face in original]]
        result.faces += len(original)
        if len({str([[area[key] for key in "xywh"] for area in some]) for some in areas}) > 1:
            result.unmatched += len(original)
            result.details.append(f"{path.name}: other faces: {areas[0]}, original {areas[1]}")
            continue
        for face, wanted in zip(faces, original, strict=True):
            vector = np.array(wanted["embedding"])
            apart = np.linalg.norm(face["embedding"] - vector) / np.linalg.norm(vector)
            result.maps = max(result.maps, float(apart))
    return result


def _numbers(area: dict[str, Any], confidence: float) -> Face:
    return [area[key] for key in "xywh"], confidence


def _read(path: Path) -> Any:
    return cv2.imread(str(path), cv2.IMREAD_COLOR)


def pictures(limit: int, *folders: str) -> list[Path]:
    """The smallest of each folder of the test data, else those of installed packages."""
    found: list[Path] = []
    for folder in folders:
        files = (DATA / "images" / folder).glob("*.jpg")
        found += sorted(files, key=lambda path: path.stat().st_size)[:limit]
    return found or package_pictures()


def comparisons(originals: Originals, limit: int) -> Iterator[Callable[[], Comparison]]:
    """Everything that is compared."""
    chosen = pictures(limit, "photos")
    yield lambda: mtcnn(originals, chosen)
    yield lambda: fastmtcnn(originals, pictures(limit, "photos", "crowd"))
    small = package_pictures()[:1]
    for compare in (retinaface_maps, retinaface):
        yield lambda compare=compare: _unless_missing(  # type: ignore[misc]
            "retinaface", lambda: compare(originals, small)
        )
    detectors = ("opencv", "mtcnn", "ssd", "yunet", "centerface", "yolov8n", "yolov11n", "yolov11m")
    for detector in detectors:
        yield lambda detector=detector: _unless_missing(  # type: ignore[misc]
            detector, lambda: published(originals, chosen, detector)
        )
    for model in ("Facenet", "OpenFace", "SFace"):
        yield lambda model=model: _unless_missing(  # type: ignore[misc]
            model, lambda: vectors(originals, chosen, model), RECOGNIZERS
        )


def _unless_missing(
    name: str, compare: Callable[[], Comparison], registry: Registry[Any, Any] = DETECTORS
) -> Comparison:
    try:
        registry.build(name)
    except ValueError as error:
        return Comparison(name, skipped=str(error).splitlines()[0])
    return compare()


def main() -> int:
    """Run all comparisons; 1 when one fails."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])  # type: ignore[union-attr]
    parser.add_argument("--originals", required=True, help="python of the other environment")
    parser.add_argument("--pictures", type=int, default=12, help="photographs per detector")
    arguments = parser.parse_args()
    os.environ.setdefault("DEEPFACE_OFFLINE", "1")
    os.environ["DEEPFACE_ALLOW_UNKNOWN_WEIGHTS"] = ",".join(MADE_WEIGHTS)
    results = []
    with tempfile.TemporaryDirectory() as folder:
        originals = Originals(arguments.originals, Path(folder))
        os.environ["DEEPFACE_HOME"] = str(originals.home)
        for compare in comparisons(originals, arguments.pictures):
            results.append(compare())
            print(results[-1].row(), flush=True)
    print(f"\n{'':24} faces unmatched pixels≤   confidence≤ values≤")
    for result in results:
        print(result.row())
        for line in result.details[:8]:
            print(f"    {line}")
    return int(any(result.failed for result in results))


if __name__ == "__main__":
    sys.exit(main())
