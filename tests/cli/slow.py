"""``deepface`` with a detector ``slow``: a face in each picture, 50 ms; it notes what it saw.

Without PyTorch: SFace is the model ``colors``.

``python -m tests.cli.slow extract PICTURES --detector-backend slow ...``
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from deepface.cli.app import main
from deepface.detection.detector import Detector
from deepface.runtime.models import cached_models
from deepface.types import FacialAreaRegion
from tests.stand_ins import ColorModel


class Slow(Detector):
    """The face's width is the picture's lightest value: pictures can be told apart."""

    name = "slow"
    landmarks = 2

    def __init__(self, seconds: float = 0.05) -> None:
        self.seconds = seconds

    def _detect_batch(self, canvases: Any) -> list[list[FacialAreaRegion]]:
        faces = []
        for canvas in canvases:
            time.sleep(self.seconds)
            with Path(os.environ["SLOW_LOG"]).open("a") as log:
                log.write("x\n")
            side = int(canvas.image.max()) // 4
            faces.append([FacialAreaRegion(2, 3, side, side, (20, 10), (10, 10), 0.5)])
        return faces


if __name__ == "__main__":
    cached_models.setdefault("face_detector", {})["slow"] = Slow()
    cached_models.setdefault("facial_recognition", {})["SFace"] = ColorModel()
    main()
