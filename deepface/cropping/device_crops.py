"""Upright crops of faces whose pictures are on a device, all faces of a batch together."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from deepface.cropping.alignment import upright
from deepface.images.resample import UNTURNED, PixelTable, Turn, turned
from deepface.runtime.execution.batching import regrouped
from deepface.types import FacialAreaRegion, Rectangle


def aligned_crops(
    sources: Sequence[Tensor], found: Sequence[Sequence[FacialAreaRegion]]
) -> list[list[Tensor]]:
    """:func:`deepface.cropping.alignment.aligned_crop` for each face of each picture, bit for bit.

    Args:
        sources: BGR ``uint8`` ``(H, W, 3)``, on one device.
        found: the faces of each; boxes may reach outside.
    """
    turns = [
        _turn(position, region) for position, regions in enumerate(found) for region in regions
    ]
    if not turns:
        return [[] for _ in found]
    return regrouped(turned(PixelTable(sources), turns), found)


def _turn(picture: int, region: FacialAreaRegion) -> Turn:
    part, matrix, (x1, y1, x2, y2) = upright(region)
    wanted = Rectangle(y1, x1, max(0, y2 - y1), max(0, x2 - x1))
    return Turn(picture, part, UNTURNED if matrix is None else matrix, wanted)
