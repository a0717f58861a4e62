"""The columns that each command's table has, whatever was found, none at all included.

What options and models add (``seconds`` of a video, ``is_real``, attributes) comes after them.
"""

from __future__ import annotations

from collections.abc import Mapping

from deepface.search.table import FIND

_FACE = {"source": str, "face": int}
_AREA = dict.fromkeys(
    ("x", "y", "w", "h", "left_eye_x", "left_eye_y", "right_eye_x", "right_eye_y"), int
)
COLUMNS: Mapping[str, Mapping[str, type]] = {
    "extract": {**_FACE, **_AREA, "confidence": float},
    "represent": {**_FACE, "embedding": list, **_AREA, "face_confidence": float},
    "analyze": {**_FACE, **_AREA, "face_confidence": float},
    "find": {**_FACE, **FIND},
    "verify": {
        "img1_path": str,
        "img2_path": str,
        "verified": bool,
        "distance": float,
        "threshold": float,
        "confidence": float,
        "model": str,
        "detector_backend": str,
        "similarity_metric": str,
        **{
            f"facial_areas_{side}_{name}": kind
            for side in ("img1", "img2")
            for name, kind in _AREA.items()
        },
        "time": float,
    },
}
