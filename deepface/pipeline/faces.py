"""Pictures to faces: the stream that everything else walks on, and ``extract_faces``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepface.detection import alignment
from deepface.detection import faces as detection
from deepface.detection.faces import PUBLISHED_BORDER, Align, FaceCut
from deepface.detection.registry import DETECTORS
from deepface.errors import FaceNotDetected, ImgNotFound, UnimplementedError, with_item
from deepface.images.batch import Batch, LoadedImage, open_batch
from deepface.logger import get_logger
from deepface.runtime.batching import DEFAULT_BATCH_SIZE
from deepface.types import LANDMARKS, DetectedFace, FacialAreaRegion, Liveness


@dataclass(frozen=True)
class FaceOptions:
    """How faces are found and cut out; the arguments of the public functions."""

    detector_backend: str = "opencv"
    enforce_detection: bool = True
    align: Align = True
    expand_percentage: int = 0
    anti_spoofing: bool = False
    max_faces: int | None = None
    border: float = PUBLISHED_BORDER
    batch_size: int = DEFAULT_BATCH_SIZE
    device: str | None = None
    progress: bool = False
    detector_options: dict[str, Any] = field(default_factory=dict)
    #: With ``align="landmarks"``: how the faces of the recognition model are cut.
    face_cut: FaceCut | None = None

    def __post_init__(self) -> None:
        if self.detector_backend != "skip":
            DETECTORS.check(self.detector_backend)
        if self.batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, but it is {self.batch_size}")


@dataclass(frozen=True)
class ImageFaces:
    """A picture and its faces, in pixels of the picture."""

    image: LoadedImage
    faces: list[DetectedFace]
    #: One verdict per face when ``anti_spoofing`` is on.
    liveness: list[Liveness] | None = None


def iter_faces(batch: Batch, options: FaceOptions) -> Iterator[list[ImageFaces]]:
    """Find the faces of all pictures of a batch, a chunk at a time, in input order.

    A picture without a face gives one item that is the whole picture, with confidence 0, when
    ``enforce_detection`` is off; so does every picture with ``detector_backend="skip"``.

    Raises:
        FaceNotDetected: a picture has no face and ``enforce_detection`` is on; for a batch the
            message names the picture's index and name.
        UnimplementedError: an unknown detector.
        DeepFaceError: a picture cannot be read (see :func:`open_batch`).
    """
    with _progress_bar(batch, options) as bar:
        for chunk in batch.chunks(options.batch_size):
            found = [
                ImageFaces(image, _checked(image, faces, batch.single, options))
                for image, faces in zip(chunk, _find(chunk, options), strict=True)
            ]
            yield _judged(found, options.device) if options.anti_spoofing else found
            bar.update(len(chunk))


def _find(chunk: list[LoadedImage], options: FaceOptions) -> list[list[DetectedFace]]:
    if options.detector_backend == "skip":
        return [[] for _ in chunk]
    pixels = [image.pixels for image in chunk]
    found = detection.detect_faces(
        detector_backend=options.detector_backend,
        img=pixels,
        sources=[image.source for image in chunk],
        align=options.align,
        expand_percentage=options.expand_percentage,
        max_faces=options.max_faces,
        border=options.border,
        face_cut=options.face_cut,
        device=options.device,
        **options.detector_options,
    )
    if found and isinstance(found[0], DetectedFace):  # a stand-in that knows single images only
        return [found]  # type: ignore[list-item]
    return found  # type: ignore[return-value]


def _checked(
    image: LoadedImage, faces: list[DetectedFace], single: bool, options: FaceOptions
) -> list[DetectedFace]:
    # A box that lies wholly outside the picture leaves nothing to cut out.
    kept = [face for face in faces if face.img.shape[0] > 0 and face.img.shape[1] > 0]
    if kept:
        return kept
    error: Exception
    if options.enforce_detection and faces:
        error = ImgNotFound(f"no face of {image.name} has an area inside the picture")
    elif options.enforce_detection and options.detector_backend != "skip":
        error = FaceNotDetected(
            f"Face could not be detected in {image.name}. Is it a photograph of a face? Another "
            "detector_backend may find it; enforce_detection=False takes the whole picture."
        )
    elif faces:
        return []
    else:
        height, width = image.source.shape[:2]
        whole = FacialAreaRegion(0, 0, width, height, confidence=0)
        return [DetectedFace(image.source, whole, 0)]
    raise error if single else with_item(error, image.index, image.name)


def _judged(found: list[ImageFaces], device: str | None) -> list[ImageFaces]:
    """The same with a verdict for every face, all faces in one batch."""
    from deepface.spoofing.registry import SPOOF_DETECTORS

    faces = []
    for item in found:
        for face in item.faces:
            area = facial_area(face.facial_area, item.image.source)
            faces.append((item.image.pixels, (area["x"], area["y"], area["w"], area["h"])))
    verdicts = iter(SPOOF_DETECTORS.build("Fasnet", device).judge(faces))
    return [replace(item, liveness=[next(verdicts) for _ in item.faces]) for item in found]


def _progress_bar(batch: Batch, options: FaceOptions) -> Any:
    from tqdm.auto import tqdm

    return tqdm(
        total=batch.total, desc="Images", unit="image", disable=not options.progress, leave=False
    )


def extract_faces(
    img_path: Any,
    detector_backend: str = "opencv",
    enforce_detection: bool = True,
    align: bool = True,
    expand_percentage: int = 0,
    grayscale: bool = False,
    color_face: str = "rgb",
    normalize_face: bool = True,
    anti_spoofing: bool = False,
    max_faces: int | None = None,
    *,
    border: float = PUBLISHED_BORDER,
    batch_size: int = DEFAULT_BATCH_SIZE,
    device: str | None = None,
    progress: bool = False,
    **detector_options: Any,
) -> list[Any]:
    """See :func:`deepface.DeepFace.extract_faces`; ``max_faces`` keeps the largest ones."""
    if color_face not in ("rgb", "bgr", "gray"):
        raise UnimplementedError(f"unknown color_face {color_face!r}: use 'rgb', 'bgr' or 'gray'")
    if grayscale:
        get_logger().warning("grayscale is deprecated; use color_face='gray'")
        color_face = "gray"
    options = FaceOptions(
        detector_backend=detector_backend,
        enforce_detection=enforce_detection,
        align=align,
        expand_percentage=expand_percentage,
        anti_spoofing=anti_spoofing,
        max_faces=max_faces,
        border=border,
        batch_size=batch_size,
        device=device,
        progress=progress,
        detector_options=detector_options,
    )
    batch = open_batch(img_path)
    results: list[list[dict[str, Any]]] = []
    for chunk in iter_faces(batch, options):
        for item in chunk:
            positions = range(len(item.faces))
            results.append([_describe(item, p, color_face, normalize_face) for p in positions])
    return results[0] if batch.single else results


def _describe(
    found: ImageFaces, position: int, color_face: str, normalize_face: bool
) -> dict[str, Any]:
    face = found.faces[position]
    described = {
        "face": _pixels(face.img, color_face, normalize_face),
        "facial_area": facial_area(face.facial_area, found.image.source),
        "confidence": round(float(face.confidence), 2),
    }
    if found.liveness is not None:
        verdict = found.liveness[position]
        described.update(is_real=verdict.is_real, antispoof_score=verdict.score)
    return described


def _pixels(crop: NDArray[Any], color_face: str, normalize_face: bool) -> NDArray[Any]:
    if color_face == "rgb":
        crop = crop[:, :, ::-1]
    elif color_face == "gray":
        import cv2

        crop = cv2.cvtColor(np.ascontiguousarray(crop), cv2.COLOR_BGR2GRAY)
    if normalize_face and crop.max() > 1:
        return crop / 255  # type: ignore[no-any-return]
    return np.ascontiguousarray(crop)


def facial_area(region: FacialAreaRegion, picture: NDArray[Any]) -> dict[str, Any]:
    """Box and landmarks of a face as the public functions give them.

    The box is clipped to the picture, with width at most ``W - x - 1``; a landmark outside the
    picture is ``None``; nose and mouth appear only where the detector gives them.
    """
    height, width = picture.shape[:2]
    x, y = max(0, int(region.x)), max(0, int(region.y))
    area: dict[str, Any] = {
        "x": x,
        "y": y,
        "w": min(width - x - 1, int(region.w)),
        "h": min(height - y - 1, int(region.h)),
    }
    for name in LANDMARKS:
        point = getattr(region, name)
        if point is None and name not in ("left_eye", "right_eye"):
            continue
        valid = alignment.is_valid_landmark(point, width, height)
        area[name] = (int(point[0]), int(point[1])) if valid else None
    return area
