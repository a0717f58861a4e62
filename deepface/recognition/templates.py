"""How each recognition network saw faces in training: what ``align="landmarks"`` reproduces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
from numpy.typing import NDArray

from deepface.cropping.landmarks import Template
from deepface.detection.canvas import cut
from deepface.types import FacialAreaRegion


@dataclass(frozen=True)
class Margin:
    """The box, enlarged about its centre and stretched to the input; no rotation.

    ``fraction`` is how much wider and higher the box becomes; ``size`` is ``(height, width)``.
    """

    fraction: float
    size: tuple[int, int]

    def crops(
        self, sources: Sequence[NDArray[Any]], regions: Sequence[FacialAreaRegion]
    ) -> list[NDArray[Any]]:
        """Boxes enlarged, and black where they leave the picture; see ``FaceCut``.

        A box without an area gives a crop without one.
        """
        height, width = self.size
        faces = []
        for source, region in zip(sources, regions, strict=True):
            dx, dy = round(region.w * self.fraction / 2), round(region.h * self.fraction / 2)
            box = (region.x - dx, region.y - dy, region.w + 2 * dx, region.h + 2 * dy)
            face = cut(source, *box)
            if face.size:
                shrinks = cv2.INTER_AREA if region.w > width else cv2.INTER_LINEAR
                face = cv2.resize(face, (width, height), interpolation=shrinks)
            faces.append(face)
        return faces


#: The template of ArcFace (Deng et al., CVPR 2019) and of the networks trained in its way.
ARCFACE = Template(
    (
        (38.2946, 51.6963),
        (73.5318, 51.5014),
        (56.0252, 71.7366),
        (41.5493, 92.3655),
        (70.7299, 92.2041),
    ),
    (112, 112),
)


def dlib_chip(size: int, padding: float) -> Template:
    """dlib's mean face of 68 points, reduced to five: the middles of the eyes, tip of the nose,
    corners of the mouth; in a unit square that grows by ``padding`` on every side.
    """
    points = (
        (0.225492, 0.215990),
        (0.754761, 0.215990),
        (0.490127, 0.515625),
        (0.254149, 0.780233),
        (0.726104, 0.780233),
    )
    scale = size / (1 + 2 * padding)
    return Template(
        tuple(((x + padding) * scale, (y + padding) * scale) for x, y in points), (size,) * 2
    )


#: MTCNN's boxes with 32 of 160 pixels of margin
#: (github.com/davidsandberg/facenet, align_dataset_mtcnn).
MTCNN_BOX = Margin(32 / 128, (160, 160))
