"""Crops that are on a device to a network's input there; the numbers of ``preprocessing.py``."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from deepface.images.resample import PixelTable, resized, resized_real
from deepface.recognition.preprocessing import VGGFACE_MEANS, inner_size
from deepface.types import Rectangle


def network_inputs_on_device(
    crops: Sequence[Tensor], size: tuple[int, int], normalization: str, as_given: bool = False
) -> Tensor:
    """Letterboxed and normalised crops, all in one batch.

    Args:
        crops: at least one; BGR ``uint8`` ``(h, w, 3)``.
        size: height and width of the result.
        normalization: see :func:`deepface.recognition.preprocessing.normalize_input`.
        as_given: resize ``uint8``, which rounds, instead of floats.

    Returns:
        float32 ``(n, height, width, 3)``.
    """
    wholes, places = [], []
    for crop in crops:
        height, width = crop.shape[:2]
        inner = inner_size((height, width), size)
        margins = (size[0] - inner[0]) // 2, (size[1] - inner[1]) // 2
        wholes.append(Rectangle(0, 0, height, width))
        places.append(Rectangle(*margins, *inner))
    pixels = PixelTable(crops)
    if as_given:
        faces = resized(pixels, wholes, places, size).float() / 255
    else:
        faces = (resized_real(pixels, wholes, places, size) / 255).float()
    return _normalized(faces, normalization)


def _normalized(faces: Tensor, normalization: str) -> Tensor:
    if normalization == "base":
        return faces
    faces = faces * 255
    if normalization == "Facenet":
        deviation, mean = torch.std_mean(faces, (1, 2, 3), correction=0, keepdim=True)
        return (faces - mean) / deviation.clamp(min=faces[0].numel() ** -0.5)
    if normalization == "Facenet2018":
        return faces / 127.5 - 1
    if normalization == "ArcFace":
        return (faces - 127.5) / 128
    if normalization in VGGFACE_MEANS:
        return faces - faces.new_tensor(VGGFACE_MEANS[normalization])
    return faces
