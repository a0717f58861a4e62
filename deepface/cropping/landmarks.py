"""Alignment by five landmarks: a face as its recognition network was trained to see it.

A similarity transform (shift, rotation, one scale) moves the landmarks onto a template in the
least-squares sense, and the face is sampled straight from its picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from deepface.cropping.alignment import LONGEST
from deepface.detection.canvas import cut
from deepface.types import FIVE_POINTS, FacialAreaRegion


@dataclass(frozen=True)
class Template:
    """Where the landmarks belong in a network's input.

    ``points`` are in pixels, in the order of :data:`deepface.types.FIVE_POINTS`; ``size`` is the
    input's ``(height, width)``.
    """

    points: tuple[tuple[float, float], ...]
    size: tuple[int, int]

    def __post_init__(self) -> None:
        if len(self.points) != len(FIVE_POINTS):
            raise ValueError(f"a template has {len(FIVE_POINTS)} points, not {len(self.points)}")

    def crops(
        self, sources: Sequence[NDArray[Any]], regions: Sequence[FacialAreaRegion]
    ) -> list[NDArray[Any]]:
        """Faces sampled onto the template, black where they reach outside their picture.

        Args:
            sources: the picture ``(H, W, 3)`` of each face.
            regions: the faces; every one has ``five_points``.

        Returns:
            One array ``(height, width, 3)`` per face, of its picture's dtype.
        """
        if not regions:
            return []
        landmarks = np.array([region.five_points for region in regions], dtype=np.float64)
        transforms = similarity_transforms(landmarks, np.array(self.points))
        return [
            _sample(source, transform, self.size)
            for source, transform in zip(sources, transforms, strict=True)
        ]


def similarity_transforms(
    landmarks: NDArray[np.float64], target: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The similarity transforms that come closest to moving landmarks onto a template.

    Least squares in closed form (Umeyama 1991, without reflection).

    Args:
        landmarks: ``(n, p, 2)``.
        target: ``(p, 2)``.

    Returns:
        Matrices ``(n, 2, 3)``. Landmarks that all coincide give a shift without a scale.
    """
    centre, target_centre = landmarks.mean(1, keepdims=True), target.mean(0)
    x, y = np.moveaxis(landmarks - centre, -1, 0)
    u, v = (target - target_centre).T
    spread = np.maximum((x * x + y * y).sum(1), 1e-12)
    a, b = (x * u + y * v).sum(1) / spread, (x * v - y * u).sum(1) / spread
    linear = np.stack([np.stack([a, -b], 1), np.stack([b, a], 1)], 1)
    shift = target_centre - (linear @ centre.transpose(0, 2, 1))[..., 0]
    return np.concatenate([linear, shift[..., None]], 2)


def _sample(
    source: NDArray[Any], transform: NDArray[np.float64], size: tuple[int, int]
) -> NDArray[Any]:
    """Bilinear, black around; a face that is more than twice too large is averaged down first."""
    height, width = size
    scale = float(np.hypot(transform[0, 0], transform[1, 0]))
    if scale * min(source.shape[:2]) < 1:  # landmarks without extent, or wider than any picture
        return np.zeros((height, width, *source.shape[2:]), source.dtype)
    shrink = max(1, int(0.5 / scale))
    if shrink > 1 or max(source.shape[:2]) > LONGEST:
        source, origin = _shrunk(source, transform, size, shrink)
        if not source.size:
            return np.zeros((height, width, *source.shape[2:]), source.dtype)
        # A pixel's centre lies half a pixel inside it, in both grids.
        corner = np.array([origin[0] + (shrink - 1) / 2, origin[1] + (shrink - 1) / 2])
        shift = transform[:, 2] + transform[:, :2] @ corner
        transform = np.column_stack([transform[:, :2] * shrink, shift])
    return cv2.warpAffine(source, transform, (width, height))


def _shrunk(
    source: NDArray[Any], transform: NDArray[np.float64], size: tuple[int, int], factor: int
) -> tuple[NDArray[Any], tuple[int, int]]:
    """The part of the picture that the face covers, ``factor`` times smaller, and its origin.

    Without what lies wholly outside of the picture; nothing is left of a face that does.
    """
    height, width = size
    back = cv2.invertAffineTransform(transform)
    corners = np.array([[0, 0, 1], [width, 0, 1], [0, height, 1], [width, height, 1]]) @ back.T
    first = np.floor(corners.min(0)).astype(int) - factor
    cells = np.ceil((corners.max(0) + factor - first) / factor).astype(int)
    ends = np.array([source.shape[1], source.shape[0]])
    skipped = np.maximum(-first // factor, 0)
    cells = np.minimum(cells, -((first - ends) // factor)) - skipped
    x, y = (first + skipped * factor).tolist()
    columns, rows = np.maximum(cells, 0).tolist()
    part = cut(source, x, y, columns * factor, rows * factor)
    if part.size and factor > 1:
        part = cv2.resize(part, (columns, rows), interpolation=cv2.INTER_AREA)
    return part, (x, y)
