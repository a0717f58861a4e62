"""Detect and cut out: the walk from pictures to aligned faces, for a whole batch at once."""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from deepface.arguments import number, truth
from deepface.cropping.alignment import aligned_crop, expand_region
from deepface.detection.canvas import Canvas, cut
from deepface.detection.card import DetectorCard
from deepface.detection.detector import Detector
from deepface.detection.registry import DETECTORS
from deepface.errors import InvalidArgument, UnimplementedError
from deepface.images.arrays import to_picture
from deepface.logger import get_logger
from deepface.types import DetectedFace, FacialAreaRegion, Picture, Pixels, on_host

if TYPE_CHECKING:
    from torch import Tensor

#: The black border that the published library adds, as a fraction of height and width.
PUBLISHED_BORDER = 0.5
#: The value of ``align`` that cuts faces as their recognition network was trained to see them.
LANDMARKS_ALIGNMENT = "landmarks"
Align: TypeAlias = bool | Literal["landmarks"]


class FaceCut(Protocol):
    """Cuts faces out of their pictures as one recognition network was trained to see them."""

    def crops(
        self, sources: Sequence[NDArray[Any]], regions: Sequence[FacialAreaRegion]
    ) -> list[NDArray[Any]]:
        """The faces ``(height, width, 3)``, one per region and its picture ``(H, W, 3)``."""


@dataclass(frozen=True)
class CropOptions:
    """What happens around detection; see :func:`detect_faces` for the fields."""

    align: Align
    expand_percentage: int
    max_faces: int | None
    border: float
    face_cut: FaceCut | None

    def __post_init__(self) -> None:
        object.__setattr__(self, "align", checked_align(self.align))
        if (self.align == LANDMARKS_ALIGNMENT) is not (self.face_cut is not None):
            raise UnimplementedError(
                "align='landmarks' is for represent, verify and find: how a face is cut depends on "
                "the recognition model"
            )
        object.__setattr__(self, "border", number("border", self.border))
        if not 0 <= self.border <= 2:
            raise InvalidArgument(
                f"border is a fraction of the image's size from 0 to 2, but it is {self.border}"
            )
        percentage = number("expand_percentage", self.expand_percentage)
        if math.isinf(percentage):
            raise InvalidArgument("expand_percentage must not be infinite")
        if percentage < 0:
            get_logger().warning("expand_percentage %s is negative; using 0", percentage)
            percentage = 0
        object.__setattr__(self, "expand_percentage", percentage)


def checked_align(align: object) -> Align:
    """What ``align`` is.

    Raises:
        UnimplementedError: it is another text than ``"landmarks"``.
        InvalidArgument: it is neither this nor a truth value.
    """
    if isinstance(align, str) and align == LANDMARKS_ALIGNMENT:
        return "landmarks"
    if isinstance(align, str):
        raise UnimplementedError(f"unknown align {align!r}: use True, False or 'landmarks'")
    return truth("align", align)


def detect_faces(
    detector_backend: str,
    img: NDArray[Any] | Sequence[Pixels],
    align: Align = True,
    expand_percentage: int = 0,
    max_faces: int | None = None,
    *,
    pictures: Sequence[Picture] | None = None,
    border: float = PUBLISHED_BORDER,
    face_cut: FaceCut | None = None,
    device: str | None = None,
    **detector_options: Any,
) -> list[DetectedFace] | list[list[DetectedFace]]:
    """Find faces and cut them out.

    Args:
        detector_backend: a detector's name.
        img: one BGR array ``(H, W, 3)``, a list of them or a 4-D array, as for
            :func:`deepface.images.arrays.to_picture`.
        align: rotate each crop so that the eyes are level; the detector is then shown the
            picture with a black border. ``"landmarks"`` cuts by ``face_cut`` instead.
        expand_percentage: how much wider and higher than found a box becomes, in percent.
        max_faces: keep only so many faces per image, the largest first.
        pictures: the pictures whose ``pixels`` ``img`` is a list of, where more is known of them.
        border: width of the black border as a fraction of the image's height and width. 0.5 is
            what the published library does; 0 finds small faces better and is faster.
        face_cut: how faces are cut with ``align="landmarks"``.
        device: where the detector runs, e.g. ``"cpu"`` or ``"cuda:0"``.
        detector_options: options of the detector, e.g. ``min_face_size``.

    Returns:
        The faces of the image, or one list of faces per image of a batch.
    """
    options = CropOptions(align, expand_percentage, max_faces, border, face_cut)
    detector = DETECTORS.build(detector_backend, device, **detector_options)
    single = isinstance(img, np.ndarray) and img.ndim != 4
    if pictures is None:
        images: Any = [img] if single else img
        pictures = [to_picture(image) for image in images]
    faces = crop_faces(detector, pictures, options)
    return faces[0] if single else faces


def crop_faces(
    detector: Detector, pictures: Sequence[Picture], options: CropOptions
) -> list[list[DetectedFace]]:
    """The faces of each picture.

    Args:
        detector: finds them.
        pictures: tensors are those of a device; their crops are tensors there.
        options: see :func:`detect_faces`.
    """
    tensors = getattr(detector, "takes_tensors", False) and not detector.prefers_arrays
    images = [
        picture.pixels if tensors or picture.known is None else picture.known
        for picture in pictures
    ]
    if options.face_cut is not None:
        _check_landmarks(detector)
    border = options.border if options.align else 0.0
    canvases = [Canvas.with_border(image, border) for image in images]
    found = [
        [
            expand_region(region, options.expand_percentage, canvas.width, canvas.height).shifted(
                -canvas.left, -canvas.top
            )
            for region in _largest(regions, options.max_faces)
        ]
        for canvas, regions in zip(canvases, _detect(detector, canvases), strict=True)
    ]
    if options.face_cut is not None:
        return _cut_by_landmarks(detector, pictures, found, options.face_cut)
    if not _looks_for_eyes(getattr(detector, "card", None)):
        _fill_in_eyes(images, found, getattr(detector, "device_name", None))
    return _cut_out(pictures, found, bool(options.align))


def extract_face(
    facial_area: FacialAreaRegion,
    img: NDArray[Any],
    align: bool,
    expand_percentage: int,
    width_border: int,
    height_border: int,
    detector_backend: str,
) -> DetectedFace:
    """Cut one face out of a picture with a border: the published building block.

    Args:
        facial_area: a face in pixels of ``img``.
        img: BGR ``(H, W, 3)``, its border included, as for
            :func:`deepface.images.arrays.to_picture`.
        align: rotate the crop so that the eyes are level.
        expand_percentage: how much wider and higher the box becomes, in percent.
        width_border: what the border adds on the left, in pixels; subtracted from the result.
        height_border: what it adds on top.
        detector_backend: who found the face; eyes that it left open are looked for, unless it did
            so itself.
    """
    height, width = img.shape[:2]
    region = expand_region(facial_area, expand_percentage, width, height)
    found = [[region]]
    picture = to_picture(img)
    if not _looks_for_eyes(DETECTORS.find(detector_backend)):
        _fill_in_eyes([picture.pixels], found)
    face = _cut_out([picture], found, align)[0][0]
    return replace(face, facial_area=face.facial_area.shifted(-width_border, -height_border))


def _detect(detector: Any, canvases: Sequence[Canvas]) -> list[list[FacialAreaRegion]]:
    if isinstance(detector, Detector):
        return detector.detect_canvases(canvases)
    # A stand-in that a script has put into cached_models: it knows single images only.
    return [detector.detect_faces(canvas.pixels()) for canvas in canvases]


def _largest(regions: list[FacialAreaRegion], count: int | None) -> list[FacialAreaRegion]:
    if count is None or count >= len(regions):
        return regions
    return heapq.nlargest(count, regions, key=lambda region: region.w * region.h)


def _looks_for_eyes(card: DetectorCard | None) -> bool:
    return card is not None and card.looks_for_eyes


def _fill_in_eyes(
    images: Sequence[Pixels], found: list[list[FacialAreaRegion]], device: str | None = None
) -> None:
    """Let OpenCV's eye cascade find the eyes that a detector did not give, for all faces at once.

    ``found`` is changed in place.
    """
    missing = [
        (image, faces, position)
        for image, faces in zip(images, found, strict=True)
        for position, face in enumerate(faces)
        if face.left_eye is None or face.right_eye is None
    ]
    if not missing:
        return
    from deepface.detection.haar.opencv import find_eyes

    crops = [
        cut(image, face.x, face.y, face.w, face.h)
        for image, faces, position in missing
        for face in [faces[position]]
    ]
    for (_, faces, position), (left, right) in zip(missing, find_eyes(crops, device), strict=True):
        face = faces[position]
        if face.left_eye is None and left is not None:
            face = replace(face, left_eye=(face.x + left[0], face.y + left[1]))
        if face.right_eye is None and right is not None:
            face = replace(face, right_eye=(face.x + right[0], face.y + right[1]))
        faces[position] = face


def _check_landmarks(detector: Any) -> None:
    if getattr(detector, "landmarks", 0) != 5:
        able = [name for name, entry in DETECTORS.entries.items() if entry.landmarks == 5]
        raise UnimplementedError(
            f"align='landmarks' needs five landmarks per face, which the detector {detector.name} "
            f"does not give. Detectors that do: {', '.join(able)}"
        )


def _cut_by_landmarks(
    detector: Any,
    pictures: Sequence[Picture],
    found: list[list[FacialAreaRegion]],
    face_cut: FaceCut,
) -> list[list[DetectedFace]]:
    """All faces of a batch, as their recognition network was trained to see them."""
    flat = [
        (array, region)
        for picture, regions in zip(pictures, found, strict=True)
        for array in ([_source_on_host(picture)] if regions else [])
        for region in regions
    ]
    if any(region.five_points is None for _, region in flat):
        raise UnimplementedError(
            f"align='landmarks' needs five landmarks per face, and these weights of the detector "
            f"{detector.name} give none"
        )
    crops = iter(face_cut.crops([source for source, _ in flat], [region for _, region in flat]))
    return [
        [_face(next(crops), region, picture) for region in regions]
        for picture, regions in zip(pictures, found, strict=True)
    ]


def _source_on_host(picture: Picture) -> NDArray[Any]:
    if isinstance(picture.source, np.ndarray) or picture.known is None:
        return on_host(picture.source)
    return picture.known


def _cut_out(
    pictures: Sequence[Picture], found: Sequence[Sequence[FacialAreaRegion]], align: bool
) -> list[list[DetectedFace]]:
    crops: dict[int, Sequence[Pixels]] = {}
    on_device: dict[int, Tensor] = {}
    for position, (picture, regions) in enumerate(zip(pictures, found, strict=True)):
        source = picture.source
        if not align:
            crops[position] = [cut(source, face.x, face.y, face.w, face.h) for face in regions]
        elif isinstance(source, np.ndarray):
            crops[position] = [aligned_crop(source, face) for face in regions]
        else:
            on_device[position] = source
    if on_device:
        from deepface.cropping.device_crops import aligned_crops

        upright = aligned_crops([*on_device.values()], [found[position] for position in on_device])
        crops.update(zip(on_device, upright, strict=True))
    return [
        [
            _face(crop, region, picture)
            for crop, region in zip(crops[position], regions, strict=True)
        ]
        for position, (picture, regions) in enumerate(zip(pictures, found, strict=True))
    ]


def _face(crop: Pixels, region: FacialAreaRegion, picture: Picture) -> DetectedFace:
    if isinstance(crop, np.ndarray) and crop.dtype != np.uint8:
        # Bicubic rotation carries floats beyond black and white, where OpenCV saturates uint8.
        crop = crop.clip(0, picture.full_scale)
    return DetectedFace(crop, region, region.confidence or 0, picture.full_scale)
