"""The values that walk between the rooms."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

#: A decoded picture: BGR, ``uint8``, shape ``(H, W, 3)``.
Image: TypeAlias = NDArray[np.uint8]
#: An array, or a tensor of the same shape on the device where it was made.
Pixels: TypeAlias = "NDArray[Any] | Tensor"
#: A point in pixels, ``(x, y)``, origin in the upper left corner.
Point: TypeAlias = tuple[int, int]
#: A box in pixels: ``(x, y, w, h)``, or corners ``(x1, y1, x2, y2)`` where an argument says so.
Box: TypeAlias = tuple[int, int, int, int]


class Rectangle(NamedTuple):
    """A part of a picture, in its pixels; what lies outside of the picture is black."""

    top: int
    left: int
    height: int
    width: int


def on_host(pixels: Pixels) -> NDArray[Any]:
    """An array as it is; a tensor's values, brought to the CPU."""
    if isinstance(pixels, np.ndarray):
        return pixels
    array: NDArray[Any] = pixels.cpu().numpy()
    return array


@dataclass
class FacialAreaRegion:
    """One detected face: box and landmarks in pixels of the image that was given.

    ``left_eye`` is the person's own left eye: in an upright face it is the one with the larger x.
    A landmark is ``None`` when the detector does not give it. ``confidence`` is the detector's
    score; its range depends on the detector.
    """

    x: int
    y: int
    w: int
    h: int
    left_eye: Point | None = None
    right_eye: Point | None = None
    confidence: float | None = None
    nose: Point | None = None
    mouth_right: Point | None = None
    mouth_left: Point | None = None
    #: The five landmarks before rounding, in the order of :data:`FIVE_POINTS`, where the detector
    #: finds them. Alignment by landmarks uses them.
    five_points: tuple[tuple[float, float], ...] | None = None

    def shifted(self, dx: int, dy: int) -> FacialAreaRegion:
        """The same face after moving the origin: ``(dx, dy)`` is added to box and landmarks."""
        moved: dict[str, Any] = {"x": self.x + dx, "y": self.y + dy}
        for name in LANDMARKS:
            point = getattr(self, name)
            moved[name] = None if point is None else (point[0] + dx, point[1] + dy)
        if self.five_points is not None:
            moved["five_points"] = tuple((px + dx, py + dy) for px, py in self.five_points)
        rest = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in moved}
        return FacialAreaRegion(**rest, **moved)


#: Names of the five landmarks, in the published order of attributes.
LANDMARKS = ("left_eye", "right_eye", "nose", "mouth_right", "mouth_left")
#: Order of ``FacialAreaRegion.five_points``; left and right are the person's own.
FIVE_POINTS = ("right_eye", "left_eye", "nose", "mouth_right", "mouth_left")


class Picture(Protocol):
    """A picture as it came in; its range is known from there on.

    ``pixels`` is what a detector sees: BGR ``uint8`` ``(H, W, 3)``, contiguous; a tensor where it
    was decoded on a device. ``source`` is what crops are cut from: ``pixels`` itself, or a caller's
    three-channel picture of native floats. ``full_scale`` is what white is in ``source``: 255 or 1.
    ``known`` are the pixels on the CPU, where they are there, too.
    """

    @property
    def pixels(self) -> Pixels:
        """See the class."""

    @property
    def source(self) -> Pixels:
        """See the class."""

    @property
    def full_scale(self) -> float:
        """See the class."""

    @property
    def known(self) -> Image | None:
        """See the class."""


@dataclass
class DetectedFace:
    """A face cut out of its picture.

    ``img`` is the BGR crop ``(h, w, 3)``, rotated when alignment was asked for, on the device if
    its picture was decoded there; ``facial_area`` is the unrotated box in pixels of the picture.
    ``full_scale`` is what white is in ``img``.
    """

    img: Pixels
    facial_area: FacialAreaRegion
    confidence: float
    full_scale: float = 255.0


@dataclass(frozen=True)
class Liveness:
    """Whether a face is a real one before the camera, and how sure that is (0 to 1)."""

    is_real: bool
    score: float
