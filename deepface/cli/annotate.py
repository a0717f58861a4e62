"""Files with pictures: copies with boxes, landmarks and labels, and faces that are cut out."""

from __future__ import annotations

import re
import zlib
from pathlib import Path
from typing import Any

import cv2

from deepface.cli.sheet import save
from deepface.types import LANDMARKS, Image

#: Bytes of a name that are kept: file systems count these (to 255), and not characters.
_LONGEST = 80
_GREEN, _BLACK = (80, 220, 80), (0, 0, 0)


def file_stem(source: str) -> str:
    """A file name for what belongs to a picture: its own, and a number that tells apart folders."""
    name = Path(source.split("?")[0]).name
    stem = re.sub(r"\.(jpe?g|png|bmp|gif|tiff?|webp|jp2)$", "", name, flags=re.IGNORECASE)
    readable = re.sub(r"[^\w.-]+", "_", stem).encode()[:_LONGEST].decode(errors="ignore")
    return f"{readable}-{zlib.crc32(source.encode(errors='surrogatepass')):08x}"


def write_annotated(path: Path, picture: Image, faces: list[dict[str, Any]]) -> None:
    """A copy of a BGR picture ``(H, W, 3)`` with its faces marked, in the format of its suffix."""
    canvas = picture.copy()
    thickness = max(1, round(max(canvas.shape[:2]) / 500))
    for face in faces:
        area = face.get("facial_area") or face["region"]
        corner = (area["x"] + area["w"], area["y"] + area["h"])
        cv2.rectangle(canvas, (area["x"], area["y"]), corner, _GREEN, thickness)
        for name in LANDMARKS:
            if area.get(name) is not None:
                cv2.circle(canvas, area[name], 2 * thickness, _GREEN, -1)
        _label(canvas, face_label(face), area["x"], area["y"], thickness)
    save(path, canvas)


def face_label(face: dict[str, Any]) -> str:
    """What is written above a face's box."""
    parts = [
        str(face[key])
        for key in ("dominant_gender", "age", "dominant_emotion", "dominant_race")
        if key in face
    ]
    if "is_real" in face:
        parts.append("real" if face["is_real"] else "spoof")
    confidence = face.get("confidence", face.get("face_confidence"))
    return ", ".join(parts) or f"{confidence:.2f}"


def _label(canvas: Image, text: str, x: int, y: int, thickness: int) -> None:
    font, scale = cv2.FONT_HERSHEY_SIMPLEX, 0.5 * thickness
    (width, height), base = cv2.getTextSize(text, font, scale, thickness)
    top = max(0, y - height - base)
    cv2.rectangle(canvas, (x, top), (x + width, top + height + base), _GREEN, -1)
    cv2.putText(canvas, text, (x, top + height), font, scale, _BLACK, thickness, cv2.LINE_AA)


def write_crops(folder: Path, stem: str, crops: list[Any]) -> list[str]:
    """Faces ``(h, w, 3)`` BGR or ``(h, w)`` grey as PNG files; their names in ``folder``."""
    names = []
    for number, crop in enumerate(crops):
        name = f"{stem}-{number}.png"
        save(folder / name, crop)
        names.append(name)
    return names
