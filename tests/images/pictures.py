"""Small pictures made on the spot, encoded and in files."""

from __future__ import annotations

import io
from pathlib import Path

import cv2
import numpy as np
import PIL.Image

from deepface.types import Image

ORIENTATION = 0x0112


def picture(height: int = 24, width: int = 32, seed: int = 0) -> Image:
    """Coarse coloured blocks: no symmetry, so that any turn or mirroring shows."""
    blocks = np.random.default_rng(seed).integers(0, 256, (3, 4, 3), dtype=np.uint8)
    return cv2.resize(blocks, (width, height), interpolation=cv2.INTER_NEAREST)  # type: ignore[return-value]


def encoded(image: Image, suffix: str = ".png") -> bytes:
    """By OpenCV, or by Pillow what only newer ones write: GIF and AVIF."""
    if not cv2.haveImageWriter(f"a{suffix}"):
        stream = io.BytesIO()
        PIL.Image.fromarray(image[:, :, ::-1].copy()).save(stream, suffix[1:].upper())
        return stream.getvalue()
    return bytes(cv2.imencode(suffix, image)[1])


def with_orientation(image: Image, orientation: int, kind: str = "JPEG") -> bytes:
    exif = PIL.Image.Exif()
    exif[ORIENTATION] = orientation
    stream = io.BytesIO()
    PIL.Image.fromarray(image[:, :, ::-1].copy()).save(stream, kind, exif=exif)
    return stream.getvalue()


def folder_of(path: Path, count: int, height: int = 24, width: int = 32) -> list[Path]:
    """PNG files ``000.png`` ... with pictures of seeds 0 ..."""
    files = [path / f"{index:03}.png" for index in range(count)]
    for index, file in enumerate(files):
        file.write_bytes(encoded(picture(height, width, seed=index)))
    return files
