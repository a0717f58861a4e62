"""First step of the walk: the faces of each picture are taken out of it, and described."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from deepface.cropping import alignment, face_crops
from deepface.errors import FaceNotDetected, FaceOutsideImage, SpoofDetected
from deepface.images.batch import FailedImage, LoadedImage
from deepface.images.device_image import DeviceImage
from deepface.pipeline.options import Options
from deepface.types import LANDMARKS, DetectedFace, FacialAreaRegion, Liveness, Pixels, on_host


@dataclass
class Seen:
    """A picture on its walk, with what has been found in it so far.

    After an error, whatever step it was in, the picture takes no further step.
    """

    index: int
    name: str
    #: ``None`` when it could not be loaded.
    image: LoadedImage | DeviceImage | None
    error: Exception | None = None
    #: Boxes in pixels of the picture.
    faces: list[DetectedFace] = field(default_factory=list)
    #: One verdict per face, with ``anti_spoofing``.
    liveness: list[Liveness] = field(default_factory=list)
    #: The recognition network's inputs ``(n, H, W, 3)`` float32, with ``return_face``.
    inputs: NDArray[np.float32] | None = None
    #: Vectors ``(n, d)``, with a recognition model.
    embeddings: NDArray[Any] | None = None
    #: Per face what each attribute's network says.
    attributes: list[tuple[dict[str, Any], ...]] = field(default_factory=list)

    @classmethod
    def of(cls, loaded: LoadedImage | DeviceImage | FailedImage) -> Seen:
        """At the start of the walk."""
        if isinstance(loaded, FailedImage):
            return cls(loaded.index, loaded.name, None, loaded.error)
        return cls(loaded.index, loaded.name, loaded)

    @property
    def picture(self) -> LoadedImage | DeviceImage:
        """The picture, which could be loaded."""
        assert self.image is not None
        return self.image

    @property
    def source(self) -> Pixels:
        """What crops are cut from; see :class:`deepface.types.Picture`."""
        return self.picture.source


def find_faces(seen: list[Seen], options: Options) -> None:
    """Fill in ``faces``, all pictures in one batch; ``error`` where one has none and must."""
    for item, faces in zip(seen, _detected(seen, options), strict=True):
        # A box that lies wholly outside the picture leaves nothing to cut out.
        kept = [face for face in faces if face.img.shape[0] > 0 and face.img.shape[1] > 0]
        if kept:
            item.faces = kept
        elif options.enforce_detection is True and faces:
            item.error = FaceOutsideImage(f"no face of {item.name} has an area inside the picture")
        elif options.enforce_detection is True and not options.skips_detection:
            item.error = FaceNotDetected(
                f"Face could not be detected in {item.name}. Is it a photograph of a face? Another "
                "detector_backend may find it; enforce_detection=False takes the whole picture."
            )
        elif not faces and (not options.enforce_detection or options.skips_detection):
            height, width = item.source.shape[:2]
            whole = FacialAreaRegion(0, 0, width, height)
            item.faces = [DetectedFace(item.source, whole, 0, item.picture.full_scale)]


def _detected(seen: list[Seen], options: Options) -> list[list[DetectedFace]]:
    if options.skips_detection:
        return [[] for _ in seen]
    crops = options.crops()
    found = face_crops.detect_faces(
        detector_backend=options.detector_backend,
        img=[item.picture.pixels for item in seen],
        pictures=[item.picture for item in seen],
        align=crops.align,
        expand_percentage=crops.expand_percentage,
        max_faces=crops.max_faces,
        border=crops.border,
        face_cut=crops.face_cut,
        device=options.one_device,
        **options.detector_options(),
    )
    if found and isinstance(found[0], DetectedFace):  # a stand-in that knows single images only
        return [found]
    return found  # type: ignore[return-value]


def bring_crops(seen: list[Seen]) -> None:
    """Crops that are on the device come to the CPU, all of them in one copy."""
    faces = [f for item in seen for f in item.faces if not isinstance(f.img, np.ndarray)]
    if faces:
        from deepface.runtime.execution.transfer import downloaded

        for face, crop in zip(faces, downloaded([face.img for face in faces]), strict=True):  # type: ignore[misc]
            face.img = crop


def judge_liveness(seen: list[Seen], options: Options) -> None:
    """Fill in ``liveness``, all faces in one batch."""
    from deepface.spoofing.registry import LIVENESS, SPOOF_DETECTORS, judge

    arrays = any(isinstance(item.picture.pixels, np.ndarray) for item in seen)
    faces = []
    for item in seen:
        pixels = item.picture.host if arrays else item.picture.pixels
        for face in item.faces:
            area = facial_area(face.facial_area, item.source)
            faces.append((pixels, (area["x"], area["y"], area["w"], area["h"])))
    verdicts = iter(judge(SPOOF_DETECTORS.build(LIVENESS, options.one_device), faces))
    for item in seen:
        item.liveness = [next(verdicts) for _ in item.faces]


def refuse_spoofs(seen: list[Seen]) -> None:
    """Set ``error`` where a face was judged not to be real."""
    for item in seen:
        if not all(verdict.is_real for verdict in item.liveness):
            item.error = SpoofDetected(f"Spoof detected in {item.name}: a face there is not real")


def describe_faces(item: Seen, options: Options) -> list[dict[str, Any]]:
    """A picture's faces as ``extract_faces`` gives them."""
    described = []
    for position, face in enumerate(item.faces):
        result = {
            "face": _pixels(face, options),
            "facial_area": facial_area(face.facial_area, item.source),
            "confidence": round(float(face.confidence), 2),
        }
        if options.anti_spoofing:
            verdict = item.liveness[position]
            result.update(is_real=verdict.is_real, antispoof_score=verdict.score)
        described.append(result)
    return described


def _pixels(face: DetectedFace, options: Options) -> NDArray[Any]:
    """A crop as it was asked for, in memory of its own."""
    crop = on_host(face.img)
    if options.color_face == "rgb":
        crop = _rgb(crop)
    elif options.color_face == "gray":
        crop = _gray(crop)
    if options.normalize_face and face.full_scale != 1:
        return _in_unit_range(crop, face.full_scale)
    return np.array(crop, order="C")


def _in_unit_range(crop: NDArray[Any], full_scale: float) -> NDArray[Any]:
    """``crop / full_scale``: of bytes by a table, in half the time."""
    return (
        crop / full_scale if crop.dtype != np.uint8 else cv2.LUT(crop, np.arange(256) / full_scale)
    )


def _rgb(crop: NDArray[Any]) -> NDArray[Any]:
    return crop[:, :, ::-1] if crop.dtype != np.uint8 else cv2.cvtColor(crop, cv2.COLOR_BGR2RGB)


def _gray(crop: NDArray[Any]) -> NDArray[Any]:
    # OpenCV does not know this of float64.
    narrow = crop if crop.dtype == np.uint8 else crop.astype(np.float32, copy=False)
    gray = cv2.cvtColor(narrow, cv2.COLOR_BGR2GRAY)
    return gray.astype(crop.dtype, copy=False)


def facial_area(region: FacialAreaRegion, picture: Pixels) -> dict[str, Any]:
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
