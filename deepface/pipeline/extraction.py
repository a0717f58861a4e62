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
from deepface.types import LANDMARKS, Box, DetectedFace, FacialAreaRegion, Liveness, Pixels, on_host


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
    def seconds(self) -> float | None:
        """The time of a video's frame."""
        return None if self.image is None else self.image.seconds

    @property
    def source(self) -> Pixels:
        """What crops are cut from; see :class:`deepface.types.Picture`."""
        return self.picture.source

    @property
    def vectors(self) -> NDArray[Any]:
        """The vectors, which were asked for."""
        assert self.embeddings is not None
        return self.embeddings

    def areas(self) -> list[dict[str, Any]]:
        """Boxes and landmarks of the faces as the public functions give them.

        A box is clipped to the picture, with width at most ``W - x - 1``; a landmark outside the
        picture is ``None``; nose and mouth appear only where the detector gives them.
        """
        height, width = self.source.shape[:2]
        return [_area(face.facial_area, width, height) for face in self.faces]


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
    found = face_crops.detect_faces(
        detector_backend=options.detector_backend,
        img=[item.picture.pixels for item in seen],
        pictures=[item.picture for item in seen],
        device=options.one_device,
        **vars(options.crops()),
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
        faces += [(pixels, box_of(area)) for area in item.areas()]
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
    described: list[dict[str, Any]] = [
        {
            "face": _pixels(face, options),
            "facial_area": area,
            "confidence": round(float(face.confidence), 2),
        }
        for face, area in zip(item.faces, item.areas(), strict=True)
    ]
    if options.anti_spoofing:
        for result, verdict in zip(described, item.liveness, strict=True):
            result.update(is_real=verdict.is_real, antispoof_score=verdict.score)
    return described


def _pixels(face: DetectedFace, options: Options) -> NDArray[Any]:
    """A crop as it was asked for, in memory of its own."""
    crop = on_host(face.img)
    of_bytes = crop.dtype == np.uint8
    if options.color_face == "rgb":
        crop = cv2.cvtColor(crop, cv2.COLOR_BGR2RGB) if of_bytes else crop[:, :, ::-1]
    elif options.color_face == "gray":
        # OpenCV does not know this of float64.
        narrow = crop if of_bytes else crop.astype(np.float32, copy=False)
        crop = cv2.cvtColor(narrow, cv2.COLOR_BGR2GRAY).astype(crop.dtype, copy=False)
    if not options.normalize_face or face.full_scale == 1:
        return np.array(crop, order="C")
    if of_bytes:  # by a table, in half the time
        return cv2.LUT(crop, np.arange(256) / face.full_scale)
    return crop / face.full_scale


def box_of(area: dict[str, Any]) -> Box:
    """The box ``(x, y, w, h)`` of a described face."""
    return area["x"], area["y"], area["w"], area["h"]


def _area(region: FacialAreaRegion, width: int, height: int) -> dict[str, Any]:
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
