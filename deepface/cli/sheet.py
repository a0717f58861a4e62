"""Small pictures of all faces, in rows on pages."""

from __future__ import annotations

import base64
import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from deepface.cli.entries import THUMBNAIL, PictureNotWritten, ResultLine
from deepface.cli.outcome import WrongUse
from deepface.logger import printable
from deepface.runtime.safe_files import write
from deepface.types import Image

#: Edge of a small picture in pixels, with its margin; columns and rows of a page.
_SIZE, _MARGIN, _COLUMNS, _ROWS = 112, 4, 12, 8
_CELL = _SIZE + _MARGIN


def thumbnail(picture: Image, area: dict[str, Any]) -> str:
    """A face of a BGR picture ``(H, W, 3)``, as the base64 text of a small JPEG file."""
    x, y = area["x"], area["y"]
    crop = picture[y : y + max(area["h"], 1), x : x + max(area["w"], 1)]
    height, width = crop.shape[:2]
    scale = _SIZE / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = cv2.resize(crop, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    _, encoded = cv2.imencode(".jpg", small)
    return base64.b64encode(encoded.tobytes()).decode()


class ContactSheet:
    """Pages of small pictures: ``faces.jpg``, ``faces-2.jpg`` ... One page is in memory."""

    def __init__(self, path: Path) -> None:
        if not cv2.haveImageWriter(f"x{printable(path.suffix)}"):
            raise WrongUse(f"--contact-sheet {path}: use a suffix such as .jpg or .png")
        path.parent.mkdir(parents=True, exist_ok=True)
        if not os.access(path.parent, os.W_OK):
            raise WrongUse(f"--contact-sheet {path} cannot be written: its folder is read-only")
        self._path = path
        self._page = 1
        self._cells: list[Image] = []

    def add(self, entry: ResultLine) -> None:
        """Put an entry's faces on the page."""
        for face in entry.faces:
            data = np.frombuffer(base64.b64decode(face[THUMBNAIL]), np.uint8)
            small = cv2.imdecode(data, cv2.IMREAD_COLOR)
            assert small is not None
            self._cells.append(small)  # type: ignore[arg-type]
            if len(self._cells) == _COLUMNS * _ROWS:
                self._write()

    def finish(self) -> None:
        """Write the last page; the first also when there is no face."""
        if self._cells or self._page == 1:
            self._write()

    def _write(self) -> None:
        columns = min(_COLUMNS, max(1, len(self._cells)))
        rows = max(1, -(-len(self._cells) // _COLUMNS))
        page = np.full((rows * _CELL + _MARGIN, columns * _CELL + _MARGIN, 3), 255, np.uint8)
        for number, small in enumerate(self._cells):
            height, width = small.shape[:2]
            y = (number // _COLUMNS) * _CELL + _MARGIN + (_SIZE - height) // 2
            x = (number % _COLUMNS) * _CELL + _MARGIN + (_SIZE - width) // 2
            page[y : y + height, x : x + width] = small
        path = self._path
        if self._page > 1:
            path = path.with_name(f"{path.stem}-{self._page}{path.suffix}")
        save(path, page)
        self._page += 1
        self._cells = []


def save(path: Path, picture: Any) -> None:
    """Write a BGR or grey picture; the suffix decides the format.

    Raises:
        PictureNotWritten: the format has no room for it, e.g. JPEG has 65,500 pixels to a side.
    """
    try:
        fits, encoded = cv2.imencode(printable(path.suffix), picture)
    except cv2.error:
        fits = False
    if not fits:
        height, width = picture.shape[:2]
        raise PictureNotWritten(f"{width} x {height} pixels cannot be written to a {path.suffix}")
    write(path, encoded.tobytes())
